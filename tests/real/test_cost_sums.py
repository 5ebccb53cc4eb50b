"""Weeks and budgets on a real Prometheus that knows less than a month: sums of days, never less."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli
from tools.prometheus import PrometheusServer

DAY = 86_400
HOUR = 3_600
STEP = 300
MIDNIGHT = int(time.time()) // DAY * DAY
LAST_MONDAY = MIDNIGHT - time.gmtime(MIDNIGHT).tm_wday * DAY - 7 * DAY
START = LAST_MONDAY - 4 * DAY  # a week is known in part, the next one whole
GUEST = LAST_MONDAY + 2 * DAY + 5 * HOUR + 600  # when a GPU came that lived 6 hours
GPU = "agentaflow_gpu_"
A_DAY = 24 * Decimal("6.88")  # of an H100: p5.48xlarge, 55.04 USD an hour, over its 8 GPUs


def text(now: int) -> Iterator[str]:
    """An H100 of `training` all the time, and one that was there for six hours of a Wednesday."""
    target = 'job="agentaflow-exporter",cluster="c"'
    spans = {"0": (START, now), "1": (GUEST, GUEST + 6 * HOUR - STEP)}
    gpus = {
        index: f'{target},instance="n{index}",node="n{index}",gpu="{index}",uuid="GPU-{index}"'
        for index in spans
    }
    families = {
        f"{GPU}up": ("", 1.0),
        f"{GPU}info": (',name="NVIDIA H100 80GB HBM3"', 1.0),
        f"{GPU}utilization_ratio": (',engine="gpu"', 0.8),
        f"{GPU}memory_used_bytes": ("", 2e10),
        f"{GPU}memory_total_bytes": ("", 85e9),
        f"{GPU}pod_info": (',namespace="training",pod="x",container="main"', 1.0),
    }
    for metric, (labels, value) in families.items():
        yield f"# TYPE {metric} gauge\n"
        for index, (first, last) in spans.items():
            for at in range(first, last + 1, STEP):
                yield f"{metric}{{{gpus[index]}{labels}}} {value} {at}\n"
    yield "# EOF\n"


@pytest.fixture(scope="module")
def server(
    prometheus_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    assert prometheus_binary
    folder = tmp_path_factory.mktemp("sums")
    blocks = folder / "history.om"
    with blocks.open("w") as out:
        out.writelines(text(int(time.time())))
    with PrometheusServer(folder / "prometheus", blocks_from=blocks) as running:
        yield running


@pytest.fixture
def asking(
    server: PrometheusServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Cli:
    monkeypatch.setenv("AGENTAFLOW_KUBERNETES", "off")
    return Cli(capsys, ("--prometheus-url", server.url))


def bills(asking: Cli, period: str, count: int, *options: str) -> list[Any]:
    periods = ("--period", period, "--periods", str(count))
    ran = asking("report", "cost", *periods, *options, "-o", "json")
    assert ran.code == 0, ran.err
    found: list[Any] = ran.json["periods"]
    return found


def test_a_week_is_its_days_to_the_digit_and_true_to_one_percent(asking: Cli) -> None:
    """168 hours of one GPU and the 6 of a guest; each row of the week is the sum of its days'."""
    begins = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(LAST_MONDAY))
    ends = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(LAST_MONDAY + 7 * DAY))
    (week,) = (one for one in bills(asking, "week", 3) if one["start_at"] == begins)
    days = [one for one in bills(asking, "day", 16) if begins <= one["start_at"] < ends]
    assert len(days) == week["days"] == week["measured_days"] == 7
    for figure in ("gpu_hours", "cost"):
        parts = [day["total"][figure] for day in days]
        whole = week["total"][figure]
        if figure == "cost":
            parts, whole = [each["amount"] for each in parts], whole["amount"]
        assert sum(map(Decimal, parts)) == Decimal(whole)
    assert float(week["total"]["gpu_hours"]) == pytest.approx(7 * 24 + 6, rel=0.01)


def test_days_that_were_not_measured_are_told(asking: Cli) -> None:
    """A week of which Prometheus knows a part says of how many days its total is."""
    weeks = bills(asking, "week", 4)
    (part,) = (one for one in weeks if 0 < one["measured_days"] < one["days"])
    said = [each["reason"] for each in part["refusals"]]
    assert any("no GPU was seen on" in reason for reason in said)


def test_focus_rows_are_each_in_one_billing_period(asking: Cli) -> None:
    """A window longer than a month is looked at month by month, and adds up to the same hours."""
    ran = asking("report", "cost", "--window", "32d", "--format", "focus")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert rows
    for row in rows:
        names = ("BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodEnd")
        times = [datetime.fromisoformat(row[name]) for name in names]
        assert times == sorted(times)
        assert timedelta(days=28) <= times[-1] - times[0] <= timedelta(days=31)
    hours = sum(float(row["ConsumedQuantity"]) for row in rows)
    assert hours == pytest.approx((time.time() - START) / HOUR, abs=32 * 24 / 48 * 2 + 6)


def test_the_budget_is_the_months_cost_and_its_rate_is_of_measured_days(
    asking: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One GPU a day, however few days of the month and of the window are known."""
    file = tmp_path / "cost.yaml"
    file.write_text(
        "budgets:\n- {scope: namespace, name: training, per_month: 9000}\n"
        "- {scope: namespace, name: trainning, per_month: 9000}\n"
    )
    monkeypatch.setenv("AGENTAFLOW_WINDOW_SECONDS", "30d")
    ran = asking("report", "cost", "--period", "month", "--cost-file", str(file), "-o", "json")
    (budget,) = ran.json["budgets"]
    (bill,) = ran.json["periods"]
    (row,) = bill["rows"]
    if bill["name"] == budget["month"]:  # not in the first hour of a month
        assert budget["spent"] == row["cost"]
    assert float(budget["per_day"]["amount"]) == pytest.approx(float(A_DAY), rel=0.02)
    (unknown,) = ran.json["refusals"]
    assert "no such namespace was seen" in unknown["reason"]
