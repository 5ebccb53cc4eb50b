"""Analyses: pure functions from a snapshot and prices to findings and reports.

One analysis is one module; its SIGNALS are what `observe.snapshot.take` must have asked for.
"""

from agentaflow_advisor.analyze import (
    activity,
    capacity,
    cost,
    efficiency,
    health,
    idle,
    throttling,
)
from agentaflow_advisor.analyze.activity import ActivitySettings
from agentaflow_advisor.analyze.findings import Findings
from agentaflow_advisor.analyze.forecast import ForecastSettings
from agentaflow_advisor.analyze.health import HealthSettings
from agentaflow_advisor.analyze.idleness import IdleSettings
from agentaflow_advisor.analyze.settings import SettingsError
from agentaflow_advisor.analyze.throttling import ThrottlingSettings

__all__ = [
    "ActivitySettings",
    "Findings",
    "ForecastSettings",
    "HealthSettings",
    "IdleSettings",
    "SettingsError",
    "ThrottlingSettings",
    "activity",
    "capacity",
    "cost",
    "efficiency",
    "health",
    "idle",
    "throttling",
]
