"""journal list, show and verify: what was decided, by whom, why, and what became of it."""

from __future__ import annotations

from typing import Annotated

import typer

from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.decide.journal import Event
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.render import Column, counted, duration, iso, short

EXIT_JOURNAL = 4
Id = Annotated[
    str, typer.Argument(metavar="ID", help="A decision's id, or an end or beginning of it.")
]


@command()
def list_(
    session: Session,
    state: Annotated[
        list[State] | None, typer.Option(help="Only decisions in this state; may be repeated.")
    ] = None,
) -> int:
    """List decisions, the oldest first."""
    with session.journal() as journal:
        decisions = journal.list(state or None)
    if session.output.as_json:
        session.output.document({"decisions": decisions})
    elif decisions:
        session.output.table(
            [
                Column("ID"),
                Column("STATE"),
                Column("SINCE", right=True),
                Column("WHAT"),
                Column("NODE"),
                Column("STRATEGY"),
                Column("BY"),
                Column("REASON"),
            ],
            [_row(decision, session.clock()) for decision in decisions],
        )
    else:
        session.output.line("no decisions")
    return 0


@command()
def show(session: Session, decision_id: Id) -> int:
    """Show one decision: its action, its evidence, and each step of its life."""
    with session.journal() as journal:
        decision = journal.get(decision_id)
        events = journal.events(decision.id)
    if session.output.as_json:
        session.output.document({"decision": decision, "events": events})
    else:
        _describe(session, decision, events)
    return 0


@command()
def verify(session: Session) -> int:
    """Check the journal's hash chain, and that it tells the same as the list of decisions."""
    with session.journal() as journal:
        problems = journal.verify()
        number = len(journal.list()) if not problems else 0
    if session.output.as_json:
        session.output.document({"intact": not problems, "problems": problems})
    elif problems:
        for problem in problems:
            session.output.note(f"agentaflow: journal {journal.path}: {problem}")
    else:
        session.output.line(f"journal {journal.path}: {counted(number, 'decision')}, chain intact")
    return EXIT_JOURNAL if problems else 0


def _row(decision: Decision, now: float) -> tuple[str, ...]:
    action = decision.action
    return (
        short(decision.id),
        decision.state,
        duration(max(0.0, now - decision.state_at)),
        f"{action.channel} {action.ref}",
        action.node,
        decision.strategy,
        decision.actor,
        decision.reason,
    )


def _describe(session: Session, decision: Decision, events: tuple[Event, ...]) -> None:
    action, evidence, line = decision.action, decision.evidence, session.output.line
    line(f"decision   {decision.id}")
    line(f"state      {decision.state}{f': {decision.reason}' if decision.reason else ''}")
    line(f"what       {action.channel} of {action.kind} {action.ref} (uid {action.uid})")
    line(f"node       {action.node or '-'}, by {decision.strategy}")
    line(f"why        {decision.why}")
    queries = counted(len(evidence.promql), "query", "queries")
    line(
        f"evidence   {queries} at {iso(evidence.evaluated_at)}, "
        f"{counted(evidence.samples, 'sample')} of the node, "
        f"the newest {duration(evidence.newest_age_seconds)} old"
    )
    line()
    session.output.table(
        [Column("AT"), Column("STATE"), Column("BY"), Column("REASON")],
        [(iso(event.at) or "-", event.to_state, event.actor, event.reason) for event in events],
    )
