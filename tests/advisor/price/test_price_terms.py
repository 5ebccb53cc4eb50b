"""One's own terms: discounts, own machines, tax and currency, each step named and in bounds."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.model import Node, Refusal
from agentaflow_advisor.price import CostFileError, NodePrice, PriceTable, Terms
from agentaflow_advisor.price.costfile import load, parse
from agentaflow_advisor.price.terms import Discount, ExchangeRate, OwnPrice, Selector, Tax

TYPE = "node.kubernetes.io/instance-type"
P5 = Node("c", "n", 8, labels={TYPE: "p5.48xlarge", "team": "vision"})
LISTED = Decimal("6.88")
JULY_1_2026 = 1_782_864_000.0
EURO = ExchangeRate("EUR", Decimal("0.92"), date(2026, 11, 2), "ECB")


def price(terms: Terms, node: Node = P5, at: float | None = None, gpus: int = 8) -> NodePrice:
    found = PriceTable.load(terms=terms).price(node, None, gpus, at)
    assert isinstance(found, NodePrice)
    return found


def gpu_hour(terms: Terms, node: Node = P5, at: float | None = None) -> Decimal:
    return price(terms, node, at).per_gpu_hour_whole.amount


def discount(kind: str, factor: str, **more: object) -> Discount:
    return Discount(name=f"{kind} {factor}", kind=kind, factor=Decimal(factor), **more)  # type: ignore[arg-type]


def test_one_commitment_and_every_volume_discount_count() -> None:
    """Of two commitments the one that leaves less to pay; volume and negotiated ones all."""
    terms = Terms(
        discounts=(
            discount("reserved", "0.7"),
            discount("savings_plan", "0.6"),
            discount("volume", "0.9"),
            discount("negotiated", "0.95"),
        )
    )
    found = price(terms)
    assert found.per_gpu_hour_whole.amount == LISTED * Decimal("0.6") * Decimal("0.95") * Decimal(
        "0.9"
    )
    assert [step.kind for step in found.steps] == ["savings_plan", "negotiated", "volume"]
    assert "savings_plan 0.6 (savings plan) x 0.6" in found.how


def test_a_step_says_for_which_part_of_the_hours_it_holds() -> None:
    """0.62 for 80 % of the hours, not the 0.696 that this is on average."""
    found = price(Terms(discounts=(discount("savings_plan", "0.62", covers=Decimal("0.8")),)))
    assert "x 0.62 for 80 % of the hours" in found.how
    assert found.per_gpu_hour_whole.amount == LISTED * Decimal("0.696")


def test_a_commitment_that_covers_a_part() -> None:
    """Half the hours at 60 % are 80 % of the price on average."""
    terms = Terms(discounts=(discount("committed_use", "0.6", covers=Decimal("0.5")),))
    assert gpu_hour(terms) == LISTED * Decimal("0.8")


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        (Selector(), True),
        (Selector(provider="aws"), True),
        (Selector(instance_type="p5.*"), True),
        (Selector(gpu="h100", region="us-east-1", cluster="c", node="n"), True),
        (Selector(labels={"team": "vision"}), True),
        (Selector(provider="GCP"), False),
        (Selector(instance_type="p4*"), False),
        (Selector(labels={"team": "visions"}), False),
        (Selector(provider="aws", labels={"hw": "x"}), False),
    ],
)
def test_a_discount_counts_where_all_that_it_names_fits(where: Selector, fits: bool) -> None:
    """Provider, region, type, GPU, cluster, node and labels together."""
    terms = Terms(discounts=(discount("volume", "0.5", where=where),))
    assert gpu_hour(terms) == (LISTED / 2 if fits else LISTED)


@pytest.mark.parametrize(
    ("since", "until", "holds"),
    [
        (None, None, True),
        (date(2026, 7, 1), date(2026, 7, 1), True),
        (date(2026, 7, 2), None, False),
        (None, date(2026, 6, 30), False),
    ],
)
def test_a_discount_counts_between_its_dates(
    since: date | None, until: date | None, holds: bool
) -> None:
    """On the day of the look, both ends included."""
    terms = Terms(discounts=(discount("volume", "0.5", since=since, until=until),))
    assert gpu_hour(terms, at=JULY_1_2026) == (LISTED / 2 if holds else LISTED)


def test_terms_with_dates_do_not_hold_at_no_time() -> None:
    """Who asks without a time gets what always holds."""
    dated = discount("volume", "0.5", since=date(2020, 1, 1))
    assert gpu_hour(Terms(discounts=(dated,))) == LISTED


def test_a_spot_discount_stands_in_for_a_spot_price() -> None:
    """AWS' list has none; commitments do not count for spot."""
    spot = replace(P5, labels={**P5.labels, "karpenter.sh/capacity-type": "spot"})
    terms = Terms(discounts=(discount("spot", "0.4"), discount("reserved", "0.1")))
    assert gpu_hour(terms, spot) == LISTED * Decimal("0.4")
    assert gpu_hour(terms) == LISTED * Decimal("0.1")


