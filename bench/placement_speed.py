"""How fast ours places: a replay, one decision, and beside the real kube-scheduler."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agentaflow_advisor.place.benchmark import Machine, arrivals, fleet
from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.placer import Placer
from agentaflow_advisor.place.scorers import OURS
from bench import kubescheduler, placement_live
from bench.table import Row, percentile, show, verdict
from tests.support.openb import nodes, pods, replay
from tools.programs import PartMissing

SECONDS_GOAL = 3.0
MANY_NODES, MANY_PODS = 20_000, 10_000
MILLISECONDS_GOALS = {1_213: 1.0, MANY_NODES: 10.0}
TIMES_GOAL = 10.0


def main() -> bool:
    once = replay("default").once(OURS.name, 42)
    met = verdict(
        f"seconds for one seed of the default list, one core: {once.seconds:.2f} "
        f"({once.decisions:,} pods)",
        once.seconds <= SECONDS_GOAL,
        f"at most {SECONDS_GOAL:.0f}",
    )
    rows = [_decisions(list(nodes()), 10**9), _decisions(_larger(MANY_NODES), MANY_PODS)]
    show(f"One decision, {OURS.name}, milliseconds", rows)
    for row in rows:
        goal = MILLISECONDS_GOALS[int(row["nodes"])]
        median = float(row["median_ms"])
        met &= verdict(
            f"one decision on {row['nodes']:,} nodes, median: {median:.3f} ms",
            median <= goal,
            f"at most {goal:.0f}",
        )
    met &= placement_live.main([list(nodes()), _larger(MANY_NODES)])
    return _beside_kubernetes() and met


def _decisions(machines: Sequence[Machine], most: int) -> Row:
    """Each decision of one run, learning and rescoring with it."""
    random = np.random.default_rng(42)
    capacity = sum(one.gpus for one in machines) * WHOLE
    listed = pods("default")
    if most < len(listed) * 2:
        coming = [listed[i] for i in random.integers(len(listed), size=most)]
    else:
        coming = arrivals(listed, capacity, random)
    took = _each(machines, coming)
    return {
        "nodes": len(machines),
        "decisions": len(took),
        "median_ms": round(percentile(took, 0.5), 3),
        "p99_ms": round(percentile(took, 0.99), 3),
        "most_ms": round(max(took), 1),
        "per_second": round(1000 * len(took) / sum(took)),
    }


def _each(machines: Sequence[Machine], coming: Sequence[Demand]) -> list[float]:
    """Milliseconds of each placement."""
    there = fleet(machines)
    placer = Placer(there, OURS.make(there, [], 42))
    took = []
    for demand in coming:
        started = time.perf_counter()
        placer.place(demand)
        took.append(1000 * (time.perf_counter() - started))
    return took


def _larger(count: int) -> list[Machine]:
    known = nodes()
    return [
        replace(known[number % len(known)], name=f"{number:05}-{known[number % len(known)].name}")
        for number in range(count)
    ]


def _beside_kubernetes() -> bool:
    """kube-scheduler knows no shares of a GPU, and its spreading leaves no room for large pods."""
    chosen = [demand for demand in pods("default") if not demand.is_shared and demand.gpus < 2]
    took = _each(nodes(), chosen)
    ours = 1000 * len(took) / sum(took)
    try:
        theirs = kubescheduler.measure(nodes(), chosen)
    except PartMissing as error:
        return verdict(f"kube-scheduler: not measured, {error}", met=False, goal="measured")
    show(
        f"{len(chosen):,} pods of the default list (CPU only, or one whole GPU) on "
        f"{len(nodes()):,} nodes",
        [
            {"": OURS.name, "per_second": round(ours), "ms_each": round(1000 / ours, 3)},
            {
                "": "kube-scheduler",
                "per_second": round(theirs.per_second),
                "ms_each": round(1000 / theirs.per_second, 3),
            },
        ],
    )
    print(_said(theirs))
    deciding = 1 / theirs.algorithm_seconds_per_pod
    verdict(
        f"against its deciding alone ({deciding:.0f} a second): {ours / deciding:.0f} times",
        ours >= TIMES_GOAL * deciding,
        f"{TIMES_GOAL:.0f} times",
    )
    return verdict(
        f"decisions per second: {ours / theirs.per_second:.0f} times kube-scheduler's",
        ours >= TIMES_GOAL * theirs.per_second,
        f"at least {TIMES_GOAL:.0f} times",
    )


def _said(theirs: kubescheduler.Timed) -> str:
    deciding, binding = (
        1000 * each for each in (theirs.algorithm_seconds_per_pod, theirs.bind_seconds_per_pod)
    )
    cpu = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in theirs.cpu_seconds.items())
    return (
        f"kube-scheduler: {theirs.algorithm_share:.0%} of its time is deciding (filter and score, "
        f"{deciding:.1f} ms a pod, one after the other, on cores that it shares with the API "
        f"server); binding takes {binding:.0f} ms a pod, many at once. CPU: {cpu}. "
        f"{theirs.left_waiting} pods found no room. Ours writes to no API: an applied decision "
        "waits for the same bindings."
    )
