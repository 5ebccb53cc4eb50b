"""Advice from recorded series is the advice from samples, under each exporter's names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agentaflow_advisor.advice import SIGNALS
from agentaflow_advisor.analyses import run
from agentaflow_advisor.model import Gpu, Recommendation, Snapshot
from agentaflow_advisor.observe import Prometheus, take
from agentaflow_advisor.observe.recording import REASONS
from agentaflow_advisor.price import PriceTable, price_nodes
from agentaflow_advisor.settings import Settings
from agentaflow_exporter.backfill import Plan
from tests.support import renamed
from tests.support.recorded import record
from tests.support.renamed import save, simulate
from tools.prometheus import PrometheusServer

HOUR = 3600
END = int(time.time()) // 86_400 * 86_400 - HOUR
PAST = 26 * HOUR
PLAN = Plan.make(2, 8, 6, end=END, seconds=PAST, step=60)
AT = END - 7.0
EXPORTERS = ("agentaflow", "dcgm", "dcgm-4.6")
WHOLE, HOURS, FIVE_MINUTES = 24 * HOUR, 13 * HOUR, 6 * HOUR


@pytest.fixture(scope="module", params=EXPORTERS)
def servers(
    request: pytest.FixtureRequest,
    prometheus_binary: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[PrometheusServer, PrometheusServer]]:
    """One with the samples alone, one with what the rules record of them as well."""
    assert prometheus_binary
    name = str(request.param)
    folder = tmp_path_factory.mktemp(name)
    compat = "dcgm" if name == "agentaflow" else name
    series = simulate(replace(PLAN, compat=compat), folder)
    seen = renamed.ours(series) if name == "agentaflow" else renamed.dcgm(series)
    blocks = save(folder / "history.om", seen)
    with (
        PrometheusServer(folder / "raw", blocks_from=blocks) as raw,
        PrometheusServer(folder / "recorded", blocks_from=blocks) as recorded,
    ):
        record(recorded, [name], END - PAST, END, folder / "rules")
        yield raw, recorded


def look(server: PrometheusServer, window: float) -> Snapshot:
    with Prometheus(server.url) as prometheus:
        return take(
            prometheus,
            window_seconds=window,
            percentile=0.95,
            cluster_state=None,
            at=AT,
            signals=SIGNALS,
        )


def found(snapshot: Snapshot) -> dict[str, Recommendation]:
    prices = price_nodes(snapshot, PriceTable.load())
    outcome = run(snapshot, prices, Settings.model_validate({}))
    return {each.id: each for each in outcome.findings.recommendations}


def looked_at(snapshot: Snapshot) -> dict[str, set[str]]:
    """The reasons for held-down clocks that were told, by GPU."""
    return {gpu.uuid: set(gpu.counts.get("throttled_seconds", ())) for gpu in snapshot.gpus}


def gpus(snapshot: Snapshot) -> dict[str, Gpu]:
    return {gpu.uuid: gpu for gpu in snapshot.gpus}


@pytest.mark.parametrize("window", [WHOLE, HOURS, FIVE_MINUTES])
def test_the_advice_is_the_same(
    servers: tuple[PrometheusServer, PrometheusServer], window: float
) -> None:
    """Ids, places and pods are equal; savings and confidence are within what steps allow."""
    raw, recorded = (look(server, window) for server in servers)
    expected, told = found(raw), found(recorded)
    assert len(expected) >= 4
    assert set(told) == set(expected)
    for id_, each in expected.items():
        theirs = told[id_]
        assert (theirs.kind, theirs.where) == (each.kind, each.where)
        assert theirs.confidence == pytest.approx(each.confidence, abs=0.05)
        assert (theirs.saves is None) == (each.saves is None)
        if theirs.saves and each.saves:
            ours = float(each.saves.per_month.amount)
            assert float(theirs.saves.per_month.amount) == pytest.approx(ours, rel=0.1)
    assert recorded.window_seconds == window
    assert not [each for each in recorded.refusals if each.subject == "window"]
    assert any("agentaflow:gpu_" in query.promql for query in recorded.queries)
    assert any(":high1d{" in query.promql for query in recorded.queries) == (window == WHOLE)


@pytest.mark.parametrize("window", [WHOLE, FIVE_MINUTES])
def test_what_was_looked_at_of_clocks_is_the_same(
    servers: tuple[PrometheusServer, PrometheusServer], window: float
) -> None:
    """A reason that never held a clock down is recorded nowhere, and told all the same."""
    raw, recorded = (looked_at(look(server, window)) for server in servers)
    matter = {*REASONS}
    assert any(matter & reasons for reasons in raw.values())
    assert {uuid: told & matter for uuid, told in recorded.items()} == {
        uuid: told & matter for uuid, told in raw.items()
    }


@pytest.mark.parametrize(("window", "step"), [(WHOLE, HOUR), (HOURS, HOUR), (FIVE_MINUTES, 300)])
def test_who_held_a_gpu_is_the_same(
    servers: tuple[PrometheusServer, PrometheusServer], window: float, step: float
) -> None:
    """The same namespaces, for as long but for a step at each end of a pod's life."""
    raw, recorded = (gpus(look(server, window)) for server in servers)
    assert sum(bool(gpu.held) for gpu in raw.values()) >= 8
    for uuid, gpu in raw.items():
        ours = {each.namespace: each.seconds for each in recorded[uuid].held}
        theirs = {each.namespace: each.seconds for each in gpu.held}
        assert ours == pytest.approx(theirs, abs=2 * max(step, window / 48))
