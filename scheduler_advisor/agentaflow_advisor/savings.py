"""What recommendations would save together, where none may be counted twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from agentaflow_advisor.model import Money, Recommendation, Where

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Total:
    """What the recommendations of one kind would save, each GPU once."""

    kind: str
    recommendations: int
    saves_per_month: tuple[Money, ...]  # one for each currency


def totals(recommendations: Iterable[Recommendation]) -> tuple[Total, ...]:
    """By kind, in order of names."""
    kinds: defaultdict[str, list[Recommendation]] = defaultdict(list)
    for recommendation in recommendations:
        kinds[recommendation.kind].append(recommendation)
    return tuple(Total(kind, len(kinds[kind]), saved(kinds[kind])) for kind in sorted(kinds))


def saved(recommendations: Iterable[Recommendation]) -> tuple[Money, ...]:
    """What they save together, one sum for each currency; what may overlap counts once.

    Several about one GPU, or about one pod, count as the largest of them. One about a node stands
    beside those about its GPUs, one about a cluster beside those about its nodes, and so on: the
    larger side counts. Two that cannot be told apart are taken to overlap, so that the sum may be
    too small and is never too large.
    """
    currencies: defaultdict[str, list[Recommendation]] = defaultdict(list)
    for each in recommendations:
        if each.saves is not None:
            currencies[each.saves.per_month.currency].append(each)
    return tuple(Money(_fleet(currencies[name]), name) for name in sorted(currencies))


def _fleet(recommendations: Iterable[Recommendation]) -> Decimal:
    """Of one currency."""
    clusters: defaultdict[str, list[Recommendation]] = defaultdict(list)
    for each in recommendations:
        clusters[each.where.cluster].append(each)
    across: list[Recommendation] = []  # about no cluster where there are some
    if len(clusters) > 1:
        across = [each for each in clusters[""] if not (each.where.node or each.where.uuid)]
        clusters[""] = [each for each in clusters[""] if each not in across]
    below = sum(map(_cluster, clusters.values()), ZERO)
    return max(below, *_loose(across))


def _cluster(recommendations: list[Recommendation]) -> Decimal:
    node_of = _known_nodes(recommendations)
    nodes: defaultdict[str, _Node] = defaultdict(_Node)
    loose: list[Recommendation] = []
    for each in recommendations:
        where = each.where
        node = where.node or node_of.get(where.uuid) or node_of.get(_pod(where)) or ""
        if node or where.uuid:
            nodes[node].count(where, _amount(each))
        else:
            loose.append(each)
    pods, namespaces, whole = _loose(loose)
    by_node = sum((node.sum for node in nodes.values()), ZERO)
    by_pod = sum((node.by_pod for node in nodes.values()), pods)
    return max(by_node, by_pod, namespaces, whole)


def _known_nodes(recommendations: Iterable[Recommendation]) -> dict[str, str]:
    """GPU or pod → its node, as far as one of them says it."""
    return {
        name: each.where.node
        for each in recommendations
        if each.where.node
        for name in (each.where.uuid, _pod(each.where))
        if name
    }


def _loose(recommendations: Iterable[Recommendation]) -> tuple[Decimal, Decimal, Decimal]:
    """Those without a node: the sum of pods, that of namespaces, and the largest of the rest."""
    pods: dict[str, Decimal] = {}
    namespaces: dict[str, Decimal] = {}
    whole = ZERO
    for each in recommendations:
        pod, namespace = _pod(each.where), each.where.namespace
        if pod:
            pods[pod] = max(_amount(each), pods.get(pod, ZERO))
        elif namespace:
            namespaces[namespace] = max(_amount(each), namespaces.get(namespace, ZERO))
        else:
            whole = max(_amount(each), whole)
    return sum(pods.values(), ZERO), sum(namespaces.values(), ZERO), whole


def _pod(where: Where) -> str:
    return f"{where.namespace}/{where.pod}" if where.pod else ""


def _amount(recommendation: Recommendation) -> Decimal:
    return recommendation.saves.per_month.amount if recommendation.saves else ZERO


@dataclass(slots=True)
class _Node:
    """Savings on one node: the largest about the whole of it, about each GPU and about each pod."""

    whole: Decimal = ZERO
    gpus: dict[str, Decimal] = field(default_factory=dict)
    pods: dict[str, Decimal] = field(default_factory=dict)  # those whose GPU is not said
    holders: dict[str, str] = field(default_factory=dict)  # GPU → the one pod that holds it

    def count(self, where: Where, amount: Decimal) -> None:
        gpu, pod = where.uuid or where.gpu, _pod(where)
        if gpu:
            self.gpus[gpu] = max(amount, self.gpus.get(gpu, ZERO))
            if pod:
                self.holders[gpu] = pod
        elif pod:
            self.pods[pod] = max(amount, self.pods.get(pod, ZERO))
        else:
            self.whole = max(amount, self.whole)

    @property
    def by_pod(self) -> Decimal:
        """A pod's own saving, or those of the GPUs that it alone holds, if larger."""
        held: defaultdict[str, Decimal] = defaultdict(Decimal)
        for gpu, pod in self.holders.items():
            held[pod] += self.gpus[gpu]
        pods = self.pods.keys() | held.keys()
        return sum((max(held[pod], self.pods.get(pod, ZERO)) for pod in pods), ZERO)

    @property
    def sum(self) -> Decimal:
        return max(self.whole, sum(self.gpus.values(), ZERO), self.by_pod)
