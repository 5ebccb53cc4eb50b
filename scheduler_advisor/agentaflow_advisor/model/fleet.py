"""What a fleet is made of: GPUs as Prometheus saw them, nodes and pods as Kubernetes knows them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field

from agentaflow_advisor.model.names import (
    GANG_LABELS,
    GATE,
    MIN_GPUS,
    SCHEDULER,
    SIZE_LABELS,
    STRATEGY,
)


@dataclass(frozen=True, slots=True, order=True)
class PodRef:
    """A pod by name, as the join metric tells it (it knows no uid)."""

    namespace: str
    name: str
    container: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Usage:
    """One signal of one GPU over the snapshot's window, all from one evaluation time.

    `newest_age_seconds` is measured by Prometheus' own clock.
    """

    maximum: float
    high: float  # the percentile that the settings name, by quantile_over_time
    samples: int
    newest_age_seconds: float  # infinite where Prometheus holds it for stale (5 minutes)
    covered_seconds: float  # the part of the window in which it was being sampled
    mean: float | None = None  # for reports only, and asked for by them: no ground for a verdict


@dataclass(frozen=True, slots=True)
class Held:
    """How long the pods of one namespace, or one pod, held a GPU within the window; sharers split
    the time.
    """

    namespace: str
    seconds: float
    pod: str = ""  # where the look went down to pods
    profile: str = ""  # of the MIG slice that was held, such as 1g.10gb; empty: the whole GPU


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. None means: no series said so. It never means 0."""

    cluster: str
    node: str
    index: str
    uuid: str
    model: str | None = None
    up: bool | None = None
    memory_total_bytes: float | None = None
    memory_used_max_bytes: float | None = None  # over the window
    utilization: Usage | None = None  # ratio 0 to 1, engine="gpu"
    power_mean_watts: float | None = None
    energy_joules: float | None = None  # over the window
    temperature_max_celsius: float | None = None
    processes: int | None = None
    pods: tuple[PodRef, ...] = ()  # several where the GPU is shared
    present_seconds: float | None = None  # of the window in which it was seen, working or lost
    held: tuple[Held, ...] = ()  # over the window
    measures: Mapping[str, float] = field(default_factory=dict)
    """Signals that are one number, by name (docs/queries.md): a missing one was not told."""
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Signals by a label (a reason, a code): name → label's value → number."""
    dialect: str = ""  # which exporter told it, its utilization first of all
    doubt: str = ""  # why no verdict may rest on its samples

    @property
    def name(self) -> str:
        """For people: cluster/node/gpu N."""
        place = f"{self.cluster}/{self.node}" if self.cluster else self.node
        return f"{place}/gpu {self.index}" if self.index else f"{place}/{self.uuid}"


BUSY = "node.kubernetes.io/"  # taints that come and go with the state of the node


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Toleration:
    key: str | None
    operator: str  # Exists or Equal
    value: str | None
    effect: str | None

    def tolerates(self, taint: Taint) -> bool:
        """Kubernetes' own rule (core/v1 Toleration.ToleratesTaint)."""
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        return self.operator == "Exists" or (self.value or "") == taint.value


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU as a ResourceSlice names it, and our DeviceTaintRule for it, where there is one."""

    driver: str
    pool: str
    name: str
    marker: str | None = None  # the rule's decision annotation
    effect: str = ""  # the rule's; empty where there is no rule

    @property
    def rule(self) -> str:
        """The name of its DeviceTaintRule."""
        return f"agentaflow-{self.pool}-{self.name}".lower()


@dataclass(frozen=True, slots=True)
class Node:
    """A Kubernetes node; without a cluster, one made from the metrics alone (`known` is False)."""

    cluster: str
    name: str
    gpus: int  # allocatable nvidia.com/gpu, or the GPUs that metrics show
    cpu_cores: float = 0.0
    memory_bytes: float = 0.0
    pods: int = 110  # allocatable
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    ready: bool = True
    schedulable: bool = True
    known: bool = True
    extended: Mapping[str, int] = field(default_factory=dict)
    """Other allocatable resources nvidia.com/*, by name: MIG profiles, shares of GPUs, …"""
    uid: str = ""
    resource_version: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def spec_hash(self) -> str:
        """Of what keeps pods away, and of our own labels: tells a change from a heartbeat."""
        taints = sorted(astuple(taint) for taint in self.taints if not taint.key.startswith(BUSY))
        ours = sorted(item for item in self.labels.items() if item[0].startswith("agentaflow.io/"))
        rests_on = (self.schedulable, taints, ours)
        return hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()[:16]

    @property
    def hostname(self) -> str:
        return self.labels.get("kubernetes.io/hostname", self.name)

    @property
    def instance_type(self) -> str | None:
        return self.labels.get("node.kubernetes.io/instance-type")


@dataclass(frozen=True, slots=True)
class Workload:
    """A pod as the API server has it now, with what a placement needs to know."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    phase: str = "Pending"
    node: str | None = None
    gpus: int = 0
    cpu_cores: float = 0.0
    memory_bytes: float = 0.0
    priority: int = 0
    created_at: float = 0.0  # seconds since the epoch
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    gates: tuple[str, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    owner: str | None = None  # Kind/name of the controller
    deleting: bool = False
    deletes_at: float | None = None  # end of its grace period, where it is being deleted
    has_affinity: bool = False  # rules of its own that this version does not evaluate
    unmodelled: tuple[str, ...] = field(default=())  # constraints we saw and cannot evaluate
    extended: Mapping[str, int] = field(default_factory=dict)
    """What it asks for of other resources nvidia.com/*, by name."""
    kind: str = "Pod"  # or what holds the pods back: a suspended Job, a Kueue Workload
    scheduler: str = ""  # schedulerName, where it is not the default one
    pods: int = 1  # that it stands for, where it holds pods back

    @property
    def released_by(self) -> str:
        """The channel that could let it run; empty where nothing of ours holds it back."""
        if self.phase != "Pending" or self.node is not None or self.deleting:
            return ""
        if GATE in self.gates:
            return "scheduling-gate"
        if self.kind == "Pod" and self.scheduler == SCHEDULER:
            return "binding"
        return {"Job": "suspended-job", "Workload": "admission-check"}.get(self.kind, "")

    @property
    def ref(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def gang(self) -> str:
        """The name of the gang that it says it is of, all of which starts together; empty where it
        says none.
        """
        told = ((label, self.says(label)) for label in GANG_LABELS)
        return next((f"{self.namespace}/{label}={value}" for label, value in told if value), "")

    def says(self, label: str) -> str | None:
        """By a label or an annotation of that name."""
        return self.labels.get(label) or self.annotations.get(label)

    @property
    def spec_hash(self) -> str:
        """Of all that a placement rests on: tells a change of it from a mere status write."""
        rests_on = (
            self.gpus,
            self.cpu_cores,
            self.memory_bytes,
            self.priority,
            sorted(self.node_selector.items()),
            sorted(json.dumps(astuple(toleration)) for toleration in self.tolerations),
            self.has_affinity,
            sorted(self.unmodelled),
            *([sorted(self.extended.items())] if self.extended else ()),
            *([asked] if (asked := self.annotations.get(STRATEGY)) else ()),
            *([self.gang, *map(self.says, SIZE_LABELS)] if self.gang else ()),
            *([least] if (least := self.annotations.get(MIN_GPUS)) else ()),
        )
        return hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()[:16]
