"""How fast `agentaflow place` decides: every strategy on a snapshot of a cluster half in use."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from agentaflow_advisor.model import Gpu, Node, Snapshot, Usage, Workload
from agentaflow_advisor.model.names import HOSTNAME
from agentaflow_advisor.place import STRATEGIES, Run
from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.live import PRODUCT_LABEL
from agentaflow_advisor.place.strategy import Aging
from bench.table import Row, percentile, show, verdict
from tests.support.fleet import gated_pod, node, running_pod, snapshot
from tests.support.openb import pods

WAITING = 500
GOALS = {1_213: 1.0, 20_000: 10.0}  # milliseconds, at the median


def main(sizes: Sequence[Sequence[Machine]]) -> bool:
    """`sizes` are lists of nodes, of which each is one row of a table by strategy."""
    met = True
    for machines in sizes:
        seen = _snapshot(machines)
        rows = [_decisions(seen, name) for name in sorted(STRATEGIES)]
        show(
            f"One decision as `agentaflow place` makes it on {len(machines):,} nodes, "
            f"milliseconds, {WAITING} pods of the default list",
            rows,
        )
        worst = max(rows, key=lambda row: float(row["median_ms"]))
        median = float(worst["median_ms"])
        met &= verdict(
            f"live on {len(machines):,} nodes, median of {worst['strategy']}, the slowest: "
            f"{median:.3f} ms",
            median <= GOALS[len(machines)],
            f"at most {GOALS[len(machines)]:.0f}",
        )
    return met


def _decisions(seen: Snapshot, name: str) -> Row:
    """Every node judged, the best two explained, what is placed taken."""
    strategy = STRATEGIES[name]
    waiting = [pod for pod in seen.workloads if pod.gates]
    started = time.perf_counter()
    if isinstance(strategy, Aging):
        strategy = strategy.among({0}, seen.taken_at)
    run = Run(seen, strategy)
    begun = 1000 * (time.perf_counter() - started)
    took = []
    for pod in waiting:
        started = time.perf_counter()
        run.place(pod)
        took.append(1000 * (time.perf_counter() - started))
    return {
        "strategy": name,
        "median_ms": round(percentile(took, 0.5), 3),
        "p99_ms": round(percentile(took, 0.99), 2),
        "most_ms": round(max(took), 1),
        "placed": len(run.steps),
        "once_a_run_ms": round(begun),
    }


def _snapshot(machines: Sequence[Machine]) -> Snapshot:
    """Half of each node's GPUs in use by pods with one GPU of the list, all measured."""
    there = [_node(one) for one in machines]
    single = [each.cpu_millicores / 1000 for each in pods("default") if each.gpus == 1]
    random = np.random.default_rng(43)
    running = [
        running_pod(f"r-{each.name}-{number}", each.name, cpu_cores=float(random.choice(single)))
        for each in there
        for number in range(each.gpus // 2)
    ]
    gpus = [gpu for each in there for gpu in _gpus(each)]
    return snapshot(there, [*running, *_waiting()], gpus)


def _node(machine: Machine) -> Node:
    return node(
        machine.name,
        machine.gpus,
        cpu_cores=machine.cpu_millicores / 1000,
        memory_bytes=float(machine.memory_bytes),
        labels={HOSTNAME: machine.name, PRODUCT_LABEL: machine.model},
    )


def _gpus(known: Node) -> Iterator[Gpu]:
    usage = Usage(0.5, 0.5, 10_000, 15.0, 604_800.0, 0.5)
    for index in range(known.gpus):
        uuid = f"GPU-{known.name}-{index}"
        yield Gpu("", known.name, str(index), uuid, utilization=usage)


def _waiting() -> list[Workload]:
    """Drawn from the list, without shares of a GPU; one in ten asks for a model."""
    random = np.random.default_rng(42)
    whole: list[Demand] = [each for each in pods("default") if not each.is_shared]
    drawn = [whole[index] for index in random.integers(len(whole), size=WAITING)]
    return [
        replace(
            gated_pod(f"p{number}", each.gpus, created_at=float(number)),
            cpu_cores=each.cpu_millicores / 1000,
            memory_bytes=float(each.memory_bytes),
            node_selector={PRODUCT_LABEL: "T4"} if each.gpus and number % 10 == 0 else {},
        )
        for number, each in enumerate(drawn)
    ]
