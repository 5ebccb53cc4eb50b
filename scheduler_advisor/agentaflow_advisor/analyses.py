"""The analyses behind the advice: one line each; one that cannot run refuses, the rest go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agentaflow_advisor.analyze import (
    Findings,
    activity,
    capacity,
    defragmentation,
    fragmentation,
    health,
    idle,
    rightsizing,
    stranded,
    throttling,
    zombies,
)
from agentaflow_advisor.analyze.findings import ordered
from agentaflow_advisor.model import Recommendation, Refusal, Snapshot, Where
from agentaflow_advisor.price import FleetPrices, NodeKey, NodePrice, PriceTable
from agentaflow_advisor.settings import Settings

Prices = Mapping[NodeKey, NodePrice | Refusal]
Analyze = Callable[[Snapshot, Prices, Settings], Findings]


@dataclass(frozen=True, slots=True)
class Analysis:
    """One way of looking for waste.

    `signals` are asked for; of those in `needs` at least one series must have come, or it refuses
    as a whole. What it can do without, GPU by GPU, is its own to refuse.
    """

    name: str
    signals: frozenset[str]
    analyze: Analyze
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What all of them found. `found_by` is id → analysis, `refused` analysis → its subjects."""

    findings: Findings
    found_by: Mapping[str, str]
    refused: Mapping[str, frozenset[str]]
    failed: frozenset[str] = frozenset()  # raised an error: bugs
    lacking: frozenset[str] = frozenset()  # without the signals they need

    @property
    def silent(self) -> frozenset[str]:
        """Those of whose findings this run says nothing."""
        return self.failed | self.lacking


def _table(prices: Prices) -> PriceTable | None:
    """What else could be rented, where the prices tell it."""
    return prices.table if isinstance(prices, FleetPrices) else None


ANALYSES: tuple[Analysis, ...] = (
    Analysis(
        "idle",
        idle.SIGNALS | zombies.SIGNALS,
        lambda snapshot, prices, settings: idle.analyze(
            snapshot, prices, settings.idle(), zombies.owned(snapshot, settings.zombies())
        ),
    ),
    Analysis(
        "zombies",
        zombies.SIGNALS,
        lambda snapshot, prices, settings: zombies.analyze(
            snapshot, prices, settings.zombies(), settings.idle()
        ),
    ),
    Analysis(
        "rightsizing",
        rightsizing.SIGNALS,
        lambda snapshot, prices, settings: rightsizing.analyze(
            snapshot, prices, _table(prices), settings.rightsizing(), settings.idle()
        ),
    ),
    Analysis(
        "stranded",
        stranded.SIGNALS,
        lambda snapshot, prices, settings: stranded.analyze(snapshot, prices, settings.stranded()),
    ),
    Analysis(
        "fragmentation",
        fragmentation.SIGNALS,
        lambda snapshot, prices, settings: fragmentation.analyze(
            snapshot, prices, settings.fragmentation()
        ),
    ),
    Analysis(
        "defragmentation",
        defragmentation.SIGNALS,
        lambda snapshot, prices, settings: defragmentation.analyze(
            snapshot, prices, settings.defragmentation()
        ),
    ),
    Analysis(
        "health",
        health.SIGNALS | throttling.SIGNALS,
        lambda snapshot, prices, settings: health.analyze(
            snapshot,
            prices,
            settings.health(),
            throttling.told(snapshot, settings.throttling()),
        ),
    ),
    Analysis(
        "throttling",
        throttling.SIGNALS,
        lambda snapshot, prices, settings: throttling.analyze(
            snapshot, prices, settings.throttling()
        ),
        needs=frozenset({"throttled_seconds"}),
    ),
    Analysis(
        "activity",
        activity.SIGNALS,
        lambda snapshot, _, settings: activity.analyze(snapshot, settings.activity()),
        needs=frozenset({activity.MEASURE}),
    ),
    Analysis(
        "capacity",
        frozenset({"demand"}),
        lambda snapshot, _, settings: capacity.analyze(
            snapshot, settings.forecast_seconds, settings.forecast()
        ),
    ),
)
"""In this order; names are unique."""


def signals(analyses: Iterable[Analysis] = ANALYSES) -> frozenset[str]:
    """What they all need to be asked."""
    return frozenset().union(*(each.signals for each in analyses))


def run(
    snapshot: Snapshot,
    prices: Prices,
    settings: Settings,
    analyses: Iterable[Analysis] = ANALYSES,
) -> Outcome:
    """Every analysis, each on its own; one id is one recommendation. Pure.

    None is trusted to heed what is in doubt: what it recommends there becomes a refusal.
    """
    found: dict[str, Recommendation] = {}
    found_by: dict[str, str] = {}
    refusals: list[Refusal] = []
    refused: dict[str, frozenset[str]] = {}
    unpriced = {price for price in prices.values() if isinstance(price, Refusal)}
    failed: set[str] = set()
    lacking: set[str] = set()
    doubts = Doubts(snapshot)
    for analysis in analyses:
        missing = _missing(analysis, snapshot)
        if missing:
            lacking.add(analysis.name)
            refusals.append(Refusal(_subject(analysis), f"no series tells {', '.join(missing)}"))
            continue
        try:
            findings = analysis.analyze(snapshot, prices, settings)
        except Exception as error:  # a bug in one must not silence the others
            failed.add(analysis.name)
            refusals.append(Refusal(_subject(analysis), _bug(error)))
            continue
        findings = _sound(findings, doubts)
        refusals += findings.refusals
        refused[analysis.name] = frozenset(
            refusal.subject for refusal in findings.refusals if refusal not in unpriced
        )
        for each in findings.recommendations:
            if each.id not in found:
                found[each.id], found_by[each.id] = each, analysis.name
    findings = ordered(found.values(), refusals)
    return Outcome(findings, found_by, refused, frozenset(failed), frozenset(lacking))


class Doubts:
    """What no verdict may rest on: GPUs in doubt, their nodes, and clusters not told whole."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._missing = snapshot.missing
        self._places: dict[tuple[str, ...], Refusal] = {}
        for gpu in snapshot.gpus:
            if gpu.doubt:
                refusal = Refusal(gpu.name, gpu.doubt)
                self._places[gpu.cluster, gpu.node, gpu.uuid] = refusal
                self._places.setdefault((gpu.cluster, gpu.node, ""), refusal)

    def about(self, where: Where) -> Refusal | None:
        """None where nothing stands against it. What names no cluster is about all of them."""
        if doubt := self._places.get((where.cluster, where.node, where.uuid)):
            return doubt
        everywhere = not where.cluster and not where.node
        why = self._missing.reason if everywhere else self._missing.why(where.cluster)
        subject = "fleet" if everywhere else f"cluster {where.cluster}".strip()
        return Refusal(subject, why) if why else None


def _sound(findings: Findings, doubts: Doubts) -> Findings:
    """Those on which a verdict may rest, and refusals in the place of the others."""
    judged = [(each, doubts.about(each.where)) for each in findings.recommendations]
    sound = tuple(each for each, doubt in judged if doubt is None)
    unsound = tuple(doubt for _, doubt in judged if doubt is not None)
    return Findings(sound, (*findings.refusals, *unsound))


def _subject(analysis: Analysis) -> str:
    return f"analysis {analysis.name}"


def _bug(error: Exception) -> str:
    said = " ".join(str(error).split())
    return f"it failed ({type(error).__name__}: {said}); this is a bug, please report it"


def _missing(analysis: Analysis, snapshot: Snapshot) -> tuple[str, ...]:
    """Needed signals that were asked for and that nothing answered."""
    return tuple(sorted(analysis.needs & snapshot.untold))
