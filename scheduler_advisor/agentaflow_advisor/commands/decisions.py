"""approve, reject and apply: a person's yes or no, and carrying out what was approved."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Annotated

import typer
from lightkube import Client

from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster, open_prometheus
from agentaflow_advisor.cycle import act
from agentaflow_advisor.decide.approval import approve as record_approval
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.render import Column, counted, short
from agentaflow_advisor.verify import verify_applied

EXIT_NOT_DONE = 5
GOOD = frozenset({State.APPROVED, State.APPLIED, State.VERIFIED})
POLL_SECONDS = 0.25

Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Decisions, by their id or an end or beginning of it."),
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
        typer.Option(metavar="SECONDS", min=0, help="How long to wait for pods to be bound."),
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
    late = sum(decision.state is State.APPLIED for decision in outcome)
    if wait and late:
        session.output.note(f"agentaflow: {counted(late, 'pod')} not bound within {wait:g} s")
        return EXIT_NOT_DONE
    return code


def _full_ids(journal: Journal, ids: Iterable[str]) -> list[str]:
    """Each decision once, and all of them known before the first is changed."""
    return list(dict.fromkeys(journal.get(each).id for each in ids))


def _verified(
    session: Session, journal: Journal, client: Client, decisions: Iterable[Decision], wait: float
) -> list[Decision]:
    """The same decisions and all others that were applied, in the states they have come to."""
    deadline = time.monotonic() + wait
    known = {decision.id: decision for decision in decisions}
    with session.output.progress("waiting for pods to be bound"):
        while True:
            found = verify_applied(journal, client, now=session.clock(), actor=session.actor)
            known |= {decision.id: decision for decision, _ in found}
            waiting = any(decision.state is State.APPLIED for decision, _ in found)
            left = deadline - time.monotonic()
            if not waiting or left <= 0:
                return list(known.values())
            time.sleep(min(POLL_SECONDS, left))


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
    columns = [Column("ID"), Column("STATE"), Column("POD"), Column("NODE"), Column("REASON")]
    rows = [
        (
            short(decision.id),
            decision.state,
            f"{decision.action.namespace}/{decision.action.name}",
            decision.action.node,
            decision.reason or decision.why,
        )
        for decision in decisions
    ]
    session.output.table(columns, rows)
