"""A cluster's own past as what comes to it in a simulation: pods with their real times and sizes.

What is not known is assumed, and counted: a pod that never started would have run for the median of
its owner's pods, else of its namespace's, else of all; one that still ran at the end runs on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from agentaflow_advisor.model import Past, PastNode, PodRun
from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.jobs import Job, Record
from agentaflow_advisor.place.scorer import Floats
from agentaflow_advisor.place.workloads import Drawn

LEAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class History:
    """One cluster's window, in seconds from its beginning. A seed changes only which of equal nodes
    comes first.
    """

    machines: tuple[Machine, ...]
    records: tuple[Record, ...]  # what really became of the pods, in the order in which they came
    begun: Mapping[str, str]  # pod that ran when the window began → its node
    window_seconds: float
    unstarted: int  # pods whose duration is assumed
    unfinished: int  # pods that still ran at the end

    def draw(self, seed: int) -> Drawn:
        order = np.random.default_rng(seed).permutation(len(self.machines))
        machines = tuple(self.machines[i] for i in order)
        return Drawn(machines, tuple(record.job for record in self.records), self.begun)

    def size(self) -> Mapping[str, int]:
        gpus = sum(one.gpus for one in self.machines)
        return {"pods": len(self.records), "nodes": len(self.machines), "gpus": gpus}

    def queues(self) -> frozenset[str]:
        return frozenset(record.job.queue for record in self.records)


def history(past: Past, cluster: str) -> History:
    """Of the pods of that cluster that asked for GPUs. What others on a node asked for at once, at
    most, counts as taken from it all the time.
    """
    runs = [run for run in past.runs if run.cluster == cluster]
    mine = [run for run in runs if run.gpus > 0]
    others = _most_at_once(past, [run for run in runs if not run.gpus and run.node])
    usual = _Usual(past, mine)
    records = tuple(_record(run, past, usual) for run in mine)
    return History(
        machines=tuple(
            _machine(node, *others.get(node.name, (0.0, 0.0)))
            for node in past.nodes
            if node.cluster == cluster
        ),
        records=records,
        begun={
            record.job.name: run.node
            for record, run in zip(records, mine, strict=True)
            if run.started_at is not None and run.started_at <= past.start_at
        },
        window_seconds=past.end_at - past.start_at,
        unstarted=sum(run.started_at is None for run in mine),
        unfinished=sum(run.started_at is not None and run.ended_at is None for run in mine),
    )


def _record(run: PodRun, past: Past, usual: _Usual) -> Record:
    window = past.end_at - past.start_at
    started = None if run.started_at is None else max(0.0, run.started_at - past.start_at)
    submitted = max(0.0, run.created_at - past.start_at)
    if started is None:
        seconds = usual.seconds(run)
    elif run.ended_at is None:
        seconds = window
    else:
        seconds = max(LEAST_SECONDS, run.ended_at - past.start_at - started)
    job = Job(
        name=run.uid or run.ref,
        submitted=submitted if started is None else min(submitted, started),
        duration_seconds=seconds,
        demand=Demand(round(run.cpu_cores * 1000), round(run.memory_bytes), run.gpus),
        queue=run.namespace,
    )
    return Record(job, started)


class _Usual:
    """How long pods ran that ended within the window."""

    def __init__(self, past: Past, runs: Iterable[PodRun]) -> None:
        self._otherwise = past.end_at - past.start_at
        self._found: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        for run in runs:
            if run.started_at is not None and run.ended_at is not None:
                lasted = max(LEAST_SECONDS, run.ended_at - run.started_at)
                for group in _groups(run):
                    self._found[group].append(lasted)

    def seconds(self, run: PodRun) -> float:
        """The whole window where none ended."""
        for group in _groups(run):
            if group in self._found:
                return median(self._found[group])
        return self._otherwise


def _groups(run: PodRun) -> Iterator[tuple[str, ...]]:
    if run.owner:
        yield (run.namespace, run.owner)
    yield (run.namespace,)
    yield ()


def _machine(node: PastNode, cores: float, memory: float) -> Machine:
    return Machine(
        node.name,
        node.model,
        node.gpus,
        max(0, round((node.cpu_cores - cores) * 1000)),
        max(0, round(node.memory_bytes - memory)),
    )


def _most_at_once(past: Past, runs: Sequence[PodRun]) -> dict[str, tuple[float, float]]:
    """By node: CPU cores and bytes of memory."""
    changes: list[tuple[float, int, PodRun]] = []
    for run in runs:
        if run.started_at is not None:
            changes.append((run.started_at, 1, run))
            changes.append((past.end_at if run.ended_at is None else run.ended_at, -1, run))
    held: defaultdict[str, Floats] = defaultdict(lambda: np.zeros(2))
    most: defaultdict[str, Floats] = defaultdict(lambda: np.zeros(2))
    for _, sign, run in sorted(changes, key=lambda change: change[:2]):
        held[run.node] += sign * np.array([run.cpu_cores, run.memory_bytes])
        most[run.node] = np.maximum(most[run.node], held[run.node])
    return {node: (float(cores), float(memory)) for node, (cores, memory) in most.items()}
