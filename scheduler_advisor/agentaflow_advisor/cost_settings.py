"""What can be set about money: prices, terms, teams, energy, and the calendar of reports."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, Field

from agentaflow_advisor.analyze.energy import EnergyRates
from agentaflow_advisor.price import ResidualRates

LocalPath = Annotated[Path, AfterValidator(Path.expanduser)]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("should be a time zone such as UTC or Europe/Berlin") from error
    return name


class CostSettings(BaseModel):
    """The part of the settings that is about money."""

    prices_file: LocalPath | None = Field(
        None, description="Price table (CSV) to use in place of the packaged ones."
    )
    prices_warn_age_days: int = Field(
        180, ge=1, le=3650, description="An older price table is used, with a warning."
    )
    prices_assumed: Literal["AWS", "Azure", "GCP"] = Field(
        "AWS", description="Whose packaged prices hold for nodes of which no provider is known."
    )
    cost_file: LocalPath | None = Field(
        None,
        description="YAML with your terms: discounts, own prices, tax, currency, teams, budgets; "
        "see cost.md.",
    )
    residual_vcpu_usd_per_hour: Decimal = Field(
        Decimal("0.0356667"),
        ge=0,
        le=10,
        description="What a vCPU costs without a GPU; taken off a node's price to get its GPUs'.",
    )
    residual_gib_usd_per_hour: Decimal = Field(
        Decimal("0.0034167"), ge=0, le=10, description="The same for a GiB of memory."
    )
    residual_graviton_vcpu_usd_per_hour: Decimal = Field(
        Decimal("0.0285333"),
        ge=0,
        le=10,
        description="What a vCPU costs beside GPUs that come with Graviton (T4G).",
    )
    residual_graviton_gib_usd_per_hour: Decimal = Field(
        Decimal("0.0027333"), ge=0, le=10, description="The same for a GiB of memory."
    )
    team_label: str | None = Field(
        None,
        min_length=1,
        max_length=317,
        description="Label of namespaces that names their team; the cost file's teams win over it.",
    )
    energy_price_per_kwh: Decimal | None = Field(
        None, ge=0, le=100, description="What a kWh costs, in the currency of the reports."
    )
    grid_g_per_kwh: Decimal | None = Field(
        None, ge=0, le=5000, description="Grams of CO2e that a kWh of your grid causes."
    )
    pue: Decimal = Field(
        Decimal(1),
        ge=1,
        le=5,
        description="Power usage effectiveness: kWh at the building's meter for one in a GPU.",
    )
    time_zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        "UTC", description="Where days, weeks and months of reports and budgets begin."
    )

    def rates(self) -> ResidualRates:
        """What CPU and memory cost without a GPU."""
        return ResidualRates(
            self.residual_vcpu_usd_per_hour,
            self.residual_gib_usd_per_hour,
            self.residual_graviton_vcpu_usd_per_hour,
            self.residual_graviton_gib_usd_per_hour,
        )

    def energy(self) -> EnergyRates:
        """What energy costs and causes."""
        return EnergyRates(self.energy_price_per_kwh, self.grid_g_per_kwh, self.pue)
