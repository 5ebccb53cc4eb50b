"""recommend and report: money and reasons in words and as JSON, from one look at Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from agentaflow_advisor.advice import reasons
from agentaflow_advisor.model import Refusal
from tests.support.cli import Cli
from tests.support.fake_prometheus import Card, fake_prometheus

CARDS = (
    Card("node-0", 0, busy=0.0, pod="research/notebook"),
    Card("node-0", 1, busy=0.0),
    *(Card("node-1", index, busy=0.7, pod="serving/chat") for index in range(8)),
    Card("node-2", 0, busy=0.0, model="NVIDIA GeForce RTX 4090"),
)


@pytest.fixture
def asking(cli: Cli) -> Iterator[Cli]:
    """The command beside a Prometheus that knows two idle H100, a busy node and a gaming card."""
    with fake_prometheus(*CARDS) as prometheus:
        yield cli.having("--prometheus-url", prometheus.url)


def test_recommend_says_what_is_wasted_what_that_rests_on_and_what_is_left_out(asking: Cli) -> None:
    """Money, kinds, sums, evidence, prices with their date, and refusals by reason."""
    ran = asking("recommend")
    assert ran.code == 0
    assert "research/notebook holds it" in ran.out
    assert "idle-gpu: 1 recommendation, 3,759.01 USD a month" in ran.out
    assert "together: 7,518.01 USD a month, each GPU counted once" in ran.out
    assert "evidence: 11 GPUs on 3 nodes over 7 d to 20" in ran.out
    assert "prices: AWS us-east-1 2026-07-20" in ran.out
    assert "assumed from the GPU model for 2 nodes" in ran.out
    assert "1 x no price: AWS us-east-1 2026-07-20 has no instance with NVIDIA GeForce" in ran.out


def test_recommend_as_json_is_the_same_in_a_fixed_shape(asking: Cli) -> None:
    """What a program relies on: the keys, money as strings, times as ISO 8601, ids that stay."""
    first, second = asking("recommend", "-o", "json").json, asking("recommend", "-o", "json").json
    assert list(first) == [
        "schema_version",
        "evidence",
        "queries",
        "prices",
        "totals",
        "saves_per_month",
        "hidden",
        "recommendations",
        "refusals",
    ]
    assert first["saves_per_month"] == [{"amount": "7518.0130400", "currency": "USD"}]
    best = first["recommendations"][0]
    assert best["where"]["node"] == "node-0"
    assert Decimal(best["saves"]["per_month"]["amount"]) > 3000
    assert best["evidence"]["evaluated_at"].endswith("Z")
    assert best["evidence"]["promql"]
    assert [r["id"] for r in first["recommendations"]] == [
        r["id"] for r in second["recommendations"]
    ]


def test_the_table_is_cut_where_it_was_asked_and_the_sums_are_not(asking: Cli) -> None:
    """--top is about rows, never about money."""
    ran = asking("recommend", "--top", "1")
    assert "… and 2 more; --top 0 shows all" in ran.out
    assert "together: 7,518.01 USD" in ran.out
    assert "more; --top" not in asking("recommend", "--top", "0").out


def test_refusals_are_listed_on_demand(asking: Cli) -> None:
    """Who wants to know what was not judged gets each subject."""
    ran = asking("recommend", "--refusals")
    assert "NOT JUDGED" in ran.out
    assert "node node-2" in ran.out


def test_old_prices_are_used_with_a_warning(asking: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning stands beside the answer, and in the JSON."""
    monkeypatch.setenv("AGENTAFLOW_PRICES_WARN_AGE_DAYS", "1")
    ran = asking("recommend")
    assert ran.code == 0
    assert "days old; give newer ones with --prices FILE" in ran.err
    assert "days old" in asking("recommend", "-o", "json").json["prices"]["warning"]


def test_a_fleet_without_waste_is_an_answer(cli: Cli) -> None:
    """Nothing to recommend is good news and code 0."""
    with fake_prometheus(Card("node-0", 0, busy=0.9, pod="serving/chat")) as prometheus:
        ran = cli("recommend", "--prometheus-url", prometheus.url)
    assert ran.code == 0
    assert ran.out.startswith("nothing to recommend\n")


