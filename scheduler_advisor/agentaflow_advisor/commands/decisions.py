"""approve, reject and apply: a person's yes or no, and carrying out what was approved."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import typer
from lightkube import Client

from agentaflow_advisor.act.apply import Applier
from agentaflow_advisor.act.apply import revert as take_back
from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.commands.recommend import look
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster, open_prometheus
from agentaflow_advisor.cycle import PLACE_SIGNALS, act, propose_advice
from agentaflow_advisor.decide.approval import approve as record_approval
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, Recommendation, State
from agentaflow_advisor.render import Column, counted, short
from agentaflow_advisor.verify import verify_applied

EXIT_NOT_DONE = 5
GOOD = frozenset({State.APPROVED, State.APPLIED, State.VERIFIED})
POLL_SECONDS = 0.25

Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Decisions, by their id or an end or beginning of it."),
]


RecommendationIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID...]", help="Recommendations, by their whole id."),
]


@command()
def approve(session: Session, ids: Ids) -> int:
    """Say yes to proposed decisions. `apply` then carries them out."""
    policy = session.settings.policy()
    with session.journal() as journal:
        decisions = [
            record_approval(journal, each, actor=session.actor, now=session.clock(), policy=policy)
            for each in _full_ids(journal, ids)
        ]
    return _report(session, decisions)


@command()
def reject(
    session: Session,
    ids: Ids,
    reason: Annotated[str, typer.Option(help="Kept in the journal.")] = "no reason given",
) -> int:
    """Say no to proposed or approved decisions."""
    with session.journal() as journal, journal.acting():
        decisions = [
            journal.transition(
                each,
                State.VETOED,
                actor=session.actor,
                at=session.clock(),
                reason=f"rejected: {reason}",
            )
            for each in _full_ids(journal, ids)
        ]
    _report(session, decisions)
    return 0


@command("channels")
def apply(
    session: Session,
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="How long to wait for what was applied to take effect."
        ),
    ] = 0.0,
) -> int:
    """Carry out approved decisions, and verify the applied ones.

    Needs a channel to be switched on: `--channel scheduling-gate`. Whatever an earlier run left
    unfinished is settled first.
    """
    settings = session.settings
    if not settings.channels:
        session.output.note(
            "agentaflow: no channel is on, so nothing was applied; add --channel scheduling-gate"
        )
        return EXIT_NOT_DONE
    with (
        open_cluster(settings) as client,
        open_prometheus(settings) as prometheus,
        session.journal() as journal,
    ):
        prometheus.now()  # without it the age of the evidence cannot be told, and all is vetoed
        decisions = act(settings, journal, client, prometheus.now, actor=session.actor)
        outcome = _verified(session, journal, client, decisions, wait)
    code = _report(session, outcome)
    late = [decision for decision in outcome if decision.state is State.APPLIED]
    if wait and late:
        vain = f"waited {wait:g} s in vain for {_awaited(late)}"
        session.output.note(f"agentaflow: {vain}; the next apply looks again")
        return EXIT_NOT_DONE
    return code


@command("channels", "window_seconds", "dialect", "percentile", "prices_file", "history")
def propose(session: Session, ids: RecommendationIds = None) -> int:
    """Record what the channels that are on could do about recommendations, as proposals.

    Without IDs for all that are active. An idle pod may be evicted, a node that should be drained
    tainted or cordoned, a node that should be looked at labelled; `approve` says yes to them.
    """
    settings = session.settings
    if not settings.channels:
        session.output.note("agentaflow: no channel is on, so nothing is proposed; add --channel …")
        return EXIT_NOT_DONE
    advice = look(session, record=False, also=PLACE_SIGNALS)
    wanted = _chosen(advice.active, ids or ())
    with open_cluster(settings) as client, Journal(settings.journal) as journal:
        made, refusals = propose_advice(
            settings,
            wanted,
            advice.snapshot,
            journal,
            client,
            actor=session.actor,
            now=session.clock(),
        )
    if session.output.as_json:
        session.output.document({"decisions": made, "refusals": refusals})
        return 0
    if made:
        show(session, made)
    for refusal in refusals:
        session.output.line(f"{refusal.subject} is not proposed: {refusal.reason}")
    if not made and not refusals:
        session.output.line("no recommendation is one that these channels could carry out")
    return 0


def _chosen(active: Iterable[Recommendation], ids: Iterable[str]) -> tuple[Recommendation, ...]:
    """Those of these ids, all of them known; all where no id is given."""
    known = {each.id: each for each in active}
    unknown = [each for each in ids if each not in known]
    if unknown:
        raise typer.BadParameter(
            f"no active recommendation {unknown[0]!r}; `agentaflow recommend` shows the ids"
        )
    return tuple(known[each] for each in ids) or tuple(known.values())


@command()
def revert(
    session: Session,
    ids: Ids,
    reason: Annotated[str, typer.Option(help="Kept in the journal.")] = "no reason given",
) -> int:
    """Take applied decisions back: unlabel, open again, suspend again. Evictions stay."""
    settings = session.settings
    with (
        open_cluster(settings) as client,
        session.journal() as journal,
    ):
        applier = Applier(journal, client, settings.policy(), session.clock, actor=session.actor)
        decisions = [
            take_back(applier, journal.get(each), f"taken back: {reason}")
            for each in _full_ids(journal, ids)
        ]
    _report(session, decisions)
    reverted = all(decision.state is State.REVERTED for decision in decisions)
    return 0 if reverted else EXIT_NOT_DONE


def _full_ids(journal: Journal, ids: Iterable[str]) -> list[str]:
    """Each decision once, and all of them known before the first is changed."""
    return list(dict.fromkeys(journal.get(each).id for each in ids))


def _verified(
    session: Session, journal: Journal, client: Client, decisions: Iterable[Decision], wait: float
) -> list[Decision]:
    """The same decisions and all others that were applied, in the states they have come to."""
    deadline = time.monotonic() + wait
    known = {decision.id: decision for decision in decisions}
    awaited = _awaited(journal.list((State.APPLIED,)))
    with session.output.progress(f"waiting for {awaited}" if awaited else "verifying"):
        while True:
            found = verify_applied(journal, client, now=session.clock(), actor=session.actor)
            known |= {decision.id: decision for decision, _ in found}
            waiting = any(decision.state is State.APPLIED for decision, _ in found)
            left = deadline - time.monotonic()
            if not waiting or left <= 0:
                return list(known.values())
            time.sleep(min(POLL_SECONDS, left))


def _awaited(applied: Iterable[Decision]) -> str:
    """1 pod to be bound and 2 pods to be gone."""
    numbers = Counter(CHANNELS[each.action.channel] for each in applied)
    told = []
    for channel, number in sorted(numbers.items(), key=lambda item: item[0].name):
        kind = channel.action.kind.lower() if channel.action.kind == "Pod" else channel.action.kind
        told.append(f"{counted(number, kind)} {channel.awaits}")
    return " and ".join(told)


def _report(session: Session, decisions: list[Decision]) -> int:
    """What became of each; 5 where one did not go well."""
    if session.output.as_json:
        session.output.document({"decisions": decisions})
    elif decisions:
        show(session, decisions)
    else:
        session.output.line("nothing to do: no decision is approved; see `agentaflow journal list`")
    return 0 if all(decision.state in GOOD for decision in decisions) else EXIT_NOT_DONE


def show(session: Session, decisions: Iterable[Decision]) -> None:
    """Decisions as a table."""
    columns = [Column("ID"), Column("STATE"), Column("WHAT"), Column("NODE"), Column("REASON")]
    rows = [
        (
            short(decision.id),
            decision.state,
            f"{decision.action.channel} {decision.action.ref}",
            decision.action.node,
            decision.reason or decision.why,
        )
        for decision in decisions
    ]
    session.output.table(columns, rows)
