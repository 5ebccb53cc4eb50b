"""Analyses: pure functions from a snapshot and prices to findings and reports.

One analysis is one module; its SIGNALS are what `observe.snapshot.take` must have asked for.
"""

from agentaflow_advisor.analyze import cost, efficiency, idle
from agentaflow_advisor.analyze.findings import Findings
from agentaflow_advisor.analyze.idleness import IdleSettings
from agentaflow_advisor.analyze.settings import SettingsError

__all__ = [
    "Findings",
    "IdleSettings",
    "SettingsError",
    "cost",
    "efficiency",
    "idle",
]
