"""what-if: what another placement would have made of the cluster's own last days."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from agentaflow_advisor.commands.runs import Dask, Jobs, Seeds, executor, known, numbers
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.commands.simulate import compared
from agentaflow_advisor.configuration import SettingsError
from agentaflow_advisor.connections import open_prometheus
from agentaflow_advisor.model import Past, Refusal
from agentaflow_advisor.observe.errors import NoHistory
from agentaflow_advisor.observe.past import past
from agentaflow_advisor.place.demand import WHOLE
from agentaflow_advisor.place.history import History, history
from agentaflow_advisor.place.measures import Measures, measures
from agentaflow_advisor.place.scorers import KINDS
from agentaflow_advisor.place.simulations import Outcome, Study
from agentaflow_advisor.render import Column, counted, duration, iso, percent, plain

STRATEGIES = ("least_waste", "fragmentation", "best_fit")
POLICY = "best_effort_fifo"  # kube-scheduler's: who does not fit lets others pass
NOTABLE_GPUS = 0.05
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help=f"One of {', '.join(kind.name for kind in KINDS)}; repeatable; "
        f"{', '.join(STRATEGIES)} if none.",
    ),
]
Cluster = Annotated[
    str | None, typer.Option(metavar="NAME", help="The cluster, where Prometheus has several.")
]


@command("window_seconds")
def whatif(
    session: Session,
    strategy: Strategies = None,
    cluster: Cluster = None,
    seeds: Seeds = "1-3",
    jobs: Jobs = 0,
    dask: Dask = None,
) -> int:
    """Replay the last days of a cluster under other strategies, and compare with what really ran.

    Pods and their times are those of kube-state-metrics' series in Prometheus.
    """
    names = [known(name) for name in strategy or STRATEGIES]
    chosen = numbers(seeds)
    told, notes = _look(session)
    own = history(told, _cluster(told, cluster))
    if not own.records:
        raise NoHistory(
            f"{session.settings.prometheus_url}: no pod of that cluster asked for GPUs in the last "
            f"{duration(own.window_seconds)}; give a longer --window"
        )
    study = Study(own, POLICY, time.process_time, horizon_seconds=own.window_seconds)
    outcomes = compared(session, [study], names, chosen, executor(jobs, dask))
    gpus = own.size()["gpus"]
    real = measures(own.records, gpus * WHOLE, own.window_seconds)
    more = {one.strategy: _more(one, real, gpus) for one in outcomes}
    if session.output.as_json:
        session.output.document(_document(told, own, real, more, outcomes, notes))
        return 0
    _show(session, own, real, outcomes, gpus)
    session.output.line(_verdict(outcomes, more, real))
    session.output.line(_basis(told, own, outcomes))
    for note in notes:
        session.output.line(f"{note.subject}: {note.reason}")
    return 0


def _document(
    told: Past,
    own: History,
    real: Measures,
    more: Mapping[str, float],
    outcomes: Sequence[Outcome],
    notes: Sequence[Refusal],
) -> dict[str, object]:
    return {
        "start_at": told.start_at,
        "end_at": told.end_at,
        "size": own.size(),
        "assumed_durations": own.unstarted,
        "unfinished": own.unfinished,
        "really": real,
        "more_gpus": more,
        "outcomes": plain(outcomes),
        "refusals": notes,
    }


def _look(session: Session) -> tuple[Past, tuple[Refusal, ...]]:
    with open_prometheus(session.settings) as prometheus, session.output.progress("asking"):
        found, notes = past(
            prometheus, window_seconds=session.settings.window_seconds, at=prometheus.now()
        )
    if not found.nodes or not found.runs:
        lacking = "kube_node_status_allocatable" if found.runs else "kube_pod_info"
        raise NoHistory(
            f"{session.settings.prometheus_url} has no {lacking} of the window: let it scrape "
            "kube-state-metrics with the resources pods and nodes"
        )
    return found, notes


def _cluster(told: Past, wanted: str | None) -> str:
    names = sorted({node.cluster for node in told.nodes})
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        said = "Prometheus has several" if wanted is None else f"{wanted} has no nodes with GPUs"
        raise SettingsError(f"--cluster: {said}: give one of {', '.join(map(repr, names))}")
    return str(wanted)


def _more(outcome: Outcome, real: Measures, gpus: int) -> float:
    """GPUs in use beyond what really was, mean over the window and the seeds."""
    ratio = outcome.overall["allocation_mean_ratio"].mean - real.allocation_mean_ratio
    return round(ratio * gpus, 4)


def _show(
    session: Session, own: History, real: Measures, outcomes: Sequence[Outcome], gpus: int
) -> None:
    headings = ["GPUS IN USE", "ALLOCATED", "UNMET", "P50 WAIT", "P99 WAIT", "REFUSED"]
    columns = [Column("STRATEGY"), *(Column(heading, right=True) for heading in headings)]
    really = {name: float(getattr(real, name)) for name in Measures.__dataclass_fields__}
    rows = [("as it was", *_cells(really, gpus))]
    for one in outcomes:
        figures = {name: spread.mean for name, spread in one.overall.items()}
        rows.append((one.strategy, *_cells(figures, gpus)))
    session.output.table(columns, rows)
    size = own.size()
    session.output.line(
        f"{counted(size['pods'], 'pod')} with GPUs, {counted(size['nodes'], 'node')}, {gpus:,} "
        "GPUs; unmet: of the GPU hours asked for in the window, those not served in it; waits are "
        "of pods that started; refused: pods for which no node would ever have had room"
    )


def _cells(figures: dict[str, float], gpus: int) -> tuple[str, ...]:
    asked = figures["asked_gpu_hours"]
    return (
        f"{figures['allocation_mean_ratio'] * gpus:,.1f}",
        percent(figures["allocation_mean_ratio"]),
        percent(figures["unmet_gpu_hours"] / asked if asked else None),
        duration(figures["waited_p50_seconds"]),
        duration(figures["waited_p99_seconds"]),
        f"{figures['refused_jobs']:,.0f}",
    )


def _verdict(outcomes: Sequence[Outcome], more: dict[str, float], real: Measures) -> str:
    best = max(outcomes, key=lambda one: more[one.strategy])
    gain = more[best.strategy]
    waits = (
        f"99 % of the pods would have waited at most "
        f"{duration(best.overall['waited_p99_seconds'].mean)}, not "
        f"{duration(real.waited_p99_seconds)}"
    )
    if gain < NOTABLE_GPUS:
        return f"None of these would have run more than really ran; with {best.strategy} {waits}."
    return (
        f"With {best.strategy} placement you would have run {gain:,.1f} more GPUs' worth of pods, "
        f"on the mean; {waits}."
    )


def _basis(told: Past, own: History, outcomes: Sequence[Outcome]) -> str:
    seeds = counted(len(outcomes[0].seeds), "order")
    return (
        f"From {iso(told.start_at)} to {iso(told.end_at)}, mean of {seeds} of equal nodes. "
        f"Assumed: {counted(own.unstarted, 'pod')} that never started would have run as long as "
        f"their like; {counted(own.unfinished, 'pod')} that still ran at the end "
        "would have run on. Not known: node selectors, quotas, which pods belong together."
    )
