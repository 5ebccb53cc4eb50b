"""Cheaper GPUs that a pod fits, whole instances at a time: a part of one cannot be handed back."""

from __future__ import annotations

from dataclasses import dataclass

from agentaflow_advisor.analyze.needs import Need, RightsizingSettings
from agentaflow_advisor.model import HOURS_PER_MONTH, Node, Saving, Snapshot
from agentaflow_advisor.price import Alternative, NodePrice, PriceTable
from agentaflow_advisor.price.models import Product, product
from agentaflow_advisor.price.peaks import PEAKS, slowdown
from agentaflow_advisor.price.tablefile import PriceRow

MIB = 2.0**20
GIB = 2.0**30
ALLOCATABLE = 0.75
"""Of a machine's CPU and memory, what is taken to be left to pods: a guess on the safe side."""
FORMULA = "(per_gpu_hour_whole - instance_per_hour) x 730 h"


@dataclass(frozen=True, slots=True)
class Smaller:
    """An instance with one GPU, in place of a pod's GPU."""

    row: PriceRow
    price: NodePrice
    slowdown: float  # times, at worst
    here: bool  # the cluster has such GPUs

    @property
    def name(self) -> str:
        return f"{self.row.gpu.upper()} of {self.row.memory_mib / 1024:.0f} GiB"

    def saving(self, now: NodePrice) -> Saving:
        """Whole prices both: what one GPU's part of its node costs, and the other instance."""
        hour = now.per_gpu_hour_whole + self.price.per_hour * -1
        return Saving(
            per_month=hour * HOURS_PER_MONTH,
            formula=FORMULA,
            inputs={
                "per_gpu_hour_whole": str(now.per_gpu_hour_whole.exact),
                "instance_per_hour": str(self.price.per_hour.exact),
                "instance_type": self.price.instance_type,
                "slowdown_at_most": f"{self.slowdown:.3g}",
                "hours_per_month": str(HOURS_PER_MONTH),
                "price": now.how,
                "instance_price": self.price.how,
            },
        )


class Homes:
    """The cheaper instances of a snapshot's nodes. Nodes that rent alike are asked for once."""

    def __init__(
        self, snapshot: Snapshot, table: PriceTable | None, settings: RightsizingSettings
    ) -> None:
        self._table = table
        self._settings = settings
        self._at = snapshot.taken_at
        self._nodes = {(node.cluster, node.name): node for node in snapshot.nodes}
        pairs = {(gpu.cluster, gpu.model) for gpu in snapshot.gpus if gpu.model}
        self._here = {(cluster, product(model)) for cluster, model in pairs}
        self._known: dict[object, tuple[Smaller, ...]] = {}

    def cheapest(self, need: Need, price: NodePrice) -> Smaller | None:
        """None where nothing cheaper has room, or the GPU's own speed is not known."""
        node = self._nodes.get((need.gpu.cluster, need.gpu.node))
        if node is None:
            return None
        fitting = (
            home for home in self._cheaper(node, need.model, price) if self._fits(home, need)
        )
        return next(fitting, None)

    def _cheaper(self, node: Node, model: str, price: NodePrice) -> tuple[Smaller, ...]:
        """From the cheapest."""
        if self._table is None:
            return ()
        own_terms = node.name if self._table.terms.discounts else ""
        key = (
            *(node.cluster, own_terms, model),
            *(price.source, price.region, price.capacity, price.per_gpu_hour_whole),
        )
        if key not in self._known:
            found = self._table.alternatives(node, price, 1, self._at)
            homes = (self._home(each, node.cluster, model) for each in found)
            cheaper = (
                home
                for home in homes
                if home and home.price.per_hour.amount < price.per_gpu_hour_whole.amount
            )
            self._known[key] = tuple(sorted(cheaper, key=_cheapest))
        return self._known[key]

    def _home(self, each: Alternative, cluster: str, model: str) -> Smaller | None:
        """In place of that model; None of the same kind, or where a speed is not known."""
        mine, other = product(model), Product(each.row.gpu, each.row.memory_mib)
        now = PEAKS.get((mine.gpu, mine.memory_mib)) if mine else None
        then = PEAKS.get((other.gpu, other.memory_mib))
        if mine == other or now is None or then is None or then.arm != now.arm:
            return None
        return Smaller(each.row, each.price, slowdown(now, then), (cluster, other) in self._here)

    def _fits(self, home: Smaller, need: Need) -> bool:
        return (
            need.memory_bytes <= home.row.memory_mib * MIB
            and need.activity * home.slowdown <= self._settings.max_activity_ratio
            and _has_room(home, need)
        )


def _has_room(home: Smaller, need: Need) -> bool:
    """For what the pod asks for, where that is known."""
    pod = need.workload
    return pod is None or (
        pod.cpu_cores <= home.row.vcpus * ALLOCATABLE
        and pod.memory_bytes <= float(home.row.memory_gib) * GIB * ALLOCATABLE
    )


def _cheapest(home: Smaller) -> tuple[object, ...]:
    return (home.price.per_hour.amount, home.slowdown, home.price.instance_type)
