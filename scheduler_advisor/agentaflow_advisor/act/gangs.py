"""A gang goes whole or not at all: who goes with a decision, and what keeps all of them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agentaflow_advisor.decide.guards import PACING, Context, Recent, reasons, vetoes
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, Settled, State

Verdict = Context | Settled
"""The facts that let a decision go; or how it ended."""
GUARD = "gang_whole"
WHOLE = "it goes whole or not at all"
GONE = frozenset({State.APPLIED, State.VERIFIED})


def fellows(journal: Journal, decision: Decision) -> tuple[Decision, ...]:
    """The decision, and those of its gang that are agreed or under way, oldest first."""
    gang, channel = decision.action.gang, decision.action.channel
    if not gang:
        return (decision,)
    return tuple(
        each
        for each in journal.list((State.APPROVED, State.INTENDED))
        if (each.action.gang, each.action.channel) == (gang, channel)
    )


def beside(gang: Sequence[Decision], looked: Sequence[Verdict]) -> list[Verdict]:
    """Each with the others on the nodes of their decisions."""
    sent = {
        decision.id: replace(one.target.pod, node=decision.action.node)
        for decision, one in zip(gang, looked, strict=True)
        if isinstance(one, Context) and one.target.pod
    }
    return [
        one
        if isinstance(one, Settled)
        else replace(one, together=tuple(pod for name, pod in sent.items() if name != decision.id))
        for decision, one in zip(gang, looked, strict=True)
    ]


def none_goes(gang: Sequence[Decision], verdicts: Sequence[Verdict]) -> list[Settled]:
    """How each ends where one cannot go; empty where all can, or have gone."""
    lost = [
        f"{decision.action.ref}: {one.reason}"
        for decision, one in zip(gang, verdicts, strict=True)
        if isinstance(one, Settled) and one.state not in GONE
    ]
    if not lost:
        return []
    more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
    veto = _veto(f"{WHOLE}, and {lost[0]}{more}")
    return [one if isinstance(one, Settled) else veto for one in verdicts]


def held_back(gang: Sequence[Decision], verdicts: Sequence[Verdict]) -> str:
    """Which limit of pace the whole of it would exceed; empty where none."""
    gone: tuple[Recent, ...] = ()
    for decision, one in zip(gang, verdicts, strict=True):
        if isinstance(one, Settled) or decision.state is not State.APPROVED:
            continue
        facts = replace(one, recent=(*gone, *one.recent))
        if found := vetoes(decision, facts, PACING):
            return f"{WHOLE}, and with {len(gone)} of it {reasons(found)}"
        gone = (Recent(decision, one.now), *gone)
    return ""


def refused(gang: Sequence[Decision], one: Decision, reason: str) -> list[Settled]:
    """How each ends where the server would refuse one of it."""
    veto = _veto(f"{WHOLE}, and {one.action.ref}: {reason}")
    return [Settled(State.FAILED, reason) if each.id == one.id else veto for each in gang]


def left_behind(done: Sequence[Decision]) -> Iterator[tuple[int, str]]:
    """Numbers of those that ended without having gone although others went, and what to say."""
    went = [each.action.ref for each in done if each.state in GONE]
    for number, each in enumerate(done):
        if went and each.state not in (*GONE, State.INTENDED, State.APPROVED):
            said = f"{len(went)} of its gang went without it: {', '.join(went[:3])}"
            told = f"{each.reason}; {said}; `agentaflow place` can place it again beside them"
            yield number, told


def _veto(reason: str) -> Settled:
    return Settled(State.VETOED, f"{GUARD}: {reason}", ((GUARD, reason),))
