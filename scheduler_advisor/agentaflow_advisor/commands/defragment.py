"""defragment: which moves of running pods would make room for those that wait; it makes none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from agentaflow_advisor.advice import observe
from agentaflow_advisor.analyze.defragmentation import SIGNALS, why_not
from agentaflow_advisor.commands.coming import within
from agentaflow_advisor.commands.runs import numbers
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.configuration import SettingsError
from agentaflow_advisor.connections import open_cluster, open_prometheus
from agentaflow_advisor.model import Refusal
from agentaflow_advisor.place.consolidation import Proposal, propose
from agentaflow_advisor.place.defragmentation import Move, Plan
from agentaflow_advisor.place.endstate import Defragmented, defragmented
from agentaflow_advisor.place.scorers import kind_named
from agentaflow_advisor.place.seeds import spread
from agentaflow_advisor.place.traces import demands, machines
from agentaflow_advisor.render import Column, counted, plain

TOP = 20
Nodes = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Instead of the cluster: nodes as CSV, as for `replay`."),
]
Pods = Annotated[
    Path | None, typer.Option(metavar="FILE", help="With --nodes: pods as CSV, as for `replay`.")
]
Strategy = Annotated[
    str, typer.Option(metavar="NAME", help="With --nodes: what placed the pods; as for `replay`.")
]
Seeds = Annotated[
    str, typer.Option(metavar="LIST", help="With --nodes: orders of arrival, such as 42-51.")
]
Load = Annotated[
    float,
    typer.Option(
        metavar="PERCENT", help="With --nodes: of the GPUs, how many were asked for: 1 to 130."
    ),
]
Top = Annotated[int, typer.Option(metavar="N", min=0, help="Moves in the table; 0 for all.")]


@command(
    "defragment_budget_ratio",
    "defragment_max_moves",
    "defragment_min_age_seconds",
    "window_seconds",
    "dialect",
)
def defragment(
    session: Session,
    nodes: Nodes = None,
    pods: Pods = None,
    strategy: Strategy = "fragmentation",
    seeds: Seeds = "42",
    load: Load = 100.0,
    top: Top = TOP,
) -> int:
    """Say which running pods, moved, would make room for pods that wait for GPUs.

    It only says so: nothing is evicted. Every move is possible when its turn comes, since the pod's
    new place is free by then. Left alone are pods without a controller or of a DaemonSet, young
    ones, those whose PodDisruptionBudget allows no disruption, those of a higher priority than all
    that wait, and gangs of which one may not go. With --nodes and --pods: from the end state of the
    experiment that `replay` makes.
    """
    if (nodes is None) != (pods is None):
        raise SettingsError("give both --nodes and --pods, or neither for the cluster")
    within("--load", load, 1, 130)
    if nodes is not None and pods is not None:
        return _lists(session, nodes, pods, strategy, numbers(seeds), load / 100, top)
    settings = session.settings
    with (
        open_cluster(settings) as client,
        open_prometheus(settings) as prometheus,
        session.output.progress("looking at the fleet"),
    ):
        snapshot = observe(settings, prometheus, client, SIGNALS)
    session.warn_of(snapshot.missing)
    with session.output.bar("looking for moves") as advance:
        found = propose(snapshot, settings.defragmentation().moves, advance)
    return _refused(session, found) if isinstance(found, Refusal) else _told(session, found, top)


def _lists(
    session: Session,
    nodes: Path,
    pods: Path,
    strategy: str,
    seeds: Sequence[int],
    load: float,
    top: int,
) -> int:
    kind = kind_named(strategy)
    if kind is None:
        raise SettingsError(f"--strategy {strategy}: there is none of that name; see `replay`")
    fleet = machines(nodes)
    listed = demands(pods, [one.model for one in fleet])
    ratio = session.settings.defragment_budget_ratio
    found: list[Defragmented] = []
    with session.output.bar(counted(len(seeds), "seed")) as advance:
        for number, seed in enumerate(seeds):
            advance(number, len(seeds))
            found.append(defragmented(fleet, listed, kind, seed, load, ratio))
    if session.output.as_json:
        session.output.document(
            {
                "nodes": str(nodes),
                "pods": str(pods),
                "strategy": kind.name,
                "budget_ratio": ratio,
                "load_percent": 100 * load,
                "unallocated_percent": {
                    "before": spread([_before(one.plan) for one in found]),
                    "after": spread([_after(one.plan) for one in found]),
                },
                "seeds": [{**plain(one), "plan": _document(one.plan)} for one in found],
            }
        )
        return 0
    _seeds_table(session, found)
    if len(found) == 1:
        _moves_table(session, found[0].plan, top)
    return 0


def _seeds_table(session: Session, found: Sequence[Defragmented]) -> None:
    headings = (
        "SEED",
        "PODS",
        "WAITING",
        "MOVES",
        "ROOM FOR",
        "UNALLOCATED",
        "AFTER",
        "FRAGMENTED",
    )
    rows = [
        (
            str(one.seed),
            str(one.placed_pods),
            str(one.waiting_pods),
            f"{len(one.plan.moves)} of {one.plan.budget}",
            str(len(one.plan.admissions)),
            f"{_before(one.plan):.2f} %",
            f"{_after(one.plan):.2f} %",
            f"{one.fragmented_before_percent:.0f} → {one.fragmented_after_percent:.0f} %",
        )
        for one in found
    ]
    session.output.table([Column(heading, right=True) for heading in headings], rows)
    before, after = (spread([each(one.plan) for one in found]) for each in (_before, _after))
    session.output.line(
        f"GPUs left unallocated, in percent: {before.mean:.2f} ± {before.sd:.2f} before, "
        f"{after.mean:.2f} ± {after.sd:.2f} after, mean ± sd of {counted(len(found), 'seed')}; "
        "fragmented: of what is unallocated"
    )


def _told(session: Session, found: Proposal, top: int) -> int:
    plan = found.plan
    if session.output.as_json:
        session.output.document(
            {
                "cluster": found.cluster,
                "waiting": [pod.ref for pod in found.waiting],
                "protected": found.protected,
                "refusals": found.refusals,
                **_document(plan),
            }
        )
        return 0
    for refusal in found.refusals:
        session.output.line(f"{refusal.subject}: {refusal.reason}")
    if not found.waiting:
        session.output.line("no pod waits for GPUs that could not have them now")
    elif not plan.admissions:
        session.output.line(f"{counted(len(found.waiting), 'pod')} waiting: {why_not(found)}")
    else:
        _moves_table(session, plan, top)
    return 0


def _moves_table(session: Session, plan: Plan, top: int) -> None:
    moves = plan.moves
    shown = moves[:top] if top else moves
    rows = [
        (
            str(number),
            move.pod,
            _place(move.from_node, move.from_gpus),
            _place(move.to_node, move.to_gpus),
            f"{move.worth_gpus:.2f}",
            _why(move),
        )
        for number, move in enumerate(shown, 1)
    ]
    columns = [Column("#", right=True), Column("MOVE"), Column("FROM"), Column("TO")]
    columns += [Column("WORTH", right=True), Column("ROOM FOR")]
    session.output.table(columns, rows)
    if len(shown) < len(moves):
        session.output.line(f"… and {len(moves) - len(shown)} more; --top 0 shows all")
    session.output.line(
        f"{counted(len(moves), 'move')} of {plan.budget} allowed make room for "
        f"{counted(len(plan.admissions), 'pod')}: unallocated {plan.unallocated_before:.1f} → "
        f"{plan.unallocated_after:.1f} of {plan.capacity_gpus:.0f} GPUs; worth: GPUs that would "
        "wait on without that move; nothing was done"
    )


def _why(move: Move) -> str:
    named = ", ".join(move.room_for[:2])
    more = len(move.room_for) - 2
    return named + (f" and {more} more" if more > 0 else "")


def _place(node: str, gpus: tuple[int, ...]) -> str:
    return f"{node}/{','.join(map(str, gpus))}" if gpus else node


def _refused(session: Session, refusal: Refusal) -> int:
    if session.output.as_json:
        session.output.document({"refusals": [refusal]})
    else:
        session.output.line(f"{refusal.subject}: {refusal.reason}")
    return 0


def _document(plan: Plan) -> dict[str, object]:
    return {
        "budget": plan.budget,
        "capacity_gpus": plan.capacity_gpus,
        "unallocated_before_gpus": plan.unallocated_before,
        "unallocated_after_gpus": plan.unallocated_after,
        "steps": [
            {"step": "move" if isinstance(step, Move) else "admit", **plain(step)}
            for step in plan.steps
        ],
    }


def _before(plan: Plan) -> float:
    return 100 * plan.unallocated_before / plan.capacity_gpus


def _after(plan: Plan) -> float:
    return 100 * plan.unallocated_after / plan.capacity_gpus
