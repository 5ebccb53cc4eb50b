"""What guards judge: the facts of this moment, and what was carried out lately."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import (
    Allow,
    Decision,
    Disruptions,
    Node,
    State,
    Target,
    Veto,
    Workload,
)

NOT_READ = Disruptions(unknown="they were not read")


@dataclass(frozen=True, slots=True)
class Recent:
    """A decision that was carried out, or was about to be, within the longest of the limits."""

    decision: Decision
    intended_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Context:
    """The facts of this moment. None means: could not be told, which never allows."""

    policy: Policy
    target: Target
    now: float  # seconds since the epoch, this machine's clock
    prometheus_now: float | None = None  # seconds since the epoch, Prometheus' clock
    namespace_labels: Mapping[str, str] | None = None
    node: Node | None = None
    nodes: tuple[Node, ...] = ()  # all of the cluster
    others: tuple[Workload, ...] = ()  # at least the pods on the node and those not yet bound
    siblings: tuple[Workload, ...] = ()  # the pods of the target's namespace
    disruptions: Disruptions = NOT_READ
    stopped: str | None = None  # why the kill switch says stop; None: it is off
    recent: tuple[Recent, ...] = ()  # newest first
    together: tuple[Workload, ...] = ()
    """The rest of its gang that goes with it, each on the node of its own decision."""
    agreed: Mapping[str, State] = field(default_factory=dict)
    """Uid of each object with a decision that is approved or further → that decision's state."""


Guard = Callable[[Decision, Context], Allow | Veto]


def vetoes(
    decision: Decision, context: Context, guards: Iterable[Guard]
) -> tuple[tuple[str, str], ...]:
    """(guard's name, reason) of each that forbids it; all are asked, none hides another."""
    answers = ((guard.__name__, guard(decision, context)) for guard in guards)
    return tuple((name, answer.reason) for name, answer in answers if isinstance(answer, Veto))


def reasons(found: Iterable[tuple[str, str]]) -> str:
    """In one line."""
    return "; ".join(f"{guard}: {why}" for guard, why in found)


def unless(forbidden: bool, reason: str) -> Allow | Veto:
    """A veto for that reason, unless nothing forbids it."""
    return Veto(reason) if forbidden else Allow()
