"""What a pod asks for, by the rules that kube-scheduler counts with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache

from lightkube.models.core_v1 import Container, PodSpec
from lightkube.utils.quantity import parse_quantity

from agentaflow_advisor.model import names

Amounts = dict[str, Decimal]
GPU = names.GPU
NVIDIA = "nvidia.com/"
EXPONENT = re.compile(r"[eE](?=[+-]?\d+$)")  # of 1e3 and 1E3; 1E alone is an exa
SMALL = {"n": Decimal("1e-9"), "u": Decimal("1e-6")}


@lru_cache(maxsize=4096)
def quantity(text: str) -> Decimal:
    """A Kubernetes quantity as a number, with the spellings that lightkube's parser lacks."""
    if text and text[-1] in SMALL:
        return Decimal(text[:-1]) * SMALL[text[-1]]
    return parse_quantity(EXPONENT.sub("e", text)) or Decimal(0)


def requests(spec: PodSpec) -> Amounts:
    """Resource → amount for the whole pod.

    The larger of all long-running containers and of any step of the init sequence, in which
    sidecars (init containers that restart) stay on; the pod-level amount overrides where it is
    stated (KEP-753, KEP-2837). Overhead comes on top.
    """
    running = _sum(_amounts(container) for container in spec.containers)
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.initContainers or ():
        step = _sum((sidecars, _amounts(container)))
        peak = _larger(peak, step)
        if container.restartPolicy == "Always":
            sidecars = step
    total = _larger(_sum((running, sidecars)), peak)
    stated = (spec.resources.requests if spec.resources else None) or {}
    return _sum(({**total, **_parsed(stated)}, _parsed(spec.overhead or {})))


def extended(amounts: Mapping[str, object]) -> dict[str, int]:
    """Of NVIDIA's resources those beside whole GPUs: MIG profiles (nvidia.com/mig-1g.10gb), shares
    (nvidia.com/gpu.shared), …; by name, without those of which there are none.
    """
    found = {
        name: int(quantity(str(amount)))
        for name, amount in amounts.items()
        if name.startswith(NVIDIA) and name != GPU
    }
    return {name: amount for name, amount in found.items() if amount}


def _amounts(container: Container) -> Amounts:
    """Requests; a limit alone is also the request."""
    resources = container.resources
    if not resources:
        return {}
    return _parsed({**(resources.limits or {}), **(resources.requests or {})})


def _parsed(amounts: Mapping[str, object]) -> Amounts:
    return {name: quantity(str(amount)) for name, amount in amounts.items()}


def _larger(one: Amounts, other: Amounts) -> Amounts:
    nothing = Decimal(0)
    return {name: max(one.get(name, nothing), other.get(name, nothing)) for name in {*one, *other}}


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, Decimal(0)) + amount
    return total
