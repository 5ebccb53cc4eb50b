"""report cost from the command line: terms, teams, explanations, FOCUS, and bad input in a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.fake_prometheus import Card, fake_prometheus

CARDS = (
    Card("node-0", 0, busy=0.0, pod="research/notebook"),
    Card("node-0", 1, busy=0.0),
    *(Card("node-1", index, busy=0.7, pod="serving/chat") for index in range(8)),
    Card("node-2", 0, busy=0.0, model="NVIDIA GeForce RTX 4090"),
)


NOV_23_2026 = 1_795_392_000.0  # the window is within a month, so one look


@pytest.fixture
def asking(cli: Cli) -> Iterator[Cli]:
    with fake_prometheus(*CARDS, clock=lambda: NOV_23_2026) as prometheus:
        yield cli.having("--prometheus-url", prometheus.url)


@pytest.fixture
def terms(tmp_path: Path) -> Path:
    return tmp_path / "cost.yaml"


def test_terms_change_every_figure_and_are_named(asking: Cli, terms: Path) -> None:
    """Half the price in euros at 0.5 for a dollar: a quarter, and both steps are told."""
    listed = asking("report", "cost", "-o", "json").json["total"]["cost"]
    terms.write_text(
        "currency: EUR\n"
        "exchange_rates: [{currency: EUR, per_usd: 0.5, dated: 2026-11-01}]\n"
        "discounts: [{name: deal, kind: negotiated, factor: 0.5}]\n"
    )
    ran = asking("report", "cost", "--cost-file", str(terms), "--explain")
    assert "COST EUR" in ran.out
    assert "deal (negotiated) x 0.5; 0.5 EUR/USD 2026-11-01 (exchange) x 0.5" in ran.out
    document = asking("report", "cost", "--cost-file", str(terms), "-o", "json").json
    paid = document["total"]["cost"]
    assert (paid["currency"], document["prices"]["currency"]) == ("EUR", "EUR")
    assert Decimal(paid["amount"]) * 4 == Decimal(listed["amount"])


def test_what_has_no_price_does_not_look_free(asking: Cli) -> None:
    """A dash, not 0.00, and a line that counts the hours."""
    table = asking("report", "cost", "--by", "node").out
    (row,) = (line.split() for line in table.splitlines() if line.startswith("node-2"))
    assert row[1:] == ["168.0", *"-----"]
    assert "168.0 GPU hours have no price and are in no amount" in table


def test_recommendations_are_in_the_same_money(
    asking: Cli, terms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be saved is saved under the same terms."""
    terms.write_text("discounts: [{name: deal, kind: negotiated, factor: 0.5}]\n")
    listed = asking("recommend", "-o", "json").json["saves_per_month"]
    monkeypatch.setenv("AGENTAFLOW_COST_FILE", str(terms))
    (paid,) = asking("recommend", "-o", "json").json["saves_per_month"]
    assert Decimal(paid["amount"]) * 2 == Decimal(listed[0]["amount"])


def test_recommend_and_the_page_take_a_cost_file(asking: Cli, terms: Path, tmp_path: Path) -> None:
    """As a flag, like the bill does."""
    terms.write_text(
        "currency: EUR\nexchange_rates: [{currency: EUR, per_usd: 0.5, dated: 2026-11-01}]\n"
    )
    (saved,) = asking("recommend", "--cost-file", str(terms), "-o", "json").json["saves_per_month"]
    assert saved["currency"] == "EUR"
    page = tmp_path / "page.html"
    ran = asking("report", "html", "--cost-file", str(terms), "--no-record", "--output", str(page))
    assert ran.code == 0, ran.err
    assert "EUR" in page.read_text()
    assert "USD" not in page.read_text()


def test_csv_is_for_programs(asking: Cli) -> None:
    """Each amount is a number or empty, and what is assumed has a column."""
    ran = asking("report", "cost", "--by", "node", "-o", "csv")
    rows = {row["NODE"]: row for row in csv.DictReader(io.StringIO(ran.out))}
    total = asking("report", "cost", "-o", "json").json["total"]
    assert float(rows["total"]["COST USD"]) == pytest.approx(
        float(total["cost"]["amount"]), abs=0.01
    )
    assert float(rows["total"]["COST USD"]) > 1000
    assert {row["ASSUMED"] for name, row in rows.items() if name != "node-2"} == {"yes"}
    assert (rows["node-2"]["COST USD"], rows["node-2"]["GPU HOURS"]) == ("", "168.000000")


def test_a_price_table_of_a_day_to_come_is_refused(cli: Cli, tmp_path: Path) -> None:
    """Its age would be negative, and its warning never come."""
    file = tmp_path / "prices.csv"
    file.write_text(
        "# provider: own\n# date: 2099-01-01\n"
        "instance,gpu,gpus,gpu_mem_mib_each,vcpu,ram_gib,ondemand_usd_h\nbox,a40,8,46068,64,512,8\n"
    )
    ran = cli("report", "cost", "--prices", str(file), "--prometheus-url", "http://127.0.0.1:9")
    assert ran.code == 2
    assert f"{file}: is dated 2099-01-01, which is to come" in ran.error


