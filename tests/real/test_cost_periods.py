"""report cost on a real Prometheus: days, energy, tokens and budgets by hand calculation."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli
from tools.prometheus import PrometheusServer

DAY = 86_400

MIDNIGHT = int(time.time()) // DAY * DAY
START = MIDNIGHT - 2 * DAY
STEP = 60
HALF = MIDNIGHT - DAY // 2  # noon of yesterday
H100_HOUR = Decimal("6.88")  # p5.48xlarge, 55.04 USD an hour, over its 8 GPUs
GPUS = 2
WATTS = 500
TOKENS_PER_SECOND = 100
GPU = "agentaflow_gpu_"


def lines(metric: str, labels: str, value: Callable[[int], float | None]) -> Iterator[str]:
    for at in range(START, int(time.time()) + 1, STEP):
        told = value(at)
        if told is not None:
            yield f"{metric}{{{labels}}} {told} {at}\n"


def text() -> Iterator[str]:
    """Two H100: one serves all the time, the other was held until yesterday's noon and idles."""
    target = 'job="agentaflow-exporter",instance="n",node="n",cluster="c"'
    gpus = [f'{target},gpu="{index}",uuid="GPU-{index}"' for index in range(GPUS)]
    families: dict[str, list[tuple[str, Callable[[int], float | None]]]] = {
        f"{GPU}up": [(gpu, lambda _: 1) for gpu in gpus],
        f"{GPU}info": [(f'{gpu},name="NVIDIA H100 80GB HBM3"', lambda _: 1) for gpu in gpus],
        f"{GPU}utilization_ratio": [
            (f'{gpus[0]},engine="gpu"', lambda _: 0.8),
            (f'{gpus[1]},engine="gpu"', lambda _: 0.0),
        ],
        f"{GPU}memory_used_bytes": [(gpu, lambda _: 2e10) for gpu in gpus],
        f"{GPU}memory_total_bytes": [(gpu, lambda _: 85e9) for gpu in gpus],
        f"{GPU}energy_joules_total": [(gpu, lambda at: (at - START) * WATTS) for gpu in gpus],
        f"{GPU}pod_info": [
            (f'{gpus[0]},namespace="serving",pod="chat",container="main"', lambda _: 1),
            (
                f'{gpus[1]},namespace="research",pod="notebook",container="main"',
                lambda at: 1 if at <= HALF else None,
            ),
        ],
        "vllm:generation_tokens_total": [  # scraped by two jobs: it is one server
            (
                f'job="{job}",instance="{job}:8000",namespace="serving",pod="chat",model_name="m"',
                lambda at: (at - START) * TOKENS_PER_SECOND,
            )
            for job in ("vllm", "again")
        ],
    }
    for metric, series in families.items():
        kind = "counter" if metric.endswith("_total") else "gauge"
        yield f"# TYPE {metric.removesuffix('_total')} {kind}\n"
        for labels, value in series:
            yield from lines(metric, labels, value)
    yield "# EOF\n"


