"""What a node can still take, in whole units: fractions of a core would add up wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agentaflow_advisor.model import Node, Workload
from agentaflow_advisor.model.names import DECISION, HOSTNAME

GPUS, CPU, MEMORY, PODS = "gpus", "cpu_millicores", "memory_bytes", "pods"
_SHORT = {
    GPUS: "too few free GPUs",
    CPU: "too little free CPU",
    MEMORY: "too little free memory",
    PODS: "no room for another pod",
}
STANDARD = tuple(_SHORT)
"""What every node offers, in the order of Capacity's fields."""
FINISHED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Capacity:
    """GPUs, thousandths of a CPU core, bytes and pods; whole numbers, as Kubernetes counts them.

    `extended` are other extended resources, MIG profiles and shares of GPUs among them, by name.
    """

    gpus: int
    cpu_millicores: int
    memory_bytes: int
    pods: int
    extended: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of_node(cls, node: Node) -> Capacity:
        """What the node offers to pods (allocatable)."""
        cpu_millicores, extended = round(node.cpu_cores * 1000), _sorted(node.extended)
        return cls(node.gpus, cpu_millicores, round(node.memory_bytes), node.pods, extended)

    @classmethod
    def of_workload(cls, workload: Workload) -> Capacity:
        """What one pod asks for."""
        cpu_millicores, extended = round(workload.cpu_cores * 1000), _sorted(workload.extended)
        return cls(workload.gpus, cpu_millicores, round(workload.memory_bytes), 1, extended)

    @classmethod
    def of_amounts(cls, amounts: Mapping[str, int]) -> Capacity:
        """The opposite of `amounts`."""
        extended = {name: amount for name, amount in amounts.items() if name not in STANDARD}
        gpus, cpu_millicores, memory_bytes, pods = (amounts[name] for name in STANDARD)
        return cls(gpus, cpu_millicores, memory_bytes, pods, _sorted(extended))

    def minus(self, other: Capacity) -> Capacity:
        """What is left; below zero where more was taken than there is."""
        left = dict(self.extended)
        for name, amount in other.extended:
            left[name] = left.get(name, 0) - amount
        return Capacity(
            self.gpus - other.gpus,
            self.cpu_millicores - other.cpu_millicores,
            self.memory_bytes - other.memory_bytes,
            self.pods - other.pods,
            _sorted(left) if other.extended else self.extended,
        )

    def plus(self, other: Capacity) -> Capacity:
        """What is there once that was given back."""
        there = self.amounts()
        for name, amount in other.amounts().items():
            there[name] = there.get(name, 0) + amount
        return Capacity.of_amounts(there)

    def shortage(self, ask: Capacity) -> str | None:
        """The first resource of which there is too little for `ask`; None where it fits.

        A resource that is not asked for is never short, as in kube-scheduler's NodeResourcesFit.
        """
        there = self.amounts()
        lacking = (
            name for name, amount in ask.amounts().items() if amount and amount > there.get(name, 0)
        )
        return next(map(short, lacking), None)

    def amounts(self) -> dict[str, int]:
        """By name, in the order in which a shortage is looked for."""
        return {
            GPUS: self.gpus,
            **dict(self.extended),
            CPU: self.cpu_millicores,
            MEMORY: self.memory_bytes,
            PODS: self.pods,
        }


def short(name: str) -> str:
    """That there is too little of it, in words."""
    return _SHORT.get(name) or f"too few free {name}"


def _sorted(amounts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(amounts.items()))


@dataclass(slots=True)
class Occupancy:
    """Free capacity by node name, how many of the taken GPUs are only promised so far, and where
    each pod that holds room does, by namespace/name.
    """

    free: dict[str, Capacity]
    promised_gpus: Counter[str]
    node_of: dict[str, str] = field(default_factory=dict)

    def take(self, node: str, workload: Workload) -> None:
        """Deduct one pod; a pod that is not bound is promised its GPUs, but does not use them."""
        self.free[node] = self.free[node].minus(Capacity.of_workload(workload))
        self.node_of[workload.ref] = node
        if workload.node is None:
            self.promised_gpus[node] += workload.gpus


def occupancy(
    nodes: Iterable[Node], workloads: Iterable[Workload], held: Mapping[str, str]
) -> Occupancy:
    """What the known nodes have left. `held` is node name by uid, of pods that were promised."""
    known = [node for node in nodes if node.known]
    taken = Occupancy({node.name: Capacity.of_node(node) for node in known}, Counter())
    by_hostname = {node.hostname: node.name for node in known}
    for workload in workloads:
        name = held.get(workload.uid) if workload.node is None else None
        name = name or _node_of(workload, by_hostname)
        if name in taken.free and workload.phase not in FINISHED:
            taken.take(name, workload)
    return taken


def _node_of(workload: Workload, by_hostname: Mapping[str, str]) -> str | None:
    """Where the pod is bound, or where it is about to be.

    A pod that may be scheduled and selects one hostname, or that we sent to one, will be bound
    there: its room is gone although Kubernetes does not count it yet.
    """
    sent = not workload.gates or DECISION in workload.annotations
    if workload.node is not None or not sent:
        return workload.node
    return by_hostname.get(workload.node_selector.get(HOSTNAME, ""))
