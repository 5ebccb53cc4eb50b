"""PodDisruptionBudgets: which pods a cluster lets go at the moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentaflow_advisor.model.fleet import Workload


@dataclass(frozen=True, slots=True)
class Requirement:
    """One of a label selector's matchExpressions."""

    key: str
    operator: str  # In, NotIn, Exists or DoesNotExist
    values: tuple[str, ...] = ()

    def met(self, labels: Mapping[str, str]) -> bool:
        """Kubernetes' own rule (apimachinery, labels.Requirement.Matches)."""
        if self.operator == "In":
            return labels.get(self.key) in self.values
        if self.operator == "NotIn":
            return labels.get(self.key) not in self.values
        return (self.key in labels) != (self.operator == "DoesNotExist")


@dataclass(frozen=True, slots=True)
class DisruptionBudget:
    """A policy/v1 PodDisruptionBudget. Without a selector it covers nothing."""

    namespace: str
    name: str
    allowed: int  # disruptions, as its controller counted them last
    match_labels: Mapping[str, str] | None = None
    match_expressions: tuple[Requirement, ...] = ()

    def covers(self, pod: Workload) -> bool:
        if self.match_labels is None or pod.namespace != self.namespace:
            return False
        return all(
            pod.labels.get(key) == value for key, value in self.match_labels.items()
        ) and all(one.met(pod.labels) for one in self.match_expressions)


@dataclass(frozen=True, slots=True)
class Disruptions:
    """All budgets of a cluster, or why they are not known."""

    budgets: tuple[DisruptionBudget, ...] = ()
    unknown: str = field(default="")

    def objection(self, pod: Workload, number: int = 1) -> str | None:
        """Why so many pods like this one may not be evicted at a time; None where they may.

        The eviction API does not serve a pod that several budgets cover.
        """
        if self.unknown:
            return f"its PodDisruptionBudgets are not known: {self.unknown}"
        covering = [budget for budget in self.budgets if budget.covers(pod)]
        if len(covering) > 1:
            names = ", ".join(sorted(budget.name for budget in covering))
            return f"several PodDisruptionBudgets cover it ({names}), which no eviction passes"
        for budget in covering:
            if budget.allowed < number:
                return (
                    f"PodDisruptionBudget {budget.name} allows "
                    f"{budget.allowed or 'no'} disruption{'s' * (budget.allowed > 1)} now"
                )
        return None