def test_tax_and_currency_come_last_and_are_named() -> None:
    """6.88 USD, 19 % tax, 0.92 EUR for a dollar; the rate with its source and day."""
    terms = Terms(currency="EUR", exchange_rates=(EURO,), tax=Tax("VAT", Decimal("0.19")))
    found = price(terms)
    assert found.per_gpu_hour_whole.currency == found.per_hour.currency == "EUR"
    assert found.per_gpu_hour_whole.amount == LISTED * Decimal("1.19") * Decimal("0.92")
    assert "VAT (tax) x 1.19" in found.how
    assert "0.92 EUR/USD ECB 2026-11-02" in found.how


def own(**given: object) -> Terms:
    where = Selector(labels={"team": "vision"})
    return Terms(
        own=(OwnPrice(name="dgx", where=where, **given),),  # type: ignore[arg-type]
        tax=Tax("VAT", Decimal("0.19")),
        discounts=(discount("volume", "0.5"),),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"per_gpu_hour": Decimal("1.9")}, "1.9"),
        ({"per_node_hour": Decimal("16")}, "2"),
        (  # 280,320 over 4 years is 8 an hour, 10 kW at 0.2 are 2, 730 a month is 1: 11 for 8 GPUs
            {
                "purchase": Decimal(280_320),
                "lifetime_years": Decimal(4),
                "power_watts": Decimal(10_000),
                "energy_price_per_kwh": Decimal("0.2"),
                "per_month": Decimal(730),
            },
            "1.375",
        ),
    ],
)
def test_own_machines_by_hand(given: dict[str, Decimal], expected: str) -> None:
    """By the GPU, by the node or by purchase; neither discounts nor tax touch them."""
    found = price(own(**given))
    assert found.per_gpu_hour_whole.amount == Decimal(expected)
    assert found.per_hour.amount == Decimal(expected) * 8
    assert found.capacity == "own"
    assert "own price dgx" in found.how
    assert not found.assumed


@pytest.mark.parametrize("gpu", ["a40", "NVIDIA A40", "A40"])
def test_an_own_price_by_the_gpus_name(gpu: str) -> None:
    """Of a product that no list has, by NVIDIA's name of it, and of no other."""
    own = OwnPrice(name="cellar", where=Selector(gpu=gpu), per_gpu_hour=Decimal("0.4"))
    table = PriceTable.load(terms=Terms(own=(own,)))
    found = table.price(Node("c", "n", 8), "NVIDIA A40", 8)
    assert isinstance(found, NodePrice)
    assert found.per_gpu_hour_whole.amount == Decimal("0.4")
    assert isinstance(table.price(Node("c", "n", 8), "NVIDIA A400", 8), Refusal)


def test_an_own_price_in_another_currency_is_converted() -> None:
    """1.84 EUR at 0.92 EUR for a dollar are 2 USD."""
    machine = OwnPrice("dgx", Selector(node="n"), per_gpu_hour=Decimal("1.84"), currency="EUR")
    found = price(Terms(own=(machine,), exchange_rates=(EURO,)))
    assert found.per_gpu_hour_whole.currency == "USD"
    assert round(found.per_gpu_hour_whole.amount, 12) == Decimal(2)


def test_an_own_price_of_a_node_without_known_gpus_is_refused() -> None:
    """A node's price cannot be divided by nothing."""
    found = PriceTable.load(terms=own(per_node_hour=Decimal(1))).price(P5, None, 0)
    assert isinstance(found, Refusal)


