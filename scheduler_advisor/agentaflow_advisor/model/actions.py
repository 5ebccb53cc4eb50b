"""Actions: the typed changes that decisions make, one class for each channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

PinBy = Literal["node-selector", "affinity", "preference"]
CloseBy = Literal["taint", "cordon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One change to one object of the cluster.

    `uid` and `resource_version` are the preconditions of the one write; `spec_hash` and `marker`
    tell whether the object is still the one that was judged.
    """

    channel: ClassVar[str]
    kind: ClassVar[str]  # of the object that is changed

    namespace: str = ""  # empty where the object has none
    name: str
    uid: str
    resource_version: str
    spec_hash: str = ""  # of what the judgement rests on, when it was proposed
    marker: str | None = None  # the object's decision annotation when it was proposed
    node: str = ""  # the node that it is about, or sends to
    owner: str = ""  # Kind/name of the object's controller
    gang: str = ""  # of what starts together or not at all; empty where it has none

    @property
    def ref(self) -> str:
        """As kubectl names it."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def told(self) -> str:
        """In a few words: what is done to which object, and where."""
        where = f" -> {self.node}" if self.node and self.node != self.name else ""
        return f"{self.channel} {self.ref}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacePod(Action):
    """Let this gated pod be bound: to this node, to nodes like it, or there if possible."""

    channel: ClassVar[str] = "scheduling-gate"
    kind: ClassVar[str] = "Pod"

    gate: str
    hostname: str  # value of the node's kubernetes.io/hostname label
    how: PinBy = "node-selector"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseJob(Action):
    """Unsuspend this Job, its pods pinned to the node and, where `gpus` says so, made smaller."""

    channel: ClassVar[str] = "suspended-job"
    kind: ClassVar[str] = "Job"

    hostname: str = ""  # empty: any node
    gpus: int | None = None  # of each pod; None: as it asks


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictPod(Action):
    """Ask for this pod's eviction, which its PodDisruptionBudgets may refuse."""

    channel: ClassVar[str] = "eviction"
    kind: ClassVar[str] = "Pod"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelNode(Action):
    """Write labels of ours on a node, for soft preferences of pods."""

    channel: ClassVar[str] = "node-label"
    kind: ClassVar[str] = "Node"

    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CordonNode(Action):
    """Keep new pods from a sick node: all of them, or those that do not tolerate our taint."""

    channel: ClassVar[str] = "cordon"
    kind: ClassVar[str] = "Node"

    how: CloseBy = "taint"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintDevice(Action):
    """A DeviceTaintRule for one device of a ResourceSlice; `name` is the rule's own."""

    channel: ClassVar[str] = "device-taint"
    kind: ClassVar[str] = "DeviceTaintRule"

    driver: str
    pool: str
    device: str
    effect: Literal["None", "NoSchedule"] = "None"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmitWorkload(Action):
    """Answer our AdmissionCheck on a Kueue Workload: Ready, with the node for its pod sets."""

    channel: ClassVar[str] = "admission-check"
    kind: ClassVar[str] = "Workload"

    check: str
    hostname: str = ""  # empty: any node


@dataclass(frozen=True, slots=True, kw_only=True)
class BindPod(Action):
    """Bind a pod whose schedulerName is ours: the last resort, past every filter."""

    channel: ClassVar[str] = "binding"
    kind: ClassVar[str] = "Pod"

    hostname: str


ACTIONS: Mapping[str, type[Action]] = {
    action.channel: action
    for action in (
        PlacePod,
        ReleaseJob,
        EvictPod,
        LabelNode,
        CordonNode,
        TaintDevice,
        AdmitWorkload,
        BindPod,
    )
}
"""By the channel that carries them out."""
