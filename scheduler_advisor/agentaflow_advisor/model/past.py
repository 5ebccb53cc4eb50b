"""What ran on a cluster over a window: its pods with their times, and the nodes that it had."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PodRun:
    """One pod's life, as far as the window shows it. Times are seconds since the epoch."""

    cluster: str
    namespace: str
    name: str
    uid: str
    node: str  # empty where it never got one
    created_at: float
    started_at: (
        float | None
    )  # when it was bound to its node; None: it still waits, or waited in vain
    ended_at: float | None  # None: it was still there at the window's end
    gpus: int
    cpu_cores: float = 0.0
    memory_bytes: float = 0.0
    priority_class: str = ""
    owner: str = ""  # Kind/name of what made it

    @property
    def ref(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class PastNode:
    """A node with GPUs, with the most that it had to give in the window."""

    cluster: str
    name: str
    gpus: int
    cpu_cores: float
    memory_bytes: float
    model: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """From `start_at` to `end_at` by Prometheus' clock; runs by their creation."""

    start_at: float
    end_at: float
    nodes: tuple[PastNode, ...]
    runs: tuple[PodRun, ...]
    promql: tuple[str, ...]
