"""The values that flow through the rooms: frozen, slotted, without I/O and without a clock."""

from agentaflow_advisor.model.advice import (
    Action,
    Enforceable,
    Evidence,
    Placement,
    PlacePod,
    Recommendation,
    Saving,
    Where,
)
from agentaflow_advisor.model.decision import NEXT, Allow, Decision, State, Veto
from agentaflow_advisor.model.disruption import DisruptionBudget, Disruptions, Requirement
from agentaflow_advisor.model.fleet import (
    Gpu,
    Held,
    Node,
    PodRef,
    Taint,
    Toleration,
    Usage,
    Workload,
)
from agentaflow_advisor.model.money import HOURS_PER_MONTH, CurrencyMismatch, Money
from agentaflow_advisor.model.past import Past, PastNode, PodRun
from agentaflow_advisor.model.series import Demand, Series
from agentaflow_advisor.model.snapshot import ClusterState, Missing, Query, Refusal, Snapshot

__all__ = [
    "HOURS_PER_MONTH",
    "NEXT",
    "Action",
    "Allow",
    "ClusterState",
    "CurrencyMismatch",
    "Decision",
    "Demand",
    "DisruptionBudget",
    "Disruptions",
    "Enforceable",
    "Evidence",
    "Gpu",
    "Held",
    "Missing",
    "Money",
    "Node",
    "Past",
    "PastNode",
    "PlacePod",
    "Placement",
    "PodRef",
    "PodRun",
    "Query",
    "Recommendation",
    "Refusal",
    "Requirement",
    "Saving",
    "Series",
    "Snapshot",
    "State",
    "Taint",
    "Toleration",
    "Usage",
    "Veto",
    "Where",
    "Workload",
]