def test_an_empty_prometheus_is_not_an_idle_fleet(cli: Cli) -> None:
    """No series means that nothing was measured, and that is said."""
    with fake_prometheus() as prometheus:
        ran = cli("recommend", "--prometheus-url", prometheus.url)
    assert ran.code == 0
    assert "nothing to recommend" in ran.out
    assert "check that it scrapes agentaflow-exporter" in ran.out


def test_the_window_is_what_is_asked(cli: Cli) -> None:
    """--window 1d asks for one day."""
    with fake_prometheus(Card("node-0", 0), window_seconds=86_400.0) as prometheus:
        ran = cli("recommend", "--window", "1d", "--prometheus-url", prometheus.url)
        assert ran.code == 0
        assert any("[1d]" in query for query in prometheus.asked)
    assert "over 1 d to" in ran.out


def test_the_number_of_queries_does_not_grow_with_the_fleet(cli: Cli) -> None:
    """Two GPUs or two hundred: as many questions."""
    counts = []
    for size in (2, 200):
        with fake_prometheus(*(Card("node-0", index) for index in range(size))) as prometheus:
            assert cli("recommend", "--prometheus-url", prometheus.url).code == 0
            counts.append(len(prometheus.asked))
    assert counts[0] == counts[1]


def test_report_cost_adds_up(asking: Cli) -> None:
    """Used, idle, unallocated and unjudged make the cost, and the rows make the total."""
    report = asking("report", "cost", "-o", "json").json
    amount = {
        row["name"]: Decimal(row["cost"]["amount"]) for row in [*report["rows"], report["total"]]
    }
    assert amount.pop("total") == sum(amount.values())
    for row in report["rows"]:
        parts = (row["used"], row["idle"], row["unallocated"], row["unjudged"])
        assert Decimal(row["cost"]["amount"]) == sum(Decimal(part["amount"]) for part in parts)


@pytest.mark.parametrize("by", ["namespace", "node", "gpu"])
def test_reports_group_as_they_are_asked(asking: Cli, by: str) -> None:
    """A heading says by what, and JSON rows do, too."""
    for report in ("cost", "efficiency"):
        ran = asking("report", report, "--by", by)
        assert ran.code == 0
        assert ran.out.startswith(by.upper())
        rows = asking("report", report, "--by", by, "-o", "json").json["rows"]
        assert {row["by"] for row in rows} == {by}


def test_report_cost_in_words(asking: Cli) -> None:
    """Assumed prices are marked and hours without a price are told."""
    out = asking("report", "cost").out
    assert "~ some prices are assumed from the GPU model" in out
    assert "168.0 GPU hours have no price and are in no amount" in out
    assert "whole price of a GPU" in out
    assert "residual price of a GPU" in asking("report", "cost", "--basis", "residual").out


def test_report_efficiency_in_words(asking: Cli) -> None:
    """Utilization in percent, energy in kWh."""
    line = next(
        line
        for line in asking("report", "efficiency", "--by", "node").out.splitlines()
        if line.startswith("node-1")
    )
    told = ["node-1", "8", "1,344.0", "70.0%", "70.0%", "2.5%", "100", "8.0"]
    assert line.split() == [*told, "-", "-", "-", "-"]  # nobody tells SM activity


def test_a_price_table_with_a_bad_row_is_refused_before_prometheus_is_asked(
    cli: Cli, tmp_path: Path
) -> None:
    """File, line and column; code 2."""
    table = tmp_path / "prices.csv"
    table.write_text(
        "# date: 2026-07-20\ninstance,gpu,gpus,gpu_mem_mib_each,vcpu,ram_gib,ondemand_usd_h\n"
        "p5.48xlarge,h100,8,81920,192,2048,free\n"
    )
    ran = cli("recommend", "--prices", str(table), "--prometheus-url", "http://127.0.0.1:9")
    assert ran.code == 2
    assert f"{table}:3:ondemand_usd_h" in ran.error


def test_reasons_that_differ_in_figures_are_one_reason() -> None:
    """A thousand GPUs seen in 12 %, 13 %, … of the window make one line."""
    refusals = [Refusal(f"gpu {n}", f"it was seen in {n}% of the window") for n in range(10, 40)]
    refusals.append(Refusal("node", "no price"))
    assert reasons(refusals) == (("it was seen in 10% of the window", 30), ("no price", 1))
