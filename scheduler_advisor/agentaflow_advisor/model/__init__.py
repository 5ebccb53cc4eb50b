"""The values that flow through the rooms: frozen, slotted, without I/O and without a clock."""

from agentaflow_advisor.model.actions import (
    ACTIONS,
    Action,
    AdmitWorkload,
    BindPod,
    CordonNode,
    EvictPod,
    LabelNode,
    PlacePod,
    ReleaseJob,
    TaintDevice,
)
from agentaflow_advisor.model.advice import (
    Enforceable,
    Evidence,
    Placement,
    Recommendation,
    Saving,
    Where,
)
from agentaflow_advisor.model.decision import NEXT, Allow, Decision, State, Veto
from agentaflow_advisor.model.disruption import DisruptionBudget, Disruptions, Requirement
from agentaflow_advisor.model.fleet import (
    Device,
    Gpu,
    Held,
    Node,
    PodRef,
    Taint,
    Toleration,
    Usage,
    Workload,
)
from agentaflow_advisor.model.money import (
    HOURS_PER_MONTH,
    CurrencyMismatch,
    HourlyPrice,
    Money,
)
from agentaflow_advisor.model.past import Past, PastNode, PodRun
from agentaflow_advisor.model.quota import QuotaLeft
from agentaflow_advisor.model.series import Demand, Series
from agentaflow_advisor.model.snapshot import ClusterState, Missing, Query, Refusal, Snapshot
from agentaflow_advisor.model.target import Settled, Target, Verification

__all__ = [
    "ACTIONS",
    "HOURS_PER_MONTH",
    "NEXT",
    "Action",
    "AdmitWorkload",
    "Allow",
    "BindPod",
    "ClusterState",
    "CordonNode",
    "CurrencyMismatch",
    "Decision",
    "Demand",
    "Device",
    "DisruptionBudget",
    "Disruptions",
    "Enforceable",
    "EvictPod",
    "Evidence",
    "Gpu",
    "Held",
    "HourlyPrice",
    "LabelNode",
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
    "QuotaLeft",
    "Recommendation",
    "Refusal",
    "ReleaseJob",
    "Requirement",
    "Saving",
    "Series",
    "Settled",
    "Snapshot",
    "State",
    "Taint",
    "TaintDevice",
    "Target",
    "Toleration",
    "Usage",
    "Verification",
    "Veto",
    "Where",
    "Workload",
]
