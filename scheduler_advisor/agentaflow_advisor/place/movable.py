"""Which running pods may be moved: every protection by name, and gangs that stay together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentaflow_advisor.model import Disruptions, Workload
from agentaflow_advisor.place.gangs import OF_THE_NODE, gangs
from agentaflow_advisor.place.queue import unjudged

SYSTEM_PRIORITY = 2_000_000_000  # system-cluster-critical
STAYS = "cluster-autoscaler.kubernetes.io/safe-to-evict"


@dataclass(frozen=True, slots=True)
class MoveSettings:
    """Whom a plan leaves alone, and how many it moves at most."""

    budget_ratio: float = 0.05
    """Of the pods that have a place, those that may be moved (0 to 1); one at least."""
    max_moves: int = 100
    """Nor more than this, so that people can look through them."""
    min_age_seconds: float = 3600.0
    """A younger pod is not moved: it would lose its start."""
    protected_namespaces: frozenset[str] = frozenset({"kube-system"})

    def budget(self, pods: int) -> int:
        """Moves at most, of so many pods."""
        share = max(1, int(self.budget_ratio * pods)) if self.budget_ratio else 0
        return min(share, self.max_moves)


def protections(
    pods: Iterable[Workload],
    disruptions: Disruptions,
    now: float,
    highest_priority: int,
    settings: MoveSettings,
) -> Mapping[str, str]:
    """Uid → why that pod is not moved, of the `pods` that have a place. Others may be.

    `highest_priority` is that of the pods that wait: nobody of a higher one moves for them.
    """
    every = tuple(pods)
    bound = [pod for pod in every if pod.node is not None]
    gang_of = gangs(every)
    members: defaultdict[str, list[Workload]] = defaultdict(list)
    for pod in every:
        if pod.uid in gang_of:
            members[gang_of[pod.uid]].append(pod)
    found: dict[str, str] = {}
    for pod in bound:
        number = len(members.get(gang_of.get(pod.uid, ""), ())) or 1
        reason = (
            kept(pod, now, settings)
            or _unmovable(pod, highest_priority)
            or disruptions.objection(pod, number)
        )
        if reason:
            found[pod.uid] = reason
    for name, gang in members.items():
        held = next((one for one in gang if one.uid in found or one.node is None), None)
        if held is not None:
            why = "waits" if held.node is None else f"stays: {found[held.uid]}"
            for pod in gang:
                found.setdefault(pod.uid, f"{held.ref} of its gang {name} {why}")
    return found


def kept(pod: Workload, now: float, settings: MoveSettings) -> str | None:
    """Why the pod by itself is not to be evicted, the plainest first; None where it may be."""
    kind = (pod.owner or "").partition("/")[0]
    told = {
        f"namespace {pod.namespace} is protected": pod.namespace in settings.protected_namespaces,
        "it has no controller that would make it again": not kind,
        f"its {kind} keeps it on its node": kind in OF_THE_NODE,
        "it is ending": pod.deleting,
        "it does not run yet": pod.phase != "Running",
        "its priority is the system's": pod.priority >= SYSTEM_PRIORITY,
        f"its annotation {STAYS} is false": pod.annotations.get(STAYS) == "false",
        f"it is younger than {settings.min_age_seconds:g} s": (
            now - pod.created_at < settings.min_age_seconds
        ),
    }
    return next((reason for reason, holds in told.items() if holds), None)


def _unmovable(pod: Workload, highest: int) -> str | None:
    """Why it has to stay though it might be evicted."""
    if pod.priority > highest:
        return "its priority is above that of all who wait"
    if pod.extended:
        return f"it holds {', '.join(sorted(pod.extended))}, which moves do not count"
    return unjudged(pod)
