"""Demand over time and the forecast's command on a real Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from agentaflow_advisor.cli import main
from agentaflow_advisor.model import Demand
from agentaflow_advisor.observe import Prometheus
from agentaflow_advisor.observe.demand import demand
from tests.support.history import History, Value, always, since
from tools.prometheus import PrometheusServer

HOUR, DAY = 3600, 86_400
STEP = 300
GPU = "agentaflow_gpu_"


def outage(now: int) -> range:
    """Seven days ago Prometheus scraped nothing for six hours."""
    return range(now - 7 * DAY, now - 7 * DAY + 6 * HOUR)


def office_hours(at: int) -> float | None:
    return 1.0 if 8 <= at % DAY // HOUR < 20 else None


@pytest.fixture(scope="module")
def now() -> int:
    """The newest sample's time: fresh enough not to be stale."""
    return int(time.time())


@pytest.fixture(scope="module")
def prometheus(now: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Three H100: one always held, one by day, one shared by two namespaces; two see the first."""
    folder = tmp_path_factory.mktemp("forecast")
    history = History(range(now - 12 * DAY, now + 1, STEP))
    gap = outage(now)

    def seen(value: Value) -> Value:
        return lambda at: None if at in gap else value(at)

    holders: dict[str, dict[str, Value]] = {
        "0": {"research": always(1)},
        "1": {"serving": office_hours},
        "2": {"research": always(1), "serving": always(1), "late": since(now - DAY)},
    }
    for index, pods in holders.items():
        for node in ("n", "m") if index == "0" else ("n",):
            target = {"job": "agentaflow-exporter", "instance": node, "node": node, "cluster": "c"}
            same = {**target, "gpu": index, "uuid": f"GPU-{index}"}
            history.add(f"{GPU}up", same, seen(always(1)))
            history.add(f"{GPU}info", {**same, "name": "NVIDIA H100 80GB HBM3"}, seen(always(1)))
            history.add(f"{GPU}utilization_ratio", {**same, "engine": "gpu"}, seen(always(0.5)))
            for namespace, there in pods.items():
                named = {"namespace": namespace, "pod": "p", "container": "main"}
                history.add(f"{GPU}pod_info", {**same, **named}, seen(there))
    path = history.write(folder / "history.om")
    with PrometheusServer(folder / "prometheus", blocks_from=path) as server:
        server.wait_for(f"{GPU}up")
        yield server


@pytest.fixture(scope="module")
def asked(now: int, prometheus: PrometheusServer) -> Demand:
    with Prometheus(prometheus.url) as client:
        found, refusals = demand(
            client, at=now, history_seconds=11 * DAY, by="namespace", dialects=("agentaflow",)
        )
    assert refusals == ()
    return found


def test_each_card_counts_once_and_sharers_split_it(now: int, asked: Demand) -> None:
    """A card under two names, one held by day, one shared by two and then by three."""
    hours = {one.name: dict(zip(range(264), one.values, strict=True)) for one in asked.series}
    first = now // HOUR * HOUR - 263 * HOUR
    noon = next(h for h in range(264) if (first + h * HOUR) % DAY == 12 * HOUR)
    night = noon - 10 if noon >= 10 else noon + 14
    assert hours[""][noon] == pytest.approx(3.0)
    assert hours[""][night] == pytest.approx(2.0)
    assert hours["research"][night] == pytest.approx(1.5)
    assert hours["serving"][noon] == pytest.approx(1.5)
    assert hours["late"][night] == 0.0
    assert hours["research"][263] == pytest.approx(1 + 1 / 3)
    assert asked.capacity == {"c": 3.0}


def test_an_outage_is_a_gap_and_not_an_idle_fleet(now: int, asked: Demand) -> None:
    """Six hours without a scrape: five or six hours of nothing told, for all alike."""
    for one in asked.series:
        gaps = [hour for hour, value in enumerate(one.values) if value is None]
        assert 5 <= len(gaps) <= 6
        assert one.start + gaps[0] * HOUR in outage(now)


def test_the_command(
    prometheus: PrometheusServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two days ahead of a demand without growth: the days of the week before, priced."""
    monkeypatch.setenv("AGENTAFLOW_KUBERNETES", "off")
    command = ["report", "forecast", "--by", "cluster", "--days", "2", "-o", "json"]
    options = ["--prometheus-url", prometheus.url, "--window", "2d"]
    assert main([*command, *options, "--forecast-history", "11d"]) == 0
    told = json.loads(capsys.readouterr().out)
    (row,) = told["rows"]
    assert row["gpu_hours"] == pytest.approx(2 * (12 * 3 + 12 * 2), rel=0.05)
    assert row["gpu_hours_low"] <= row["gpu_hours"] <= row["gpu_hours_high"]
    assert float(row["cost"]["amount"]) == pytest.approx(row["gpu_hours"] * 6.88, rel=0.01)
