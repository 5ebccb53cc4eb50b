"""Analyses: pure functions from a snapshot and prices to findings and reports.

One analysis is one module; its SIGNALS are what `observe.snapshot.take` must have asked for.
"""

from agentaflow_advisor.analyze import (
    cost,
    efficiency,
    fragmentation,
    idle,
    rightsizing,
    stranded,
    zombies,
)
from agentaflow_advisor.analyze.findings import Findings
from agentaflow_advisor.analyze.fragmentation import FragmentationSettings
from agentaflow_advisor.analyze.idleness import IdleSettings
from agentaflow_advisor.analyze.needs import RightsizingSettings
from agentaflow_advisor.analyze.settings import SettingsError
from agentaflow_advisor.analyze.stranded import StrandedSettings
from agentaflow_advisor.analyze.zombies import ZombieSettings

__all__ = [
    "Findings",
    "FragmentationSettings",
    "IdleSettings",
    "RightsizingSettings",
    "SettingsError",
    "StrandedSettings",
    "ZombieSettings",
    "cost",
    "efficiency",
    "fragmentation",
    "idle",
    "rightsizing",
    "stranded",
    "zombies",
]
