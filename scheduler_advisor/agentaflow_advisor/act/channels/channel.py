"""What a channel has to tell: how it writes, and how it knows that nothing is left to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentaflow_advisor.model import Decision, State, Workload


@dataclass(frozen=True, slots=True)
class Settled:
    """The object shows that the decision is over, and how."""

    state: State
    reason: str
    vetoes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """Pure functions of the decision and of the pod as it was just read."""

    name: str
    reversible: bool
    needs: tuple[str, ...]  # the rights it uses, as `kubectl auth can-i` takes them
    settled: Callable[[Decision, Workload], Settled | None]
    patch: Callable[[Decision, Workload], Mapping[str, object]]
