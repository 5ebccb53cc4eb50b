"""The queue policies by name. A new one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentaflow_advisor.place.jobs import Job
from agentaflow_advisor.place.policies.best_effort_fifo import BestEffortFifo
from agentaflow_advisor.place.policies.easy_backfill import EasyBackfill
from agentaflow_advisor.place.policies.policy import Policy
from agentaflow_advisor.place.policies.priority import Priority
from agentaflow_advisor.place.policies.strict_fifo import StrictFifo

POLICIES: Mapping[str, Callable[[Sequence[Job], float], Policy]] = {
    StrictFifo.name: lambda _jobs, _aging: StrictFifo(),
    BestEffortFifo.name: lambda _jobs, _aging: BestEffortFifo(),
    EasyBackfill.name: lambda _jobs, _aging: EasyBackfill(),
    Priority.name: Priority.among,
}
"""From the jobs that will come, and the seconds of waiting that are worth a level of priority."""

__all__ = ["POLICIES", "BestEffortFifo", "EasyBackfill", "Policy", "Priority", "StrictFifo"]