def test_teams_by_the_first_pattern_that_fits() -> None:
    """Namespaces by name or pattern."""
    terms = Terms(teams={"vision": ("cv-*", "research"), "rest": ("*",)})
    assert [terms.team_of(n) for n in ("cv-1", "research", "web")] == ["vision", "vision", "rest"]
    assert Terms().team_of("web") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("curency: EUR", "x.yaml:1:10: curency is not known"),
        ("currency: eur", "x.yaml:1:11: currency string should match"),
        ("currency: EUR", "exchange_rates has no rate for EUR"),
        ("tax: {name: VAT, rate: 19}", "x.yaml:1:24: tax.rate should be less than or equal to 1"),
        (
            "discounts:\n- {name: a, kind: volume, factor: -0.1}",
            "x.yaml:2:35: discounts.0.factor should be greater than or equal to 0, not -0.1",
        ),
        ("discounts:\n- {name: a, kind: cheap, factor: 1}", "discounts.0.kind should be 'spot'"),
        ("discounts:\n- {name: a, kind: spot, factor: .nan}", "should be a finite number"),
        (
            "discounts:\n- {name: a, kind: spot, factor: 1, since: 2026-02-02, until: 2026-02-01}",
            "until should not be before since",
        ),
        ("own:\n- {name: a, where: {node: n}}", "one of per_gpu_hour, per_node_hour and purchase"),
        ("own:\n- {name: a, where: {}, per_gpu_hour: 1}", "where should name a label"),
        ("own:\n- {name: a, where: {node: n}, purchase: 0}", "own.0.purchase should be greater"),
        ("budgets:\n- {scope: user, name: a, per_month: 1}", "budgets.0.scope should be"),
        ("budgets:\n- {scope: team, name: a, per_month: 0}", "per_month should be greater"),
        ("- a", "has to be a mapping"),
        ("a: [", "is not YAML"),
        ("tax: {name: V, rate: 2026-02-30}", "is not YAML"),
    ],
)  # fmt: skip
def test_a_bad_cost_file_is_one_line_with_its_place(text: str, said: str) -> None:
    """file:line:column, what, and what to do."""
    with pytest.raises(CostFileError) as caught:
        parse(Path("x.yaml"), text)
    line = str(caught.value)
    assert said in line
    assert "\n" not in line
    assert line.startswith("x.yaml")


def test_an_empty_cost_file_changes_nothing() -> None:
    """List prices in dollars."""
    assert parse(Path("x.yaml"), "# nothing yet\n") == Terms()


def test_an_unreadable_cost_file(tmp_path: Path) -> None:
    """A path that was given has to be there."""
    with pytest.raises(CostFileError, match="cannot read the cost file"):
        load(tmp_path / "none.yaml")


@given(st.text(max_size=200))
def test_no_text_brings_anything_but_a_named_error(text: str) -> None:
    """Whatever stands in the file, it is terms or a CostFileError."""
    try:
        terms = parse(Path("x.yaml"), text)
    except CostFileError:
        return
    assert isinstance(terms, Terms)


ratios = st.decimals(0, 1, places=4)
kinds = st.sampled_from(
    ["spot", "reserved", "savings_plan", "committed_use", "volume", "negotiated"]
)
discounts = st.lists(
    st.builds(
        Discount,
        name=st.text("abc", min_size=1, max_size=4),
        kind=kinds,
        factor=ratios,
        covers=ratios,
    ),
    max_size=6,
)
nodes = st.builds(
    lambda kind, capacity: Node(
        "", "n", 1, labels={TYPE: kind, "karpenter.sh/capacity-type": capacity}
    ),
    st.sampled_from(["p5.48xlarge", "g2-standard-4", "Standard_NC4as_T4_v3"]),
    st.sampled_from(["spot", "on-demand"]),
)
TABLE = PriceTable.load()


@given(nodes, discounts, st.randoms(use_true_random=False))
def test_discounts_never_make_a_negative_or_a_higher_price(
    node: Node, found: list[Discount], rng: random.Random
) -> None:
    """From nothing to the list price, the GPU's share within the whole, in any order of terms."""
    table = PriceTable(TABLE.lists, terms=Terms(discounts=tuple(found)))
    shuffled = PriceTable(TABLE.lists, terms=Terms(discounts=tuple(rng.sample(found, len(found)))))
    listed, paid = TABLE.price(node, None, 1), table.price(node, None, 1)
    assert paid == shuffled.price(node, None, 1)
    if isinstance(paid, NodePrice):
        assert paid.per_gpu_hour_residual.amount <= paid.per_gpu_hour_whole.amount
        assert paid.per_gpu_hour_residual.amount >= 0
        if isinstance(listed, NodePrice):
            assert paid.per_gpu_hour_whole.amount <= listed.per_gpu_hour_whole.amount


@given(nodes, discounts, st.decimals("0.001", 1000, places=3))
def test_every_price_is_in_the_currency_of_the_terms(
    node: Node, found: list[Discount], per_usd: Decimal
) -> None:
    """Currencies never mix: all figures of a node are in one."""
    rate = ExchangeRate("EUR", per_usd, date(2026, 1, 1))
    terms = Terms(currency="EUR", exchange_rates=(rate,), discounts=tuple(found))
    paid = PriceTable(TABLE.lists, terms=terms).price(node, None, 1)
    if isinstance(paid, NodePrice):
        amounts = (paid.per_hour, paid.per_gpu_hour_whole, paid.per_gpu_hour_residual)
        assert {money.currency for money in amounts} == {"EUR"}
        plain = PriceTable(TABLE.lists, terms=Terms(discounts=tuple(found))).price(node, None, 1)
        assert isinstance(plain, NodePrice)
        ratio = plain.per_hour.amount * per_usd
        assert abs(paid.per_hour.amount - ratio) <= Decimal("1e-18") * max(ratio, Decimal(1))
