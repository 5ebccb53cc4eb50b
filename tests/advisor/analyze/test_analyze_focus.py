"""FOCUS rows: the specification's columns, its rules, and sums that are the report's."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze import IdleSettings, cost
from agentaflow_advisor.analyze.focus import COLUMNS, OWN_COLUMNS, Row, focus_rows
from agentaflow_advisor.model import Gpu, Held, Node, Snapshot, Usage
from agentaflow_advisor.price import PriceTable, Terms, price_nodes
from agentaflow_advisor.price.terms import Discount, ExchangeRate, Tax

DAY = 86_400.0
NOV_23_2026 = 1_795_392_000.0
NOV_1_IN_BERLIN = NOV_23_2026 - 22 * DAY - 3_600
TYPE = "node.kubernetes.io/instance-type"
BUSY = Usage(1.0, 0.9, 5760, 15.0, DAY, 0.6)
MANDATORY = {  # FOCUS 1.2: columns that must be present, and must not be null in a Usage row
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory",
    "ServiceName", "ServiceSubcategory", "BillingAccountName", "PricingCategory", "ConsumedUnit",
}  # fmt: skip
NULLABLE = {"ChargeClass"}  # mandatory, and null in everything but a correction
COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")


def rows(terms: Terms | None = None, *gpus: Gpu) -> tuple[list[Row], cost.CostReport]:
    fleet = gpus or (
        Gpu("c", "n", "0", "GPU-0", "Tesla T4", up=True, utilization=BUSY,
            present_seconds=DAY, held=(Held("a", DAY / 2),)),
    )  # fmt: skip
    zone = {TYPE: "g4dn.xlarge", "topology.kubernetes.io/zone": "us-east-1a"}
    nodes = (Node("c", "n", 1, labels=zone),)
    snapshot = Snapshot(NOV_23_2026, DAY, 0.95, fleet, nodes)
    prices = price_nodes(snapshot, PriceTable.load(terms=terms))
    report = cost.report(snapshot, prices, IdleSettings(), by="namespace", terms=terms)
    return list(focus_rows(report, snapshot)), report


def test_the_columns_are_those_of_the_specification() -> None:
    """57 columns of FOCUS 1.2 in order, then ours, each beginning with x_."""
    found, _ = rows()
    assert len(COLUMNS) == 57
    assert list(COLUMNS) == sorted(COLUMNS)
    assert set(COLUMNS) >= MANDATORY | NULLABLE
    assert all(name.startswith("x_") for name in OWN_COLUMNS)
    assert all(tuple(row) == (*COLUMNS, *OWN_COLUMNS) for row in found)


def test_a_usage_row_by_hand() -> None:
    """Twelve hours of a T4 in use at 0.526 USD, and twelve in which no pod held it."""
    found, _ = rows()
    used, free = sorted(found, key=lambda row: row["x_Part"], reverse=True)
    assert all(used[name] for name in MANDATORY)
    assert Decimal(used["BilledCost"]) == Decimal("6.312")
    assert (used["ConsumedQuantity"], used["ConsumedUnit"]) == ("12.000000", "Hours")
    assert used["ChargePeriodStart"] == "2026-11-22T00:00:00Z"
    assert used["ChargePeriodEnd"] == "2026-11-23T00:00:00Z"
    assert used["BillingPeriodStart"] == "2026-11-01T00:00:00Z"
    assert used["BillingPeriodEnd"] == "2026-12-01T00:00:00Z"
    assert (used["SubAccountId"], free["SubAccountId"]) == ("a", "")
    assert (used["RegionId"], used["AvailabilityZone"]) == ("us-east-1", "us-east-1a")
    assert (used["SkuId"], used["PricingCategory"]) == ("g4dn.xlarge", "Standard")
    assert json.loads(used["Tags"]) == {"namespace": "a", "node": "n", "part": "used"}


def test_a_commitment_a_negotiated_price_and_a_currency() -> None:
    """List before all, contracted after what binds nobody, effective after the commitment."""
    terms = Terms(
        currency="EUR",
        exchange_rates=(ExchangeRate("EUR", Decimal("0.5"), date(2026, 1, 1)),),
        discounts=(
            Discount("plan", "savings_plan", Decimal("0.5")),
            Discount("deal", "negotiated", Decimal("0.8")),
        ),
    )
    row = rows(terms)[0][0]
    assert Decimal(row["ListUnitPrice"]) == Decimal("0.263")
    assert Decimal(row["ContractedUnitPrice"]) == Decimal("0.2104")
    assert Decimal(row["EffectiveCost"]) == 12 * Decimal("0.1052")
    assert (row["BillingCurrency"], row["PricingCurrency"]) == ("EUR", "USD")
    assert Decimal(row["PricingCurrencyListUnitPrice"]) == Decimal("0.526")
    assert Decimal(row["PricingCurrencyEffectiveCost"]) == 12 * Decimal("0.2104")
    assert (row["PricingCategory"], row["CommitmentDiscountId"]) == ("Committed", "plan")
    assert (row["CommitmentDiscountCategory"], row["CommitmentDiscountStatus"]) == ("Spend", "Used")
    assert Decimal(row["CommitmentDiscountQuantity"]) == 12 * Decimal("0.2104")
    assert row["CommitmentDiscountUnit"] == "USD"


def test_a_reservation_is_counted_in_hours() -> None:
    """It commits to a quantity, a savings plan to an amount of money."""
    terms = Terms(discounts=(Discount("held", "reserved", Decimal("0.5")),))
    row = rows(terms)[0][0]
    assert (row["CommitmentDiscountCategory"], row["CommitmentDiscountUnit"]) == ("Usage", "Hours")
    assert Decimal(row["CommitmentDiscountQuantity"]) == 12


def test_hours_that_a_commitment_does_not_cover_are_standard() -> None:
    """Of 12 hours at 0.526 USD, 9.6 are paid at 62 % and 2.4 in full."""
    terms = Terms(
        discounts=(Discount("plan", "savings_plan", Decimal("0.62"), covers=Decimal("0.8")),),
    )
    found = [row for row in rows(terms)[0] if row["x_Part"] == "used"]
    told = [
        (row["PricingCategory"], row["CommitmentDiscountStatus"], Decimal(row["PricingQuantity"]))
        for row in found
    ]
    assert told == [("Committed", "Used", Decimal("9.6")), ("Standard", "", Decimal("2.4"))]
    assert Decimal(found[0]["EffectiveCost"]) == Decimal("9.6") * Decimal("0.526") * Decimal("0.62")
    assert Decimal(found[1]["EffectiveCost"]) == Decimal("2.4") * Decimal("0.526")


def test_the_billing_period_is_the_month_of_the_zone() -> None:
    """Berlin's November begins at 23:00 UTC of October's last day."""
    found, report = rows()
    one = Snapshot(NOV_1_IN_BERLIN + DAY, DAY, 0.95, ())
    row = next(iter(focus_rows(report, one, ZoneInfo("Europe/Berlin"))))
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (
        "2026-10-31T23:00:00Z",
        "2026-11-30T23:00:00Z",
    )
    assert found[0]["BillingPeriodStart"] == "2026-11-01T00:00:00Z"


def test_tax_has_rows_of_its_own() -> None:
    """As the specification asks; they have no price category, quantity or SKU."""
    found, _ = rows(Terms(tax=Tax("VAT", Decimal("0.25"))))
    taxes = [row for row in found if row["ChargeCategory"] == "Tax"]
    assert [Decimal(row["BilledCost"]) for row in taxes] == [Decimal("1.578")] * 2
    assert {row["PricingCurrency"] for row in taxes} == {"USD"}
    assert [Decimal(row["PricingCurrencyEffectiveCost"]) for row in taxes] == [Decimal("1.578")] * 2
    for name in ("PricingCategory", "ConsumedQuantity", "PricingQuantity", "SkuId"):
        assert {row[name] for row in taxes} == {""}
    assert taxes[0]["ChargeDescription"].startswith("VAT on ")


fractions = st.decimals("0.01", 1, places=3)


@given(
    fractions,
    st.decimals(0, 1, places=2),
    fractions,
    st.decimals(0, 1, places=3),
    st.floats(0, DAY),
    st.floats(0, DAY),
)
def test_the_rows_add_up_to_the_report(
    factor: Decimal, covers: Decimal, per_usd: Decimal, tax: Decimal, held: float, there: float
) -> None:
    """BilledCost is the report's total to the digit, under any terms; nothing is negative."""
    terms = Terms(
        currency="EUR",
        exchange_rates=(ExchangeRate("EUR", per_usd, date(2026, 1, 1)),),
        tax=Tax("VAT", tax),
        discounts=(
            Discount("deal", "volume", factor),
            Discount("plan", "savings_plan", factor, covers=covers),
        ),
    )
    one = Gpu("c", "n", "0", "GPU-0", "Tesla T4", up=True, utilization=BUSY)
    one = replace(one, present_seconds=there, held=(Held("a", held),))
    found, report = rows(terms, one)
    billed = sum((Decimal(row["BilledCost"]) for row in found), Decimal(0))
    assert billed == report.total.cost.amount
    assert all(Decimal(row[name]) >= 0 for row in found for name in COSTS)
