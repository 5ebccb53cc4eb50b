"""A snapshot: all that one look at Prometheus and Kubernetes told, and how it was asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from agentaflow_advisor.model.disruption import Disruptions
from agentaflow_advisor.model.fleet import Gpu, Node, Workload
from agentaflow_advisor.model.series import Demand

NO_DISRUPTIONS = Disruptions()
UNKNOWN_DISRUPTIONS = Disruptions(unknown="Kubernetes is not known")


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL text that was asked, and what came back."""

    signal: str
    promql: str
    series: int
    seconds: float
    dialect: str = ""  # whose metrics it asks for


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something could not be said or done. A value, not an error."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Clusters of which a look may lack series, and why: nothing follows from what is absent."""

    clusters: Mapping[str, str] = field(default_factory=dict)  # its name → why
    anywhere: str = ""  # why, where it is not known which clusters lack something

    def __bool__(self) -> bool:
        return bool(self.clusters or self.anywhere)

    @property
    def reason(self) -> str:
        """The first one; empty where all of them were told whole."""
        return self.anywhere or next(iter(self.clusters.values()), "")

    def why(self, cluster: str) -> str:
        """Empty where the cluster was told whole."""
        return self.clusters.get(cluster, "") or self.anywhere


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What the Kubernetes API said: nodes, pods that matter to placement, namespaces' labels."""

    nodes: tuple[Node, ...] = ()
    workloads: tuple[Workload, ...] = ()
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    disruptions: Disruptions = NO_DISRUPTIONS
    succeeded: tuple[Workload, ...] = ()
    """Pods that ended well, of gangs that wait."""


@dataclass(frozen=True)
class Snapshot:
    """One look at the fleet. `taken_at` is Prometheus' evaluation time, seconds since the epoch."""

    taken_at: float
    window_seconds: float
    percentile: float  # which one Usage.high is, 0 to 1
    gpus: tuple[Gpu, ...]
    nodes: tuple[Node, ...] = ()
    workloads: tuple[Workload, ...] = ()
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    queries: tuple[Query, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    has_cluster: bool = False
    demand: Demand | None = None  # of each cluster over time, where it was asked for
    dialects: tuple[str, ...] = ()  # the exporters' names that were asked for
    asked: frozenset[str] = frozenset()  # signals, whether or not a dialect has them
    missing: Missing = Missing()  # by partial responses
    disruptions: Disruptions = UNKNOWN_DISRUPTIONS
    succeeded: tuple[Workload, ...] = ()  # of gangs that wait

    @cached_property
    def gpus_by_node(self) -> Mapping[tuple[str, str], tuple[Gpu, ...]]:
        """Cluster and node → its GPUs by index."""
        grouped: defaultdict[tuple[str, str], list[Gpu]] = defaultdict(list)
        for gpu in self.gpus:
            grouped[gpu.cluster, gpu.node].append(gpu)
        return {
            key: tuple(sorted(gpus, key=lambda gpu: (gpu.index, gpu.uuid)))
            for key, gpus in grouped.items()
        }

    @cached_property
    def attributed(self) -> frozenset[str]:
        """The clusters in which it is known which pods hold GPUs now."""
        return frozenset(gpu.cluster for gpu in self.gpus if gpu.pods)

    @property
    def untold(self) -> frozenset[str]:
        """Signals that were asked for and that nobody told: what needs one of them must refuse."""
        series: dict[str, int] = dict.fromkeys(self.asked, 0)
        for query in self.queries:
            series[query.signal] = series.get(query.signal, 0) + query.series
        return frozenset(signal for signal, count in series.items() if not count)
