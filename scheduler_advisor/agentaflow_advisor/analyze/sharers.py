"""GPUs that several pods held at once: who of them used it, and what nobody used."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

from agentaflow_advisor.model import Gpu, Held

GpuKey = tuple[str, str]
"""Cluster and uuid."""
Holder = tuple[str, str]
"""Namespace and pod."""
Told = tuple[Mapping[str, str], float]
"""Labels and value of a series."""
MILLI = Decimal("0.001")

_POD = "namespace, exported_namespace, pod, exported_pod"
_CONTAINER = f"{_POD}, container, exported_container"
SHARED = (
    "max by (cluster, uuid) (max_over_time((count by (cluster, instance, uuid) ("
    f'max by (cluster, instance, uuid, {_POD}) (agentaflow_gpu_pod_info{{gpu_instance=""}})))'
    "[{window}:{step}])) > 1"
)
"""How many pods shared a GPU at most."""
USE = (
    f"sum by (cluster, uuid, {_POD}) (max by (cluster, uuid, {_CONTAINER}) "
    "(sum_over_time(agentaflow_gpu_container_sm_ratio[{window}])))"
)
"""What the containers of a pod did, as a number that only says how it is to that of others."""
COLLECTOR = "container_usage"


@dataclass(frozen=True, slots=True)
class Sharers:
    """The GPUs that pods shared, and how much each used, in parts of what all did together."""

    shared: frozenset[GpuKey] = frozenset()
    use: Mapping[GpuKey, Mapping[Holder, float]] = field(default_factory=dict)

    def has(self, gpu: Gpu) -> bool:
        """It was shared in the window, or is at its end; a slice is not shared with the others."""
        if any(held.profile for held in gpu.held):
            return False
        pods = {(pod.namespace, pod.name) for pod in gpu.pods}
        return (gpu.cluster, gpu.uuid) in self.shared or len(pods) > 1

    def weights(self, gpu: Gpu, holders: Iterable[Held]) -> list[Decimal] | None:
        """What each did; None where that was not measured of any."""
        key = (gpu.cluster, gpu.uuid)
        use = self.use.get(key, {}) if key in self.shared else {}
        found = [_of(use, held) for held in holders]
        return found if sum(found) > 0 else None


NOBODY_SHARED = Sharers()


def sharers_of(shared: Iterable[Mapping[str, str]], use: Iterable[Told]) -> Sharers:
    """From the answers to SHARED, its labels, and to USE."""
    found: defaultdict[GpuKey, defaultdict[Holder, float]] = defaultdict(lambda: defaultdict(float))
    for labels, value in use:
        if math.isfinite(value) and value > 0:
            namespace, pod = (
                labels.get(f"exported_{name}") or labels.get(name, "")
                for name in ("namespace", "pod")
            )
            found[_key(labels)][namespace, pod] += value
    return Sharers(frozenset(map(_key, shared)), found)


def _key(labels: Mapping[str, str]) -> GpuKey:
    return labels.get("cluster", ""), labels.get("uuid", "")


def divide(
    gpu: Gpu, parts: Collection[tuple[Held, Decimal]], weights: list[Decimal] | None
) -> list[tuple[Held, Decimal, Decimal]]:
    """Each holder's seconds in use and its seconds idle; together they are what was held.

    Use is the GPU's own, by what each did, else evenly; the time in which nothing ran is evenly
    everybody's who held it.
    """
    total = sum((seconds for _, seconds in parts), Decimal(0))
    usage = gpu.utilization
    mean = 1.0 if usage is None or usage.mean is None else usage.mean
    busy = (total * Decimal(str(round(min(1.0, max(0.0, mean)), 6)))).quantize(MILLI)
    held = [seconds for _, seconds in parts]
    used = _spread(busy, weights or held)
    idle = _spread(total - busy, held)
    return [(holder, one, other) for (holder, _), one, other in zip(parts, used, idle, strict=True)]


def _spread(whole: Decimal, weights: list[Decimal]) -> list[Decimal]:
    """To the digit, the heaviest taking what rounding leaves."""
    total = sum(weights, Decimal(0))
    if not total:
        return [Decimal(0) for _ in weights]
    found = [(whole * each / total).quantize(MILLI, rounding=ROUND_DOWN) for each in weights]
    found[weights.index(max(weights))] += whole - sum(found, Decimal(0))
    return found


def _of(use: Mapping[Holder, float], held: Held) -> Decimal:
    """A pod's, or a namespace's where pods are not told apart."""
    if held.pod:
        told = use.get((held.namespace, held.pod), 0.0)
    else:
        told = sum(value for (name, _), value in use.items() if name == held.namespace)
    return Decimal(str(told))
