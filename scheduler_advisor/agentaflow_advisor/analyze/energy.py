"""Energy in kWh, money and CO2e: joules that were counted, never watts that were guessed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from agentaflow_advisor.analyze.allocation import Piece
from agentaflow_advisor.model import Money

WASTED = ("idle", "unallocated")


@dataclass(frozen=True, slots=True)
class EnergyRates:
    """What a kWh costs and causes; None: not told, so neither is said."""

    price_per_kwh: Decimal | None = None
    grid_g_per_kwh: Decimal | None = None
    pue: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Energy:
    """Of one row; None where no GPU of it told its energy. It is in no other amount.

    kWh are at the building's meter: those of the GPUs times the PUE.
    """

    kwh: Decimal | None = None
    idle_kwh: Decimal | None = None  # in time that was idle or unallocated
    cost: Money | None = None
    idle_cost: Money | None = None
    kg_co2e: Decimal | None = None
    unmeasured_gpu_hours: Decimal = Decimal(0)


def energy_of(pieces: Iterable[Piece], rates: EnergyRates, currency: str) -> Energy:
    """The energy of those hours, and what it cost and caused."""
    kwh = idle = unmeasured = Decimal(0)
    measured = False
    for piece in pieces:
        if piece.kwh is None:
            unmeasured += piece.hours
            continue
        measured = True
        kwh += piece.kwh * rates.pue
        if piece.part in WASTED:
            idle += piece.kwh * rates.pue
    if not measured:
        return Energy(unmeasured_gpu_hours=unmeasured)
    price, grid = rates.price_per_kwh, rates.grid_g_per_kwh
    return Energy(
        kwh=kwh,
        idle_kwh=idle,
        cost=None if price is None else Money(kwh * price, currency),
        idle_cost=None if price is None else Money(idle * price, currency),
        kg_co2e=None if grid is None else kwh * grid / 1000,
        unmeasured_gpu_hours=unmeasured,
    )
