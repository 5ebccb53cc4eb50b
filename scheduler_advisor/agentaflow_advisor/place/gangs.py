"""Gangs of a live cluster: what starts together, as pods declare it, and what is moved together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from agentaflow_advisor.model import Workload
from agentaflow_advisor.model.names import DECISION, SIZE_LABELS

REPLICATED = frozenset({"ReplicaSet", "ReplicationController", "StatefulSet"})
"""Controllers whose pods can be replaced one by one; those of any other are moved together."""
OF_THE_NODE = frozenset({"DaemonSet", "Node"})


def gangs(pods: Iterable[Workload]) -> Mapping[str, str]:
    """Uid → name of its gang, for pods that are moved with others: those of a declared gang, and
    those of one controller that are not replaced one by one. The latter may start alone.
    """
    named: defaultdict[str, list[str]] = defaultdict(list)
    for pod in pods:
        if name := pod.gang or _controlled(pod):
            named[name].append(pod.uid)
    return {uid: name for name, uids in named.items() if len(uids) > 1 for uid in uids}


def incomplete(members: Collection[Workload]) -> str | None:
    """Why a gang of these pods, those that have ended among them, cannot start; None where it can.

    Once one of them has a node it has begun, and the others may be replaced. Those that have ended
    well have run, unless there are more than its size: then they are of an earlier run.
    """
    live = [pod for pod in members if pod.phase not in ("Succeeded", "Failed")]
    if any(pod.node is not None or DECISION in pod.annotations for pod in live):
        return None
    try:
        wanted = _size(live)
    except ValueError as problem:
        return str(problem)
    all_of_it = len(live) + sum(pod.phase == "Succeeded" for pod in members)
    there = all_of_it if all_of_it <= wanted else len(live)
    if there >= wanted:
        return None
    return f"{there} of its {wanted} pods {'is' if there == 1 else 'are'} there"


def _size(pods: Iterable[Workload]) -> int:
    """Of how many pods their gang is, by the largest number that one of them says; 0 without.

    Raises ValueError where that is no number.
    """
    told = [value for pod in pods for label in SIZE_LABELS if (value := pod.says(label))]
    for value in told:
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"its size {value!r} is no whole number")
    return max(map(int, told), default=0)


def _controlled(pod: Workload) -> str:
    kind = (pod.owner or "").partition("/")[0]
    return "" if kind in REPLICATED | OF_THE_NODE | {""} else f"{pod.namespace}/{pod.owner}"
