"""report efficiency: how well the GPUs were used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from typing import Annotated

import typer

from agentaflow_advisor.advice import observe
from agentaflow_advisor.analyze.efficiency import SIGNALS as EFFICIENCY_SIGNALS
from agentaflow_advisor.analyze.efficiency import EfficiencyRow
from agentaflow_advisor.analyze.efficiency import report as efficiency_of
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster_if_given, open_prometheus
from agentaflow_advisor.model import Refusal, Snapshot
from agentaflow_advisor.render import Column, duration, iso, percent


class By(StrEnum):
    NAMESPACE = "namespace"
    NODE = "node"
    GPU = "gpu"


Grouping = Annotated[By, typer.Option("--by", help="What a row is about.")]


@command("window_seconds", "dialect", "percentile")
def efficiency(session: Session, by: Grouping = By.NAMESPACE) -> int:
    """Say how busy the GPUs were over the window, and what energy that took."""
    snapshot = _look(session, EFFICIENCY_SIGNALS)
    session.warn_of(snapshot.missing)
    rows = efficiency_of(snapshot, by=by.value)
    if session.output.as_json:
        session.output.document(
            {
                "taken_at": snapshot.taken_at,
                "window_seconds": snapshot.window_seconds,
                "percentile": snapshot.percentile,
                "rows": rows,
                "refusals": snapshot.refusals,
            }
        )
        return 0
    headings = [
        by.value.upper(),
        "GPUS",
        "GPU HOURS",
        "MEAN",
        "HIGH",
        "MEMORY PEAK",
        "WATTS",
        "KWH",
        "SM ACTIVE",
        "TENSOR",
        "SM HOURS",
        "WH/SM HOUR",
    ]
    columns = [Column(heading, right=index > 0) for index, heading in enumerate(headings)]
    named = _names(rows)
    session.output.table(columns, [_efficiency_row(named(row), row) for row in rows])
    _span(session, snapshot)
    _refused(session, snapshot.refusals)
    return 0


def _look(session: Session, signals: Collection[str]) -> Snapshot:
    with (
        open_cluster_if_given(session.settings) as client,
        open_prometheus(session.settings) as prometheus,
        session.output.progress("asking Prometheus"),
    ):
        return observe(session.settings, prometheus, client, signals)


def _efficiency_row(name: str, row: EfficiencyRow) -> tuple[str, ...]:
    return (
        name,
        str(row.gpus),
        f"{row.gpu_hours:,.1f}",
        percent(row.utilization_mean),
        percent(row.utilization_high),
        percent(row.memory_peak_ratio),
        _number(row.power_mean_watts, 0),
        _number(row.energy_kwh, 1),
        percent(row.sm_active_mean),
        percent(row.tensor_active_mean),
        _number(row.sm_active_hours, 1),
        _number(row.kwh_per_sm_active_hour, 0, 1000.0),
    )


def _number(value: float | None, places: int, times: float = 1.0) -> str:
    return "-" if value is None else f"{value * times:,.{places}f}"


def _names(rows: Iterable[EfficiencyRow]) -> Callable[[EfficiencyRow], str]:
    """What a row is called: with its cluster only where there are several."""
    several = len({row.cluster for row in rows}) > 1
    return lambda row: f"{row.cluster}/{row.name}" if several and row.cluster else row.name


def _span(session: Session, snapshot: Snapshot) -> None:
    end = iso(snapshot.taken_at)
    session.output.line(f"window: {duration(snapshot.window_seconds)} to {end}")


def _refused(session: Session, refusals: tuple[Refusal, ...]) -> None:
    for refusal in refusals:
        session.output.line(f"{refusal.subject}: {refusal.reason}")
