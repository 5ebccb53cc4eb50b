"""Looks at spans of the past for bills: what was seen, at which prices, and who shared what."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from agentaflow_advisor.analyze import cost
from agentaflow_advisor.analyze.periods import Period
from agentaflow_advisor.analyze.sharers import NOBODY_SHARED, SHARED, USE, Sharers, sharers_of
from agentaflow_advisor.model import ClusterState, Refusal, Snapshot
from agentaflow_advisor.observe.dialects import ours, render
from agentaflow_advisor.observe.errors import QueryTooLarge
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.observe.snapshot import take
from agentaflow_advisor.price import NodeKey, NodePrice, PriceTable, price_nodes
from agentaflow_advisor.settings import Settings


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one span of time, and at which prices."""

    span: Period
    snapshot: Snapshot
    prices: Mapping[NodeKey, NodePrice | Refusal]
    sharers: Sharers

    @property
    def measured(self) -> bool:
        """A GPU was seen in it."""
        return bool(self.snapshot.gpus)


class Looks:
    """One look for each span, so that sums of the same days agree to the digit."""

    def __init__(
        self,
        settings: Settings,
        table: PriceTable,
        prometheus: Prometheus,
        state: ClusterState | None,
    ) -> None:
        self._settings = settings
        self._table = table
        self._prometheus = prometheus
        self._state = state
        self._kept: dict[tuple[float, float], Look] = {}

    def of(self, span: Period, signals: Collection[str], *, keep: bool = True) -> Look:
        """The one that was kept, if it knows as much; else a new one. Raises ObserveError."""
        known = self._kept.get((span.start, span.end))
        if known and known.snapshot.asked.issuperset(signals):
            return known
        snapshot = self._take(span, signals)
        sharers = self._sharers(snapshot)
        if sharers.shared and not snapshot.asked.issuperset(cost.SIGNALS):
            snapshot = self._take(span, cost.SIGNALS)  # what they used decides who pays
        found = Look(span, snapshot, price_nodes(snapshot, self._table), sharers)
        if keep:
            self._kept[span.start, span.end] = found
        return found

    def _take(self, span: Period, signals: Collection[str]) -> Snapshot:
        return take(
            self._prometheus,
            window_seconds=span.seconds,
            percentile=self._settings.percentile,
            cluster_name=self._settings.kubernetes_cluster,
            cluster_state=self._state,
            at=span.end,
            signals=signals,
        )

    def _sharers(self, snapshot: Snapshot) -> Sharers:
        """One more query where our own exporter is there, and one where GPUs were shared."""
        if ours.DIALECT.name not in snapshot.dialects:
            return NOBODY_SHARED
        window, at = snapshot.window_seconds, snapshot.taken_at
        shared, use = (
            render(text, window_seconds=window, percentile=self._settings.percentile)
            for text in (SHARED, USE)
        )
        found = [each.labels for each in self._prometheus.ask(shared, at=at).samples]
        if not found:
            return NOBODY_SHARED
        try:
            told = self._prometheus.ask(use, at=at).samples
        except QueryTooLarge:  # every sample of the window may be too much: then evenly, and said
            told = ()
        return sharers_of(found, ((each.labels, each.value) for each in told))
