"""From a snapshot to decisions and their execution: what the commands and the loop share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from lightkube import Client

from agentaflow_advisor.act.apply import Applier, Clock, apply_together, recover, revert
from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.act.errors import ApiTrouble
from agentaflow_advisor.analyze.idleness import USAGE
from agentaflow_advisor.decide.approval import approve_by_standing, expire_overdue
from agentaflow_advisor.decide.errors import JournalLocked, WrongState
from agentaflow_advisor.decide.journal import OPEN, Journal
from agentaflow_advisor.decide.proposal import propose
from agentaflow_advisor.decide.recommended import propose_recommended
from agentaflow_advisor.elastic import place_elastic
from agentaflow_advisor.model import (
    Decision,
    Placement,
    Recommendation,
    Refusal,
    Snapshot,
    State,
    TaintDevice,
    Workload,
)
from agentaflow_advisor.observe.devices import read_devices
from agentaflow_advisor.place import Result, place
from agentaflow_advisor.settings import Settings

RELEASING = frozenset({"scheduling-gate", "suspended-job", "binding", "admission-check"})
"""Channels that let something run which waits for us."""
PLACE_SIGNALS = frozenset(USAGE) | {"info", "up", "processes", "pods"}
"""What strategies need, which GPUs can be used, and what a proposal states as its evidence."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """What a placement run came to. `decisions` are in the journal, by the pod's uid."""

    placements: tuple[Placement, ...]
    refusals: tuple[Refusal, ...]
    waiting: tuple[Decision, ...]  # open before this run: their pods were not placed again
    decisions: Mapping[str, Decision]


def propose_placements(
    settings: Settings, snapshot: Snapshot, journal: Journal, *, actor: str, now: float
) -> Proposals:
    """Place the pods that wait and record each placement as a proposal. Raises JournalError."""
    _close_outdated(settings, snapshot, journal, actor, now)
    waiting = journal.list(OPEN)
    results = place_waiting(settings, snapshot, waiting, last_nodes(journal))
    placements = tuple(result for result in results if isinstance(result, Placement))
    decisions = {
        placement.workload.uid: journal.add(
            propose(placement, snapshot, now, actor, pin_by=settings.scheduling_gate_pin_by)
        )
        for placement in placements
    }
    refusals = tuple(result for result in results if isinstance(result, Refusal))
    return Proposals(placements, refusals, waiting, decisions)


def propose_advice(
    settings: Settings,
    advice: Iterable[Recommendation],
    snapshot: Snapshot,
    journal: Journal,
    client: Client,
    *,
    actor: str,
    now: float,
) -> tuple[tuple[Decision, ...], tuple[Refusal, ...]]:
    """Record what the channels that are on could do about recommendations. Raises JournalError."""
    channels = frozenset(settings.channels)
    devices = read_devices(client) if TaintDevice.channel in channels else {}
    made, refusals = propose_recommended(
        advice,
        snapshot,
        channels,
        now=now,
        devices=devices,
        actor=actor,
        close_by=settings.cordon_close_by,
    )
    ended = journal.ended_since(now - settings.proposal_pause_seconds)
    return (
        tuple(journal.add(decision) for decision in made if decision.action.uid not in ended),
        refusals,
    )


def place_waiting(
    settings: Settings,
    snapshot: Snapshot,
    waiting: tuple[Decision, ...] = (),
    last_nodes: Mapping[str, str] | None = None,
) -> tuple[Result, ...]:
    """Where the strategy would put the pods that wait. Records nothing."""

    def placed(seen: Snapshot, held: Mapping[str, str]) -> tuple[Result, ...]:
        return place(
            seen,
            settings.placement(),
            held=held,
            last_nodes=last_nodes,
            evidence=settings.placement_evidence(),
            topology=settings.placement_topology_labels,
        )

    held = {decision.action.uid: decision.action.node for decision in waiting}
    return place_elastic(placed, snapshot, held)


def act(
    settings: Settings,
    journal: Journal,
    client: Client,
    prometheus_now: Callable[[], float],
    *,
    actor: str,
    clock: Clock | None = None,
    follower: Callable[[], str | None] = lambda: None,
) -> tuple[Decision, ...]:
    """Settle what an earlier run left intended, then carry out what is approved."""
    clock = clock or Clock()
    policy = replace(settings.policy(), cycle_began_at=clock.now())
    applier = Applier(journal, client, policy, prometheus_now, actor, clock, follower)
    done = list(recover(applier))
    approve_by_standing(journal, policy, now=clock.now())
    for decision in journal.list((State.APPROVED,)):
        with suppress(WrongState):  # another process was first
            done += apply_together(applier, decision)
    return tuple(done)


def revert_harmful(
    settings: Settings,
    journal: Journal,
    client: Client,
    prometheus_now: Callable[[], float],
    *,
    actor: str,
    now: float,
    follower: Callable[[], str | None] = lambda: None,
) -> tuple[Decision, ...]:
    """Take back what was applied lately and keeps pods waiting or crashing. Raises JournalError."""
    applier = Applier(journal, client, settings.policy(), prometheus_now, actor, follower=follower)
    done = []
    for decision in journal.list((State.APPLIED, State.VERIFIED)):
        channel, at = CHANNELS[decision.action.channel], journal.applied_at(decision.id)
        if channel.harm is None or at is None or now - at > settings.harm_window_seconds:
            continue
        with suppress(ApiTrouble, WrongState):  # looked at again in the next cycle
            if why := channel.harm(client, decision.action, settings.harm_patience_seconds):
                done.append(revert(applier, decision, f"it did harm: {why}"))
    return tuple(done)


def _close_outdated(
    settings: Settings, snapshot: Snapshot, journal: Journal, actor: str, now: float
) -> None:
    """Close what has waited too long or is about a pod that is no longer as it was judged.

    Under the acting lock: a decision that is being carried out right now is not ours to close.
    """
    pods = {pod.uid: pod for pod in snapshot.workloads}
    with suppress(JournalLocked), journal.acting():
        expire_overdue(journal, settings.policy(), now=now, actor=actor)
        for decision in journal.list((State.PROPOSED, State.APPROVED)):
            if decision.action.channel not in RELEASING:
                continue
            reason = _outdated(decision, pods.get(decision.action.uid))
            if reason is not None:
                journal.transition(
                    decision.id, State.SUPERSEDED, actor=actor, at=now, reason=reason
                )


def _outdated(decision: Decision, pod: Workload | None) -> str | None:
    what = decision.action.kind.lower() if decision.action.kind == "Pod" else decision.action.kind
    if pod is None:
        return f"the {what} is gone"
    if pod.released_by != decision.action.channel:
        return f"the {what} no longer waits for us"
    if pod.spec_hash != decision.action.spec_hash:
        return f"the {what}'s requests or constraints changed"
    return None


def last_nodes(journal: Journal) -> dict[str, str]:
    """Where each strategy's newest decision went; ids sort by time."""
    return {decision.strategy: decision.action.node for decision in journal.list()}
