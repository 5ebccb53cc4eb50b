"""Analyses: pure functions from a snapshot and prices to findings and reports.

One analysis is one module; its SIGNALS are what `observe.snapshot.take` must have asked for.
"""

from agentaflow_advisor.analyze import (
    activity,
    capacity,
    cost,
    defragmentation,
    efficiency,
    fragmentation,
    health,
    idle,
    rightsizing,
    stranded,
    throttling,
    zombies,
)
from agentaflow_advisor.analyze.activity import ActivitySettings
from agentaflow_advisor.analyze.defragmentation import DefragmentationSettings
from agentaflow_advisor.analyze.findings import Findings
from agentaflow_advisor.analyze.forecast import ForecastSettings
from agentaflow_advisor.analyze.fragmentation import FragmentationSettings
from agentaflow_advisor.analyze.health import HealthSettings
from agentaflow_advisor.analyze.idleness import IdleSettings
from agentaflow_advisor.analyze.needs import RightsizingSettings
from agentaflow_advisor.analyze.settings import SettingsError
from agentaflow_advisor.analyze.stranded import StrandedSettings
from agentaflow_advisor.analyze.throttling import ThrottlingSettings
from agentaflow_advisor.analyze.zombies import ZombieSettings

__all__ = [
    "ActivitySettings",
    "DefragmentationSettings",
    "Findings",
    "ForecastSettings",
    "FragmentationSettings",
    "HealthSettings",
    "IdleSettings",
    "RightsizingSettings",
    "SettingsError",
    "StrandedSettings",
    "ThrottlingSettings",
    "ZombieSettings",
    "activity",
    "capacity",
    "cost",
    "defragmentation",
    "efficiency",
    "fragmentation",
    "health",
    "idle",
    "rightsizing",
    "stranded",
    "throttling",
    "zombies",
]
