"""A cost report as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification.

An estimate from metrics and prices, not an invoice: BilledCost is EffectiveCost. Tax has rows of
its own, as the specification asks. https://focus.finops.org/focus-specification/v1-2/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, localcontext

from agentaflow_advisor.analyze.allocation import Piece
from agentaflow_advisor.analyze.cost import EXACT, CostReport
from agentaflow_advisor.model import Snapshot
from agentaflow_advisor.price import NodePrice, Step
from agentaflow_advisor.price.terms import COMMITMENTS

COLUMNS = (
    "AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName",
    "BillingAccountType", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "CapacityReservationId", "CapacityReservationStatus", "ChargeCategory", "ChargeClass",
    "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName",
    "CommitmentDiscountQuantity", "CommitmentDiscountStatus", "CommitmentDiscountType",
    "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit", "ContractedCost",
    "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost",
    "ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity",
    "PricingUnit", "ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId",
    "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory",
    "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName",
    "SubAccountType", "Tags",
)  # fmt: skip
OWN_COLUMNS = ("x_Node", "x_Pod", "x_Part", "x_PriceAssumed")
"""Ours begin with x_, as the specification asks of columns that it does not have."""

ZONE = "topology.kubernetes.io/zone"
NO_CLUSTER = "(no cluster label)"
UNIT = "Hours"
SPENDS = frozenset({"savings_plan"})  # commitments to an amount of money, not to a quantity

Row = Mapping[str, str]


def focus_rows(report: CostReport, snapshot: Snapshot, zone: tzinfo = UTC) -> Iterator[Row]:
    """A Usage row for each priced piece, two where a commitment covers a part, and a Tax row.

    Their BilledCost adds up to the report's total to the digit. The report is on the whole basis,
    and its window within one month of the zone, which is the billing period.
    """
    zones = {(node.cluster, node.name): node.labels.get(ZONE, "") for node in snapshot.nodes}
    span = _span(snapshot, zone)
    for key in sorted(report.pieces):
        for piece in report.pieces[key]:
            if piece.price is None or not piece.hours:
                continue
            place = zones.get((piece.gpu.cluster, piece.gpu.node), "")
            common = {**span, **_identity(piece, piece.price), "AvailabilityZone": place}
            with localcontext(prec=EXACT):
                yield from _charges(piece, piece.price, common)


def _charges(piece: Piece, price: NodePrice, common: Row) -> Iterator[Row]:
    gross = price.per_gpu_hour_whole.amount
    taxed = any(step.kind == "tax" for step in price.steps)
    net = (_rate(price, _untaxed) if taxed else gross) * piece.hours
    left = net
    parts = _split(price)
    for part, paid in parts:
        charged = replace(piece, hours=piece.hours * part)
        last = paid is parts[-1][1]  # takes what rounding leaves
        effective = left if last else _rate(paid, _untaxed) * charged.hours
        left -= effective
        yield {
            **dict.fromkeys((*COLUMNS, *OWN_COLUMNS), ""),
            **common,
            **_prices(charged, paid),
            **_commitment(charged, paid),
            "BilledCost": _number(effective),
            "EffectiveCost": _number(effective),
            "ChargeCategory": "Usage",
            "ConsumedQuantity": _number(charged.hours),
            "ConsumedUnit": UNIT,
            "PricingQuantity": _number(charged.hours),
            "PricingUnit": UNIT,
        }
    tax = gross * piece.hours - net
    if tax:
        names = ", ".join(step.name for step in price.steps if step.kind == "tax")
        amounts = dict.fromkeys(
            ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), _number(tax)
        )
        yield {
            **dict.fromkeys((*COLUMNS, *OWN_COLUMNS), ""),
            **common,
            **amounts,
            **_taxed(piece, price),
            "ChargeCategory": "Tax",
            "ChargeDescription": f"{names} on {common['ChargeDescription']}",
        }


def _untaxed(step: Step) -> bool:
    return step.kind != "tax"


def _split(price: NodePrice) -> tuple[tuple[Decimal, NodePrice], ...]:
    """Parts of the hours and their steps: those that a commitment covers, and the others."""
    for step in price.steps:
        if step.kind not in COMMITMENTS or step.covers == 1:
            continue
        held = Step(step.name, step.kind, step.covered_factor)
        covered = tuple(held if each is step else each for each in price.steps)
        others = tuple(each for each in price.steps if each is not step)
        parts = ((step.covers, covered), (1 - step.covers, others))
        return tuple((part, replace(price, steps=steps)) for part, steps in parts if part)
    return ((Decimal(1), price),)


def _taxed(piece: Piece, price: NodePrice) -> Row:
    """The tax in the currency of the price list."""
    paid = _rate(price, lambda step: step.kind != "exchange")
    net = _rate(price, lambda step: step.kind not in ("tax", "exchange"))
    return {
        "PricingCurrency": (price.base_per_gpu_hour or price.per_gpu_hour_whole).currency,
        "PricingCurrencyEffectiveCost": _number((paid - net) * piece.hours),
    }


def _prices(piece: Piece, price: NodePrice) -> Row:
    """List is before all discounts, contracted after those that bind nobody."""
    listed = _rate(price, lambda step: step.kind == "exchange")
    contracted = _rate(price, lambda step: step.kind in ("exchange", "volume", "negotiated"))
    base = price.base_per_gpu_hour or price.per_gpu_hour_whole
    own = _rate(price, lambda step: step.kind in ("volume", "negotiated"))
    paid = _rate(price, lambda step: step.kind not in ("tax", "exchange"))
    commitments = [step for step in price.steps if step.kind in COMMITMENTS]
    dynamic = "Dynamic" if price.capacity == "spot" else "Standard"
    return {
        "ListUnitPrice": _number(listed),
        "ListCost": _number(listed * piece.hours),
        "ContractedUnitPrice": _number(contracted),
        "ContractedCost": _number(contracted * piece.hours),
        "PricingCategory": "Committed" if commitments else dynamic,
        "PricingCurrency": base.currency,
        "PricingCurrencyListUnitPrice": _number(base.amount),
        "PricingCurrencyContractedUnitPrice": _number(own),
        "PricingCurrencyEffectiveCost": _number(paid * piece.hours),
        "SkuId": price.instance_type,
        "SkuMeter": "GPU Hours",
        "SkuPriceId": "/".join((price.instance_type, price.region, price.capacity)),
        "SkuPriceDetails": json.dumps({"x_Source": price.how}),
    }


def _rate(price: NodePrice, counts: Callable[[Step], bool]) -> Decimal:
    """A GPU's hour with only those steps taken from the price list's."""
    base = price.base_per_gpu_hour or price.per_gpu_hour_whole
    rate = base.amount
    for step in price.steps:
        rate = rate * step.factor if counts(step) else rate
    return rate


def _commitment(piece: Piece, price: NodePrice) -> Row:
    for step in price.steps:
        if step.kind in COMMITMENTS:
            spends = step.kind in SPENDS
            paid = _rate(price, lambda step: step.kind not in ("tax", "exchange")) * piece.hours
            base = price.base_per_gpu_hour or price.per_gpu_hour_whole
            return {
                "CommitmentDiscountId": step.name,
                "CommitmentDiscountName": step.name,
                "CommitmentDiscountCategory": "Spend" if spends else "Usage",
                "CommitmentDiscountType": step.kind.replace("_", " "),
                "CommitmentDiscountStatus": "Used",
                "CommitmentDiscountQuantity": _number(paid if spends else piece.hours),
                "CommitmentDiscountUnit": base.currency if spends else UNIT,
            }
    return {}


def _identity(piece: Piece, price: NodePrice) -> Row:
    gpu, account = piece.gpu, piece.gpu.cluster or NO_CLUSTER
    provider = price.provider or "unknown"
    tags = {"namespace": piece.namespace, "pod": piece.pod, "node": gpu.node, "part": piece.part}
    return {
        "BillingAccountId": account,
        "BillingAccountName": account,
        "BillingAccountType": "Cluster",
        "BillingCurrency": price.per_hour.currency,
        "ChargeDescription": f"{piece.part} hours of {gpu.model or 'a GPU'} on {gpu.node}",
        "ChargeFrequency": "Usage-Based",
        "InvoiceIssuerName": provider,
        "ProviderName": provider,
        "PublisherName": provider,
        "RegionId": price.region,
        "RegionName": price.region,
        "ResourceId": gpu.uuid,
        "ResourceName": gpu.name,
        "ResourceType": "GPU",
        "ServiceCategory": "Compute",
        "ServiceName": "GPU",
        "ServiceSubcategory": "Virtual Machines",
        "SubAccountId": piece.namespace,
        "SubAccountName": piece.namespace,
        "SubAccountType": "Namespace" if piece.namespace else "",
        "Tags": json.dumps({key: value for key, value in tags.items() if value}),
        "x_Node": gpu.node,
        "x_Pod": piece.pod,
        "x_Part": piece.part,
        "x_PriceAssumed": "true" if price.assumed else "false",
    }


def _span(snapshot: Snapshot, zone: tzinfo) -> Row:
    """The charge's window, and the zone's calendar month in which it begins, all in UTC."""
    end = datetime.fromtimestamp(snapshot.taken_at, UTC)
    start = datetime.fromtimestamp(snapshot.taken_at - snapshot.window_seconds, UTC)
    local = start.astimezone(zone)
    first = datetime(local.year, local.month, 1, tzinfo=zone)
    after = datetime(local.year + local.month // 12, local.month % 12 + 1, 1, tzinfo=zone)
    return {
        "ChargePeriodStart": _time(start),
        "ChargePeriodEnd": _time(end),
        "BillingPeriodStart": _time(first),
        "BillingPeriodEnd": _time(after),
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(value: Decimal) -> str:
    return f"{value:f}"
