"""Strategies over arrays: ours, the product's simpler ones, and those of the FGD paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.fleet import Fleet
from agentaflow_advisor.place.scorer import Scorer
from agentaflow_advisor.place.scorers import fragmentation, least_waste, literature, simple

Make = Callable[[Fleet, Sequence[Demand], int], Scorer]
"""From the fleet, the demands that it may know of beforehand, and a seed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One strategy. `paper` is what the FGD paper calls it."""

    name: str
    summary: str
    make: Make
    paper: str = ""


KINDS: tuple[Kind, ...] = (
    Kind(
        "least_waste",
        "what a placement is expected to leave unusable, by the mix learnt so far",
        lambda _fleet, _demands, _seed: least_waste.LeastWaste(),
    ),
    Kind(
        "fragmentation",
        "fragmentation gradient descent; knows the mix beforehand",
        lambda fleet, demands, _seed: fragmentation.Fragmentation(
            fragmentation.Typical(demands, len(fleet.models))
        ),
        "FGD",
    ),
    Kind(
        "best_fit",
        "the least CPU and GPU left over",
        lambda _fleet, _demands, _seed: literature.BestFit(),
        "BestFit",
    ),
    Kind(
        "packing",
        "GPUs in use first, then nodes in use",
        lambda _fleet, _demands, _seed: literature.Packing(),
        "GpuPacking",
    ),
    Kind(
        "clustering",
        "pods that ask for alike together",
        lambda _fleet, _demands, _seed: literature.Clustering(),
        "GpuClustering",
    ),
    Kind(
        "dot_product",
        "the node whose free resources are least like the pod's",
        lambda _fleet, _demands, _seed: literature.DotProduct(),
        "DotProd",
    ),
    Kind(
        "random",
        "any node with room",
        lambda _fleet, _demands, seed: literature.Random(seed),
        "Random",
    ),
    Kind(
        "round_robin",
        "the next node with room after the one used last",
        lambda _fleet, _demands, _seed: simple.RoundRobin(),
    ),
    Kind(
        "least_utilized",
        "the node with the greatest share of its GPUs free",
        lambda _fleet, _demands, _seed: simple.LeastUtilized(),
    ),
)
OURS = KINDS[0]
WEIGHTS = ("residue", "stranding", "reserve")
MOST_WEIGHT = 1000
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_BY_NAME: Mapping[str, Kind] = {
    **{kind.paper.lower(): kind for kind in KINDS if kind.paper},
    **{kind.name: kind for kind in KINDS},
}


def kind_named(name: str) -> Kind | None:
    """By our name or by the paper's, in any case; `least_waste:stranding=0` is ours with another
    weight (several between commas).
    """
    plain, colon, weights = name.lower().replace("-", "_").partition(":")
    kind = _BY_NAME.get(plain)
    if not colon:
        return kind
    return _weighed(f"{plain}:{weights}", weights) if kind is OURS else None


def _weighed(name: str, text: str) -> Kind | None:
    given: dict[str, Any] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        if key not in WEIGHTS or not _NUMBER.fullmatch(value) or float(value) > MOST_WEIGHT:
            return None
        given[key] = float(value)
    chosen = least_waste.Weights(**given)
    summary = f"{OURS.name} with {text}"
    return Kind(name, summary, lambda _fleet, _demands, _seed: least_waste.LeastWaste(chosen))
