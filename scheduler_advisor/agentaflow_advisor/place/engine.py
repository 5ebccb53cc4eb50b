"""The placement run: queue the pods and place one after the other; every answer is explained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from agentaflow_advisor.model import Refusal, Snapshot, Workload
from agentaflow_advisor.place.feasibility import EvidenceSettings
from agentaflow_advisor.place.queue import asked_strategy, eligible
from agentaflow_advisor.place.run import Result, Run
from agentaflow_advisor.place.strategies import STRATEGIES
from agentaflow_advisor.place.strategy import Aging, Strategy
from agentaflow_advisor.place.together import Unit, attempt, units
from agentaflow_advisor.place.topology import TOPOLOGY_LABELS
from agentaflow_advisor.place.victims import Victims


def place(
    snapshot: Snapshot,
    strategy: Strategy,
    *,
    held: Mapping[str, str] | None = None,
    last_nodes: Mapping[str, str] | None = None,
    evidence: EvidenceSettings | None = None,
    topology: Sequence[str] = TOPOLOGY_LABELS,
) -> tuple[Result, ...]:
    """Choose a node for each opted-in pod that waits for us, in the strategy's order. One that asks
    for another strategy by its annotation waits in the same queue; its node is chosen by that one.

    `held` is node name by pod uid for decisions that are still open: those pods are not placed
    again and their room counts as taken. `last_nodes` is where each strategy's last pod
    went. `topology` are labels of nodes, finest first, that tell which are near each other.
    """
    held = held or {}
    pods, refusals = eligible(snapshot)
    new = [pod for pod in pods if pod.uid not in held]
    placed = explain(
        snapshot,
        strategy,
        new,
        held=held,
        last_nodes=last_nodes,
        evidence=evidence,
        topology=topology,
        objections={refused.subject: refused.reason for refused in refusals},
    )
    return (*placed, *sorted(refusals, key=lambda refused: refused.subject))


def explain(
    snapshot: Snapshot,
    strategy: Strategy,
    pods: Iterable[Workload],
    *,
    held: Mapping[str, str] | None = None,
    last_nodes: Mapping[str, str] | None = None,
    evidence: EvidenceSettings | None = None,
    topology: Sequence[str] = TOPOLOGY_LABELS,
    objections: Mapping[str, str] | None = None,
) -> tuple[Result, ...]:
    """The same for any pods, gated or not, in the cluster or only in a file. `objections` tell of
    others, by namespace/name, why they may not be placed: their gangs are not, either.
    """
    pods = tuple(pods)
    if isinstance(strategy, Aging):
        holding = (pod for pod in snapshot.workloads if pod.gpus)
        strategy = strategy.among({pod.priority for pod in (*holding, *pods)}, snapshot.taken_at)
    run = Run(
        snapshot,
        strategy,
        held=held,
        last_nodes=last_nodes,
        evidence=evidence,
        topology=topology,
        others=_others(strategy, pods),
    )
    queued = sorted(pods, key=lambda pod: (strategy.queue(pod), pod.ref, pod.uid))
    there = (*snapshot.workloads, *snapshot.succeeded)
    found = units(queued, there, objections or {}, run.row_of)
    victims = Victims(snapshot, run)
    return tuple(result for unit in found for result in _place(run, unit, victims))


def _others(strategy: Strategy, pods: Iterable[Workload]) -> list[Strategy]:
    """What else the pods ask for."""
    asked = {asked_strategy(pod) for pod in pods} - {strategy.name}
    return [STRATEGIES[name] for name in sorted(asked & STRATEGIES.keys())]


def _place(run: Run, unit: Unit, victims: Victims) -> tuple[Result, ...]:
    """Where it found no room it is said who would have to go for it; nodes are kept for one that is
    overdue.
    """
    results, lacks_room = attempt(run, unit)
    strategy = run.strategy
    if not lacks_room or not isinstance(strategy, Aging):
        return results
    refused = [each for each in results if isinstance(each, Refusal)]
    results = victims.named_for(unit.pods, refused)
    if not any(strategy.is_overdue(pod) for pod in unit.pods):
        return results
    kept = run.keep(unit.pods, unit.name)
    if not kept:
        return results
    are = "is" if len(kept) == 1 else "are"
    said = f"; {' and '.join(kept)} {are} kept for it, since it is overdue"
    return tuple(replace(each, reason=each.reason + said) for each in results)
