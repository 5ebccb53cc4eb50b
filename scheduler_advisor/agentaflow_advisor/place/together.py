"""What is placed whole or not at all on a live cluster: a pod by itself, or all pods of a gang."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from agentaflow_advisor.model import Placement, Refusal, Workload
from agentaflow_advisor.place.gangs import incomplete
from agentaflow_advisor.place.queue import unjudged
from agentaflow_advisor.place.run import Beside, Result, Run
from agentaflow_advisor.place.topology import Topology

_WHOLE = "is placed whole or not at all"


@dataclass(frozen=True, slots=True)
class Unit:
    """`pods` are to be placed, in their order; `there` are rows of those that have a node."""

    pods: tuple[Workload, ...]
    gang: str = ""
    there: tuple[int, ...] = ()
    lacking: str = ""  # why it cannot be whole

    @property
    def name(self) -> str:
        """Whom a node is kept for."""
        return f"gang {self.gang}" if len(self.pods) > 1 else self.pods[0].ref


def units(
    queued: Sequence[Workload],
    workloads: Iterable[Workload],
    objections: Mapping[str, str],
    row_of: Mapping[str, int],
) -> Iterator[Unit]:
    """In the order of their first pods. `objections` tell why a pod that waits may not be placed,
    by namespace/name.
    """
    members: defaultdict[str, dict[str, Workload]] = defaultdict(dict)
    for pod in (*workloads, *queued):
        if pod.gang:
            members[pod.gang][pod.ref] = pod
    coming: defaultdict[str, list[Workload]] = defaultdict(list)
    for pod in queued:
        coming[pod.gang or pod.ref].append(pod)
    for gang, pods in coming.items():
        if gang in members:
            yield _gang(gang, tuple(pods), members[gang], objections, row_of)
        else:
            yield from (Unit((pod,)) for pod in pods)


def _gang(
    gang: str,
    pods: tuple[Workload, ...],
    members: Mapping[str, Workload],
    objections: Mapping[str, str],
    row_of: Mapping[str, int],
) -> Unit:
    there = tuple(row_of[name] for name in sorted(members) if name in row_of)
    refused = next((name for name in sorted(members) if name in objections), None)
    if refused is not None:
        lacking = f"{refused} may not be placed: {objections[refused]}"
    else:
        lacking = incomplete(members.values()) or ""
    return Unit(pods, gang, there, lacking)


def attempt(run: Run, unit: Unit) -> tuple[tuple[Result, ...], bool]:
    """A result for each of its pods; whether room was all that they lacked."""
    constraints = {pod.ref: why for pod in unit.pods if (why := unjudged(pod)) is not None}
    if constraints:
        return _unjudged(unit, constraints), False
    if unit.lacking:
        why = f"its gang {unit.gang} {_WHOLE}: {unit.lacking}"
        return tuple(Refusal(pod.ref, why) for pod in unit.pods), False
    begun = len(run.steps)
    placed, refused = _one_by_one(run, unit, begun)
    if refused and len(unit.pods) > 1:
        run.undo(begun)
        placed, refused = _as_packed(run, unit, placed, refused)
    if refused:
        run.undo(begun)
        return _refused(unit, refused, len(placed)), True
    if unit.gang:
        placed = _told(run, unit, begun, placed)
    return tuple(placed[number] for number in range(len(unit.pods))), False


Placed = tuple[dict[int, Placement], Refusal | None]
"""By number of the pod; and why one of them found no room."""


def _one_by_one(run: Run, unit: Unit, begun: int) -> Placed:
    """Where the strategy likes each, those that ask for most first."""
    placed: dict[int, Placement] = {}
    for number in sorted(range(len(unit.pods)), key=lambda number: _largest(unit.pods[number])):
        beside = _beside(run, unit, begun) if unit.gang else None
        result = run.place(unit.pods[number], beside)
        if isinstance(result, Refusal):
            return placed, result
        placed[number] = result
    return placed, None


def _as_packed(run: Run, unit: Unit, placed: Mapping[int, Placement], refused: Refusal) -> Placed:
    """Where all of them fit at once, if that is anywhere; else what the other way came to."""
    found = run.packed(unit.pods)
    if found.rows is None:
        unsure = "" if found.all_tried else " (not all ways to place its unlike pods were tried)"
        return dict(placed), replace(refused, reason=refused.reason + unsure)
    there: dict[int, Placement] = {}
    for number, (pod, row) in enumerate(zip(unit.pods, found.rows, strict=True)):
        result = run.place(pod, only=row)
        if isinstance(result, Refusal):
            return there, result
        there[number] = result
    return there, None


def _largest(pod: Workload) -> tuple[float, ...]:
    """Those that ask for most first: they have the least choice."""
    return (-pod.gpus, -sum(pod.extended.values()), -pod.cpu_cores, -pod.memory_bytes)


def _beside(run: Run, unit: Unit, begun: int) -> Beside:
    placed = [step.row for step in run.steps[begun:]]
    return Beside((*unit.there, *placed), len(unit.pods) - len(placed))


def _unjudged(unit: Unit, constraints: Mapping[str, str]) -> tuple[Refusal, ...]:
    first = min(constraints)
    others = f"its gang {unit.gang} {_WHOLE}, and {first} may not be placed: {constraints[first]}"
    return tuple(Refusal(pod.ref, constraints.get(pod.ref, others)) for pod in unit.pods)


def _refused(unit: Unit, failed: Refusal, placed: int) -> tuple[Refusal, ...]:
    if len(unit.pods) == 1:
        return (failed,)
    own = replace(failed, reason=f"{failed.reason}; its gang {unit.gang} {_WHOLE}")
    others = (
        f"its gang {unit.gang} {_WHOLE}: {placed} of {len(unit.pods)} pods found room, "
        f"{failed.subject} did not: {failed.reason}"
    )
    return tuple(
        own if pod.ref == failed.subject else Refusal(pod.ref, others) for pod in unit.pods
    )


def _told(
    run: Run, unit: Unit, begun: int, placed: Mapping[int, Placement]
) -> dict[int, Placement]:
    """With how near each is to the others; `placed` is in the order of the run's steps."""
    rows = [*unit.there, *(step.row for step in run.steps[begun:])]
    told = dict(placed)
    for at, (number, made) in enumerate(placed.items(), start=len(unit.there)):
        others = rows[:at] + rows[at + 1 :]
        if others:
            said = _nearness(run.topology, rows[at], others)
            told[number] = replace(made, why=f"{made.why}; {said}")
    return told


def _nearness(topology: Topology, row: int, others: Sequence[int]) -> str:
    noun, shared = topology.nearest(row, others)
    whom = f"the other {len(others)}" if len(others) > 1 else "the other one"
    if not shared:
        return f"apart from {whom} of its gang"
    some = whom if shared == len(others) else f"{shared} of {whom}"
    return f"{'on' if noun == 'node' else 'in'} the {noun} of {some} of its gang"
