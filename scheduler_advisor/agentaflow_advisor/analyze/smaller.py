"""Cheaper GPUs that a pod fits, whole instances at a time: a part of one cannot be handed back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentaflow_advisor.analyze.needs import Need, RightsizingSettings
from agentaflow_advisor.model import HOURS_PER_MONTH, Node, Saving, Snapshot
from agentaflow_advisor.price import Alternative, NodePrice, PriceTable
from agentaflow_advisor.price.models import Product, product
from agentaflow_advisor.price.peaks import PEAKS, Peak, slowdown

MIB = 2.0**20
GIB = 2.0**30
ALLOCATABLE = 0.9
"""Of a machine's CPU and memory, what Kubernetes leaves to pods, at the least (GKE's, EKS' and AKS'
reservations on machines of this size)."""
FORMULA = "(per_gpu_hour_whole - instance_per_hour) x 730 h"


@dataclass(frozen=True, slots=True)
class Smaller:
    """An instance with one GPU, in place of a pod's GPU."""

    gpu: str  # price lists' name
    memory_mib: int
    price: NodePrice
    slowdown: float  # times, at worst
    here: bool  # the cluster has such GPUs

    @property
    def name(self) -> str:
        return f"{self.gpu} of {self.memory_mib / 1024:.0f} GiB"

    def saving(self, now: NodePrice) -> Saving:
        """Whole prices both: what one GPU's part of its node costs, and the other instance."""
        hour = now.per_gpu_hour_whole + self.price.per_hour * -1
        return Saving(
            per_month=hour * HOURS_PER_MONTH,
            formula=FORMULA,
            inputs={
                "per_gpu_hour_whole": str(now.per_gpu_hour_whole.rounded(4)),
                "instance_per_hour": str(self.price.per_hour.rounded(4)),
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
        self._known: dict[object, tuple[Alternative, ...]] = {}

    def cheapest(self, need: Need, price: NodePrice) -> Smaller | None:
        """None where nothing cheaper has room, or the GPU's own speed is not known."""
        mine = product(need.model)
        now = PEAKS.get((mine.gpu, mine.memory_mib)) if mine else None
        node = self._nodes.get((need.gpu.cluster, need.gpu.node))
        if now is None or node is None:
            return None
        fitting = [
            home
            for each in self._alternatives(node, price)
            if each.price.per_hour.amount < price.per_gpu_hour_whole.amount
            and (home := self._fit(each, need, mine, now))
        ]
        return min(fitting, key=_cheapest, default=None)

    def _alternatives(self, node: Node, price: NodePrice) -> Iterable[Alternative]:
        if self._table is None:
            return ()
        own_terms = (node.cluster, node.name) if self._table.terms.discounts else ()
        key = (price.source, price.region, price.capacity, own_terms)
        if key not in self._known:
            self._known[key] = self._table.alternatives(node, price, 1, self._at)
        return self._known[key]

    def _fit(
        self, each: Alternative, need: Need, mine: Product | None, now: Peak
    ) -> Smaller | None:
        row = each.row
        other = Product(row.gpu, row.memory_mib)
        then = PEAKS.get((row.gpu, row.memory_mib))
        if other == mine or then is None or then.arm != now.arm:
            return None
        slower = slowdown(now, then)
        fits = (
            need.memory_bytes <= row.memory_mib * MIB
            and need.activity * slower <= self._settings.max_activity_ratio
            and _asked(need, row.vcpus * ALLOCATABLE, float(row.memory_gib) * GIB * ALLOCATABLE)
        )
        here = (need.gpu.cluster, other) in self._here
        return Smaller(row.gpu, row.memory_mib, each.price, slower, here) if fits else None


def _asked(need: Need, cores: float, memory_bytes: float) -> bool:
    pod = need.workload
    return pod is None or (pod.cpu_cores <= cores and pod.memory_bytes <= memory_bytes)


def _cheapest(home: Smaller) -> tuple[object, ...]:
    return (home.price.per_hour.amount, home.slowdown, home.price.instance_type)
