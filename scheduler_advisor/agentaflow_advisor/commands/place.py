"""place: where the pods behind our gate should go, recorded as proposals that wait for a yes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from agentaflow_advisor.advice import observe
from agentaflow_advisor.commands.manifest import read_pods
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster, open_prometheus
from agentaflow_advisor.cycle import (
    PLACE_SIGNALS,
    Proposals,
    last_nodes,
    place_waiting,
    propose_placements,
)
from agentaflow_advisor.decide.journal import OPEN, Journal
from agentaflow_advisor.model import Decision, Placement, QuotaLeft, Refusal, Snapshot, Workload
from agentaflow_advisor.model.names import GATE
from agentaflow_advisor.observe.quotas import quotas_left
from agentaflow_advisor.place import Result, explain
from agentaflow_advisor.place.admission import over_quota
from agentaflow_advisor.render import Column, counted, short


@command("strategy", "window_seconds", "dialect", "percentile")
def place(
    session: Session,
    file: Annotated[
        Path | None,
        typer.Option(
            "-f", "--file", metavar="FILE", help="Say where these pods would go; records nothing."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be proposed; records nothing.")
    ] = False,
) -> int:
    """Choose a node for each waiting pod, and record the choices as proposals.

    Waiting are the pods that have the label agentaflow.io/managed=true and the scheduling gate
    agentaflow.io/placement, in namespaces that have the label too. `approve` says yes to a
    proposal, `apply` carries it out.
    """
    pods = read_pods(file) if file else ()
    settings = session.settings
    with (
        open_cluster(settings) as client,
        open_prometheus(settings) as prometheus,
        session.output.progress("looking at the fleet"),
    ):
        snapshot = observe(settings, prometheus, client, PLACE_SIGNALS)
        quotas = quotas_left(client, {pod.namespace for pod in pods})
    if pods:
        results = _explained(session, snapshot, pods, quotas)
        return _show(session, _unrecorded(results, ()), recorded=False)
    if dry_run:
        return _show(session, _rehearsed(session, snapshot), recorded=False)
    with Journal(settings.journal) as journal:
        proposals = propose_placements(
            settings, snapshot, journal, actor=session.actor, now=session.clock()
        )
    return _show(session, proposals, recorded=True)


def _explained(
    session: Session, snapshot: Snapshot, pods: Sequence[Workload], quotas: Sequence[QuotaLeft]
) -> tuple[Result, ...]:
    """Of pods that are not there yet: the API server asks their namespace's quota first."""
    settings = session.settings
    refused = over_quota(pods, quotas)
    outside = {each.subject for each in refused}
    placed = explain(
        snapshot,
        settings.placement(),
        [pod for pod in pods if pod.ref not in outside],
        evidence=settings.placement_evidence(),
        topology=settings.placement_topology_labels,
    )
    return (*placed, *refused)


def _rehearsed(session: Session, snapshot: Snapshot) -> Proposals:
    """The same without a trace: a journal that does not exist yet is not made either."""
    settings = session.settings
    waiting: tuple[Decision, ...] = ()
    last: dict[str, str] = {}
    if settings.journal.exists():
        with Journal(settings.journal) as journal:
            waiting, last = journal.list(OPEN), last_nodes(journal)
    return _unrecorded(place_waiting(settings, snapshot, waiting, last), waiting)


def _unrecorded(results: Iterable[Result], waiting: tuple[Decision, ...]) -> Proposals:
    results = tuple(results)
    return Proposals(
        placements=tuple(result for result in results if isinstance(result, Placement)),
        refusals=tuple(result for result in results if isinstance(result, Refusal)),
        waiting=waiting,
        decisions={},
    )


def _show(session: Session, proposals: Proposals, *, recorded: bool) -> int:
    if session.output.as_json:
        session.output.document(
            {
                "recorded": recorded,
                "placements": [
                    _document(each, proposals.decisions) for each in proposals.placements
                ],
                "refusals": proposals.refusals,
                "waiting": proposals.waiting,
            }
        )
        return 0
    output = session.output
    if proposals.placements:
        columns = [Column("POD"), Column("NODE"), Column("WHY")]
        ids = [Column("ID")] if recorded else []
        output.table([*ids, *columns], [_row(p, proposals.decisions) for p in proposals.placements])
    for refusal in proposals.refusals:
        output.line(f"{refusal.subject} is not placed: {refusal.reason}")
    if proposals.waiting:
        output.line(
            f"{counted(len(proposals.waiting), 'earlier decision')} still open; "
            "see `agentaflow journal list`"
        )
    if not proposals.placements and not proposals.refusals and not proposals.waiting:
        output.line(f"no pod waits behind the gate {GATE}")
    if recorded and proposals.placements:
        output.line(f"{counted(len(proposals.placements), 'proposal')} recorded; next: approve ID")
    return 0


def _row(placement: Placement, decisions: Mapping[str, Decision]) -> tuple[str, ...]:
    decision = decisions.get(placement.workload.uid)
    row = (placement.workload.ref, placement.node, placement.why)
    return (short(decision.id), *row) if decision else row


def _document(placement: Placement, decisions: Mapping[str, Decision]) -> dict[str, object]:
    decision = decisions.get(placement.workload.uid)
    return {
        "decision": decision.id if decision else None,
        "namespace": placement.workload.namespace,
        "pod": placement.workload.name,
        "uid": placement.workload.uid or None,
        "node": placement.node,
        "hostname": placement.hostname,
        "strategy": placement.strategy,
        "score": placement.score,
        "parts": placement.parts,
        "runner_up": placement.runner_up,
        "runner_up_parts": placement.runner_up_parts,
        "refused": placement.refused,
        "why": placement.why,
    }