@pytest.mark.parametrize("by", ["pod", "workload", "team", "cluster"])
def test_more_ways_to_group(asking: Cli, by: str) -> None:
    """The same total, whatever a row is about."""
    document = asking("report", "cost", "--by", by, "-o", "json").json
    amounts = [Decimal(row["cost"]["amount"]) for row in document["rows"]]
    assert {row["by"] for row in document["rows"]} == {by}
    whole = asking("report", "cost", "--by", "gpu", "-o", "json").json["total"]
    assert sum(amounts) == Decimal(document["total"]["cost"]["amount"])
    assert Decimal(whole["cost"]["amount"]) == sum(amounts)


def test_teams_of_the_cost_file(asking: Cli, terms: Path) -> None:
    """A pattern of namespaces."""
    terms.write_text("teams: {vision: ['res*']}\n")
    ran = asking("report", "cost", "--by", "team", "--cost-file", str(terms))
    names = [line.split("  ")[0] for line in ran.out.splitlines()]
    assert names[:5] == ["TEAM", "(no team)", "(none)", "vision", "total"]


def test_explanations_as_json_add_up(asking: Cli) -> None:
    """Hours times a rate, from a named price; each row's terms are its cost."""
    document = asking("report", "cost", "--explain", "-o", "json").json
    for row, found in zip(document["rows"], document["explanations"], strict=True):
        terms = [Decimal(term["amount"]["amount"]) for term in found["terms"]]
        assert sum(terms) == Decimal(row["cost"]["amount"])
        assert all("p5.48xlarge in AWS us-east-1" in term["price"] for term in found["terms"])
    assert "burn_rate" in document["formulas"]["budgets"]
    assert document["queries"]


def test_energy_money_and_carbon(asking: Cli) -> None:
    """11 GPUs of 1 kWh at PUE 2: 22 kWh, 11 USD, 8.8 kg."""
    options = ("--energy-price-per-kwh", "0.5", "--grid-g-per-kwh", "400", "--pue", "2")
    ran = asking("report", "cost", *options)
    assert "energy: 22.0 kWh, of which" in ran.out
    assert "11.00 USD" in ran.out
    assert "8.8 kg CO2e" in ran.out


def test_focus_is_csv_on_stdout_and_what_is_missing_on_stderr(asking: Cli) -> None:
    """The rows are the total; hours without a price are told beside them."""
    ran = asking("report", "cost", "--format", "focus")
    assert ran.code == 0
    found = list(csv.DictReader(io.StringIO(ran.out)))
    total = asking("report", "cost", "-o", "json").json["total"]["cost"]["amount"]
    assert sum(Decimal(row["BilledCost"]) for row in found) == Decimal(total)
    assert "168.0 GPU hours have no price" in ran.err


def test_focus_cells_are_no_formulas(cli: Cli) -> None:
    """A label from a stranger does not become a spreadsheet's program."""
    hostile = Card("=1+1", 0, busy=0.5, pod="@cmd/x")
    with fake_prometheus(hostile, clock=lambda: NOV_23_2026) as prometheus:
        ran = cli("report", "cost", "--format", "focus", "--prometheus-url", prometheus.url)
    (row,) = csv.DictReader(io.StringIO(ran.out))
    assert (row["x_Node"], row["SubAccountId"]) == ("'=1+1", "'@cmd")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--format", "focus", "--basis", "residual"), "leave out --basis residual"),
        (("--format", "focus", "-o", "json"), "leave out -o json"),
        (("--format", "focus", "-o", "markdown"), "leave out -o markdown"),
        (("--period", "year"), "is not one of"),
        (("--period", "day", "--window", "7d"), "leave out --window or --period"),
        (("--periods", "0"), "greater than or equal to 1"),
        (("--time-zone", "Mars/Base"), "should be a time zone such as UTC or Europe/Berlin"),
        (("--pue", "0.5"), "--pue should be greater than or equal to 1"),
        (("--energy-price-per-kwh", "-1"), "--energy-price-per-kwh should be greater"),
        (("--grid-g-per-kwh", "x"), "--grid-g-per-kwh should be a valid decimal"),
        (("--cost-file", "/nowhere.yaml"), "cannot read the cost file"),
    ],
)
def test_bad_options_are_one_line(cli: Cli, options: tuple[str, ...], said: str) -> None:
    """What, where, and what is allowed; code 2, and Prometheus is not asked."""
    ran = cli("report", "cost", *options, "--prometheus-url", "http://127.0.0.1:9")
    assert ran.code == 2
    assert said in ran.error


def test_a_bad_row_of_the_cost_file_is_told_with_its_place(cli: Cli, terms: Path) -> None:
    """File, line and column."""
    terms.write_text("discounts:\n- {name: a, kind: volume, factor: 2}\n")
    ran = cli("report", "cost", "--cost-file", str(terms), "--prometheus-url", "http://127.0.0.1:9")
    assert ran.code == 2
    assert f"{terms}:2:35: discounts.0.factor should be less than or equal to 1" in ran.error
