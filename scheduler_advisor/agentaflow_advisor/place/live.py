"""A snapshot of a real cluster as arrays, for strategies that score all nodes at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agentaflow_advisor.model import Gpu, Node, Workload
from agentaflow_advisor.place.capacity import Capacity
from agentaflow_advisor.place.demand import ANY_MODEL, WHOLE, Demand
from agentaflow_advisor.place.fleet import Fleet

PRODUCT_LABEL = "nvidia.com/gpu.product"  # of NVIDIA's GPU feature discovery


def fleet_of(
    nodes: Sequence[Node],
    free: Mapping[str, Capacity],
    gpus: Mapping[tuple[str, str], Sequence[Gpu]],
    broken: Mapping[str, int],
) -> Fleet:
    """One row a node, in their order; `broken` are GPUs that are free and yet of no use."""
    fleet = Fleet.empty(
        [node.name for node in nodes],
        [_model(node, gpus.get((node.cluster, node.name), ())) for node in nodes],
        [max(0, node.gpus) for node in nodes],
        [max(0, free[node.name].cpu_millicores) for node in nodes],
        [max(0, free[node.name].memory_bytes) for node in nodes],
    )
    for row, node in enumerate(nodes):
        usable = max(0, free[node.name].gpus - broken.get(node.name, 0))
        taken = max(0, node.gpus) - usable
        if taken > 0:
            fleet.left[row, :taken] = 0
            fleet.free_of_model[fleet.model[row]] -= taken * WHOLE
    return fleet


def demand_of(workload: Workload, models: Sequence[str]) -> Demand:
    """A selector for a GPU product is the only one that says which models will do."""
    wanted = workload.node_selector.get(PRODUCT_LABEL)
    mask = ANY_MODEL
    if wanted is not None and workload.gpus:
        mask = sum(1 << index for index, model in enumerate(models) if model == wanted)
    return Demand(
        round(workload.cpu_cores * 1000), round(workload.memory_bytes), workload.gpus, WHOLE, mask
    )


def demands_of(workloads: Iterable[Workload], models: Sequence[str]) -> list[Demand]:
    """Those of the pods that the cluster already has, in the order in which they came."""
    ordered = sorted(workloads, key=lambda each: (each.created_at, each.ref))
    return [demand_of(workload, models) for workload in ordered]


def _model(node: Node, gpus: Sequence[Gpu]) -> str:
    label = node.labels.get(PRODUCT_LABEL)
    if label is not None:
        return label
    return next((gpu.model for gpu in gpus if gpu.model), "")
