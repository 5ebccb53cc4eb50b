"""What can be set about health, held-down clocks, activity and forecasts."""

from __future__ import annotations

from pydantic import BaseModel, Field

from agentaflow_advisor.analyze import (
    ActivitySettings,
    ForecastSettings,
    HealthSettings,
    ThrottlingSettings,
)
from agentaflow_advisor.durations import DAY, Seconds


class AnalysisSettings(BaseModel):
    """The part of the settings that is about single analyses."""

    health_below_score: float = Field(
        90.0, ge=0, le=100, description="A GPU whose health scores less, of 100, is told."
    )
    throttled_min_ratio: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Clocks held down for a smaller part of the time are not told.",
    )
    throttled_loss_ratio: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Part of a throttled hour's price that counts as lost. How far the clocks fell "
        "is not measured; a hardware slowdown halves them at least (nvml.h). The upper bound is "
        "told beside it.",
    )
    low_sm_utilization_ratio: float = Field(
        0.9,
        ge=0,
        le=1,
        description="A GPU whose high percentile of utilization is this looks busy.",
    )
    low_sm_high_ratio: float = Field(
        0.3,
        ge=0,
        le=1,
        description="It is told when the high percentile of its SM activity is not above this.",
    )
    forecast_seconds: Seconds = Field(
        14 * DAY, ge=DAY, le=90 * DAY, description="How far ahead demand and cost are forecast."
    )
    forecast_history_seconds: Seconds = Field(
        56 * DAY,
        ge=9 * DAY,
        le=366 * DAY,
        description="How far back a forecast looks; it takes a week and twice what is forecast.",
    )
    forecast_coverage_ratio: float = Field(
        0.8,
        ge=0.5,
        le=0.99,
        description="Part of the real values that a forecast's band should hold.",
    )
    forecast_max_gap_ratio: float = Field(
        0.2, ge=0, le=0.5, description="With more of the history missing there is no forecast."
    )
    forecast_in_advice: bool = Field(
        False,
        description="`recommend` and `serve` also say when GPUs run out. That reads weeks of "
        "history each time.",
    )

    def health(self) -> HealthSettings:
        """When a GPU counts as sick."""
        return HealthSettings(below_score=self.health_below_score)

    def throttling(self) -> ThrottlingSettings:
        """When held-down clocks are told, and what they cost."""
        return ThrottlingSettings(self.throttled_min_ratio, self.throttled_loss_ratio)

    def activity(self) -> ActivitySettings:
        """When a GPU looks busy and is not."""
        return ActivitySettings(self.low_sm_utilization_ratio, self.low_sm_high_ratio)

    def forecast(self) -> ForecastSettings:
        """How demand is forecast."""
        return ForecastSettings(self.forecast_coverage_ratio, self.forecast_max_gap_ratio)
