"""Who holds a GPU: pods by name, processes without a pod, or nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from agentaflow_advisor.analyze.idleness import IdleSettings
from agentaflow_advisor.model import Gpu, Refusal, Snapshot

Holder = Literal["pod", "process", "nobody", "unknown"]


class Holders:
    """The holders in one snapshot. A cluster without a single known holder is not known at all."""

    def __init__(self, snapshot: Snapshot, settings: IdleSettings) -> None:
        self._settings = settings
        self._attributed = snapshot.attributed
        self._missing = _missing(snapshot)

    def of(self, gpu: Gpu) -> Holder:
        if gpu.pods:
            return "pod"
        if gpu.cluster not in self._attributed or self._missing.get((gpu.cluster, gpu.node), 0) > 0:
            return "unknown"
        if gpu.processes is not None:
            return "process" if gpu.processes > 0 else "nobody"
        if gpu.memory_used_max_bytes is None:
            return "unknown"
        held = gpu.memory_used_max_bytes > self._settings.held_memory_bytes
        return "process" if held else "nobody"


def _missing(snapshot: Snapshot) -> Mapping[tuple[str, str], int]:
    """Node → GPUs that Kubernetes gave to pods there and that the join metric does not show."""
    given: Counter[str] = Counter()
    for workload in snapshot.workloads:
        if workload.node:
            given[workload.node] += workload.gpus
    shown = Counter((gpu.cluster, gpu.node) for gpu in snapshot.gpus if gpu.pods)
    return {
        (node.cluster, node.name): given[node.name] - shown[node.cluster, node.name]
        for node in snapshot.nodes
        if node.known
    }


def unattributed(snapshot: Snapshot) -> Iterator[Refusal]:
    """One for each cluster in which nobody tells which pods hold its GPUs."""
    silent: dict[str, list[Gpu]] = {}
    for gpu in snapshot.gpus:
        if gpu.up and gpu.cluster not in snapshot.attributed:
            silent.setdefault(gpu.cluster, []).append(gpu)
    for cluster, gpus in silent.items():
        why = " or ".join(sorted({witness(gpu) for gpu in gpus}))
        yield Refusal(
            f"holders of GPUs in cluster {cluster}" if cluster else "holders of GPUs",
            f"which pods hold the {len(gpus)} GPUs is not known ({why}): no pod can be "
            "right-sized, and no process without a pod be told",
        )


def witness(gpu: Gpu) -> str:
    """Where the exporter of this GPU would have told its holder, and did not."""
    match gpu.dialect:
        case "dcgm" | "dcgm-4.6":
            return "no DCGM series has the label pod or exported_pod of one"
        case "nvidia_gpu_exporter":
            return "nvidia_gpu_exporter knows none"
        case _:
            return "agentaflow_gpu_pod_info is absent"
