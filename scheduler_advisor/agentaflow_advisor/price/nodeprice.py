"""What a node costs an hour and what one of its GPUs does, with each step from the list price."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from agentaflow_advisor.model import HourlyPrice, Money
from agentaflow_advisor.price.offer import Capacity
from agentaflow_advisor.price.tablefile import PriceRow, ResidualRates


@dataclass(frozen=True, slots=True)
class Step:
    """One factor between the list price and what is paid."""

    name: str
    kind: str  # a discount's kind, or tax, or exchange
    factor: Decimal  # on average, where it covers a part
    covers: Decimal = Decimal(1)  # the part of the hours that it holds for

    @property
    def covered_factor(self) -> Decimal:
        """Of the hours that it covers: the others are paid in full."""
        return 1 - (1 - self.factor) / self.covers if self.covers else Decimal(1)

    def __str__(self) -> str:
        named = f"{self.name} ({self.kind.replace('_', ' ')})"
        if self.covers == 1:
            return f"{named} x {self.factor.normalize():f}"
        part = (self.covers * 100).normalize()
        return f"{named} x {self.covered_factor.normalize():f} for {part:f} % of the hours"


@dataclass(frozen=True, slots=True)
class NodePrice:
    """A node's price per hour, and one GPU's in two ways that never mix.

    `whole` is the node's price over its GPUs: what the bill holds. `residual` is what remains of
    that once CPU and memory are paid at the rates of machines without a GPU: the GPU's own share.
    """

    instance_type: str
    per_hour: Money
    per_gpu_hour_whole: Money
    per_gpu_hour_residual: Money
    assumed: bool  # no list price for this very node: taken from one with such GPUs
    how: str = ""  # where the price is from, for people
    source: str = ""  # the price list's title; empty for a price of one's own
    provider: str = ""
    region: str = ""
    capacity: Capacity = "on_demand"
    base_per_gpu_hour: Money | None = None  # before the steps, in the list's currency
    steps: tuple[Step, ...] = ()  # whole = base x all of them


def from_row(
    row: PriceRow,
    gpus: int,
    steps: tuple[Step, ...],
    currency: str,
    rates: ResidualRates,
    *,
    capacity: Capacity,
) -> NodePrice:
    """A list price with its steps; the GPU's share of the node is that of the on-demand price."""
    spot = row.spot_usd_hour if capacity == "spot" else None
    node_hour = row.usd_hour if spot is None else spot
    factor = Decimal(1)
    for step in steps:
        factor *= step.factor
    base = node_hour / row.gpus
    residual = max(Decimal(0), row.usd_hour - rates.rest(row)) / row.gpus
    if spot is not None:
        residual = residual * spot / row.usd_hour
    per_hour = node_hour if gpus == row.gpus else base * gpus
    return NodePrice(
        row.instance_type,
        Money(per_hour * factor, currency),
        HourlyPrice(base * factor, currency),
        HourlyPrice(min(residual, base) * factor, currency),
        assumed=False,
        region=row.region,
        capacity=capacity,
        base_per_gpu_hour=Money(base),
        steps=steps,
    )
