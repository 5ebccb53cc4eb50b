"""The advice as metrics: sums by kind and cluster, and the dearest recommendations one by one.

What has labels of its own is bounded by a setting: a fleet of ten thousand idle GPUs is one sum
and a few hundred series, not ten thousand.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from agentaflow_advisor.advice import Advice
from agentaflow_advisor.analyses import ANALYSES
from agentaflow_advisor.history import Standing
from agentaflow_advisor.model import Recommendation
from agentaflow_advisor.savings import saved

ONE = "agentaflow_advisor_recommendation_"
WHERE = ("cluster", "node", "gpu", "uuid", "namespace", "pod")
STANDINGS = (Standing.ACTIVE, Standing.SNOOZED, Standing.DISMISSED)


def recommendation_metrics(advice: Advice, most: int) -> Iterator[Metric]:
    """All families about one advice; `most` recommendations get series of their own."""
    yield _numbers(advice)
    yield _savings(advice.active)
    yield _together(advice.active)
    yield from _each(advice, advice.active[:most])
    yield GaugeMetricFamily(
        f"{ONE}metrics_left_out",
        "Active recommendations without metrics of their own (metrics_max_recommendations).",
        value=len(advice.active[most:]),
    )
    yield _failed(advice)
    yield GaugeMetricFamily(
        "agentaflow_advisor_refusals",
        "Things that the newest advice could not judge.",
        value=len(advice.refusals),
    )


def _numbers(advice: Advice) -> Metric:
    number = GaugeMetricFamily(
        "agentaflow_advisor_recommendations",
        "Recommendations now: active ones, and those that somebody hid.",
        labels=["cluster", "kind", "state"],
    )
    counts = Counter(
        (each.where.cluster, each.kind, advice.standing(each)) for each in advice.recommendations
    )
    for cluster, kind in sorted({(cluster, kind) for cluster, kind, _ in counts}):
        for standing in STANDINGS:
            number.add_metric([cluster, kind, standing], counts[cluster, kind, standing])
    return number


def _savings(active: Iterable[Recommendation]) -> Metric:
    saving = GaugeMetricFamily(
        f"{ONE}savings_per_month",
        "What the active ones of a kind would save a month, in units of the currency, each GPU "
        "once. Kinds may overlap: do not add them.",
        labels=["cluster", "kind", "currency"],
    )
    kinds: defaultdict[tuple[str, str], list[Recommendation]] = defaultdict(list)
    for each in active:
        kinds[each.where.cluster, each.kind].append(each)
    for (cluster, kind), alike in sorted(kinds.items()):
        for amount in saved(alike):
            saving.add_metric([cluster, kind, amount.currency], float(amount.amount))
    return saving


def _together(active: Iterable[Recommendation]) -> Metric:
    together = GaugeMetricFamily(
        f"{ONE}savings_together_per_month",
        "What all active ones would save a month, in units of the currency, each GPU once.",
        labels=["cluster", "currency"],
    )
    clusters: defaultdict[str, list[Recommendation]] = defaultdict(list)
    for each in active:
        clusters[each.where.cluster].append(each)
    for cluster, all_ in sorted(clusters.items()):
        for amount in saved(all_):
            together.add_metric([cluster, amount.currency], float(amount.amount))
    return together


def _each(advice: Advice, active: Iterable[Recommendation]) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        f"{ONE}info", "1 for each active one, with what it is about.", labels=["id", "kind", *WHERE]
    )
    saving = GaugeMetricFamily(
        f"{ONE}saving_per_month",
        "What this one would save a month by itself, in units of the currency.",
        labels=["id", "currency"],
    )
    first = GaugeMetricFamily(
        f"{ONE}first_seen_timestamp_seconds",
        "When it was first seen, as the history has it.",
        labels=["id"],
    )
    for each in active:
        info.add_metric([each.id, each.kind, *(getattr(each.where, name) for name in WHERE)], 1)
        if each.saves:
            amount = each.saves.per_month
            saving.add_metric([each.id, amount.currency], float(amount.amount))
        if life := advice.lives.get(each.id):
            first.add_metric([each.id], life.first_seen_at)
    yield from (info, saving, first)


def _failed(advice: Advice) -> Metric:
    failed = GaugeMetricFamily(
        "agentaflow_advisor_analysis_failed",
        "1 for an analysis that ended with an error in the newest look: a bug.",
        labels=["analysis"],
    )
    for name in sorted({analysis.name for analysis in ANALYSES} | advice.outcome.failed):
        failed.add_metric([name], int(name in advice.outcome.failed))
    return failed
