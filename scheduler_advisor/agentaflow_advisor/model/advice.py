"""Advice: recommendations and placements, each carrying its money, its evidence and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agentaflow_advisor.model.actions import Action
from agentaflow_advisor.model.fleet import Workload
from agentaflow_advisor.model.money import Money

Enforceable = Literal["node", "device", "none"]


@dataclass(frozen=True, slots=True)
class Where:
    """What a recommendation is about, as narrowly as it is known."""

    cluster: str = ""
    node: str = ""
    gpu: str = ""
    uuid: str = ""
    namespace: str = ""
    pod: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How we know: the PromQL texts, when Prometheus evaluated them, and how much they rest on."""

    promql: tuple[str, ...]
    evaluated_at: float  # seconds since the epoch, Prometheus' clock
    newest_age_seconds: float
    samples: int


@dataclass(frozen=True, slots=True)
class Saving:
    """Money per month and the formula that gives it, with each input by name."""

    per_month: Money
    formula: str
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Something worth doing. `id` is stable: the same finding has the same id tomorrow."""

    id: str
    kind: str
    what: str
    where: Where
    saves: Saving | None
    confidence: float  # 0 to 1
    evidence: Evidence
    enforceable: Enforceable
    risk: str
    action: Action | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a strategy would put one pending pod, and why not elsewhere."""

    workload: Workload
    node: str
    hostname: str
    strategy: str
    score: float
    runner_up: str | None
    refused: Mapping[str, int]  # reason → number of nodes
    why: str
    parts: Mapping[str, float] = field(default_factory=dict)
    """What was compared, the greater the better, the first that differs decides; then what the
    score is the sum of.
    """
    runner_up_parts: Mapping[str, float] = field(default_factory=dict)
