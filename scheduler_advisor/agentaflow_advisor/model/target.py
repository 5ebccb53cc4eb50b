"""The object that a decision is about, as it was just read, and how the decision ended there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentaflow_advisor.model.decision import State
from agentaflow_advisor.model.fleet import Workload


@dataclass(frozen=True, slots=True)
class Target:
    """What preconditions and guards need of an object of any kind."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    created_at: float = 0.0  # seconds since the epoch
    deleting: bool = False
    spec_hash: str = ""
    owner: str = ""  # Kind/name of its controller
    pod: Workload | None = None  # itself, or what its template asks for
    object: Any = None  # as lightkube decoded it, for its channel

    @property
    def ref(self) -> str:
        """As kubectl names it."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def described(self) -> str:
        """For sentences: pod research/train."""
        return f"{self.kind.lower() if self.kind in ('Pod', 'Node') else self.kind} {self.ref}"


@dataclass(frozen=True, slots=True)
class Settled:
    """The object shows that the decision is over, and how."""

    state: State
    reason: str
    vetoes: tuple[tuple[str, str], ...] = ()
    gone: bool = False  # the object that was judged is not there any more


@dataclass(frozen=True, slots=True)
class Verification:
    """The state that an applied decision has come to. APPLIED: still waiting, for that reason."""

    state: State
    reason: str