@pytest.fixture(scope="module")
def server(
    prometheus_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    assert prometheus_binary
    folder = tmp_path_factory.mktemp("cost")
    blocks = folder / "history.om"
    with blocks.open("w") as out:
        out.writelines(text())
    with PrometheusServer(folder / "prometheus", blocks_from=blocks) as running:
        yield running


@pytest.fixture
def asking(
    server: PrometheusServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Cli:
    monkeypatch.setenv("AGENTAFLOW_KUBERNETES", "off")
    return Cli(capsys, ("--prometheus-url", server.url))


def days(asking: Cli, *options: str) -> list[Any]:
    ran = asking("report", "cost", "--period", "day", "--periods", "3", *options, "-o", "json")
    assert ran.code == 0, ran.err
    periods: list[Any] = ran.json["periods"]
    return periods


def yesterday(asking: Cli, *options: str) -> Any:
    """The day before MIDNIGHT, also for a run that goes on past the next one."""
    start = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(MIDNIGHT - DAY))
    (found,) = (day for day in days(asking, *options) if day["start_at"] == start)
    assert found["complete"]
    return found


def amount(money: Any) -> float:
    return float(money["amount"])


def test_complete_days_within_one_percent_of_a_hand_calculation(asking: Cli) -> None:
    """24 h of two H100 each day; yesterday's afternoon of the second one is unallocated."""
    day = yesterday(asking)
    bill = float(24 * GPUS * H100_HOUR)
    assert amount(day["total"]["cost"]) == pytest.approx(bill, rel=0.01)
    rows = {row["name"]: row for row in day["rows"]}
    assert amount(rows["serving"]["used"]) == pytest.approx(bill / 2, rel=0.01)
    assert amount(rows["research"]["idle"]) == pytest.approx(bill / 4, rel=0.05)
    assert amount(rows["(none)"]["unallocated"]) == pytest.approx(bill / 4, rel=0.05)
    assert sum(Decimal(row["cost"]["amount"]) for row in day["rows"]) == Decimal(
        day["total"]["cost"]["amount"]
    )


def test_a_period_before_the_first_sample_is_not_a_bill_of_zero(asking: Cli) -> None:
    """Nothing measured has no total, and says so."""
    ran = asking("report", "cost", "--period", "week", "--periods", "5", "-o", "json")
    oldest = ran.json["periods"][0]
    assert oldest["total"] is None
    assert "has no series of a GPU" in oldest["refusals"][0]["reason"]
    table = asking("report", "cost", "--period", "week", "--periods", "5").out
    assert "nothing measured" in table
    assert "so far" in table


def test_energy_by_hand(asking: Cli) -> None:
    """Two GPUs of 500 W for 24 h are 24 kWh, at the meter 30, for 9 USD and 12 kg CO2e."""
    options = ("--energy-price-per-kwh", "0.30", "--grid-g-per-kwh", "400", "--pue", "1.25")
    energy = yesterday(asking, *options)["total"]["energy"]
    assert float(energy["kwh"]) == pytest.approx(30, rel=0.01)
    assert amount(energy["cost"]) == pytest.approx(9, rel=0.01)
    assert float(energy["kg_co2e"]) == pytest.approx(12, rel=0.01)
    assert float(energy["idle_kwh"]) == pytest.approx(15, rel=0.01)


def test_tokens_of_a_server_that_two_jobs_scrape_count_once(asking: Cli) -> None:
    """8.64 million tokens a day for 165.12 USD are 19.11 USD per million."""
    (row,) = yesterday(asking, "--tokens")["tokens"]
    assert (row["namespace"], row["engines"]) == ("serving", ["vllm"])
    assert float(row["generated_tokens"]) == pytest.approx(TOKENS_PER_SECOND * DAY, rel=0.01)
    assert amount(row["per_million"]) == pytest.approx(19.11, rel=0.02)


def test_focus_rows_add_up_to_the_report(asking: Cli) -> None:
    """The same day's BilledCost and total, within what a running clock changes: nothing."""
    ran = asking("report", "cost", "--period", "day", "--periods", "3", "--format", "focus")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    for day in days(asking):
        if day["complete"]:
            billed = [
                Decimal(r["BilledCost"]) for r in rows if r["ChargePeriodEnd"] == day["end_at"]
            ]
            assert sum(billed) == Decimal(day["total"]["cost"]["amount"])


def test_a_budget_says_what_is_spent_and_where_it_leads(asking: Cli, tmp_path: Path) -> None:
    """Spent in the month so far, and used up at the window's rate."""
    file = tmp_path / "cost.yaml"
    file.write_text(
        "teams: {vision: [research, serving]}\n"
        "budgets:\n- {scope: team, name: vision, per_month: 0.01}\n"
        "- {scope: namespace, name: serving, per_month: 1000000}\n"
    )
    ran = asking("report", "cost", "--window", "1d", "--cost-file", str(file), "-o", "json")
    team, namespace = ran.json["budgets"]
    assert team["used_up_in_days"] == "0"
    assert amount(team["spent"]) > 0.01
    assert namespace["used_up_in_days"] is None
    assert amount(namespace["per_day"]) == pytest.approx(float(24 * H100_HOUR), rel=0.02)
