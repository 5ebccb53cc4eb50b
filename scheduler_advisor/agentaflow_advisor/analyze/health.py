"""Sick GPUs: a score from 0 to 100 with its reasons, and what to do before the board fails.

100 means that nothing was found in what could be looked at. It never says healthy: what nobody
told was not looked at, and a refusal lists it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from agentaflow_advisor.analyze import signs
from agentaflow_advisor.analyze.allocation import MICRO
from agentaflow_advisor.analyze.findings import Findings, ordered, stable_id
from agentaflow_advisor.analyze.grounds import grounds
from agentaflow_advisor.analyze.idleness import USAGE, span
from agentaflow_advisor.analyze.settings import bounded
from agentaflow_advisor.analyze.signs import CHECKS, VITAL, Check, Reason, Remedy, quiet
from agentaflow_advisor.analyze.signs import SIGNALS as SIGNS
from agentaflow_advisor.analyze.slowdowns import THROTTLED
from agentaflow_advisor.model import (
    HOURS_PER_MONTH,
    Enforceable,
    Gpu,
    Recommendation,
    Refusal,
    Saving,
    Snapshot,
    Where,
)
from agentaflow_advisor.price import NodeKey, NodePrice

SIGNALS = frozenset(USAGE) | SIGNS | {"info", "up"}
KINDS: Mapping[Remedy, str] = {
    "drain": "drain-gpu-node",
    "reset": "reset-gpu",
    "check": "check-gpu",
}
ENFORCEABLE: Mapping[Remedy, Enforceable] = {"drain": "node", "reset": "device", "check": "none"}
RISKS: Mapping[Remedy, str] = {
    "drain": "Draining ends every pod on the node, also those on its sound GPUs: let them save "
    "their state first. Waiting risks that they fail at a time of the board's choosing.",
    "reset": "A reset ends every program on the GPU, and with NVLink also on its peers.",
    "check": "None: look before anything is done.",
}
ADVICE: Mapping[Remedy, str] = {
    "drain": "drain its node, then have the board tested",
    "reset": "reset it once its pods have ended",
    "check": "have a look at it",
}
SEVERITY: tuple[Remedy, ...] = ("drain", "reset", "check")
CERTAIN, LIKELY, HINT = 0.95, 0.8, 0.5
"""Ranks, not measured frequencies: the driver's own word, an error that is known to be the board's,
and a rate that has other causes, too."""
OWN_WORD = frozenset({"row_remap_failure", "row_remap_pending", "recovery_action", "up"})
RATES = frozenset({"pcie_width", "pcie_replays", "nvlink_links_down", THROTTLED})
REPEATS = "repeats of the last Xid"
FORMULA = "per_gpu_hour_residual x lost hours / window hours x 730 h"


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """When a GPU counts as sick. Raises SettingsError."""

    below_score: float = 90.0
    """A GPU with a lower score (0 to 100) is told."""

    def __post_init__(self) -> None:
        bounded("below_score", self.below_score, 0, 100, "points")


@dataclass(frozen=True, slots=True)
class Health:
    """What was found, and which checks could not be made for want of signals."""

    score: int  # 0 to 100
    reasons: tuple[Reason, ...]  # the heaviest first
    blind: tuple[str, ...]

    @property
    def remedy(self) -> Remedy:
        """The most drastic one that a reason calls for."""
        wanted = {reason.remedy for reason in self.reasons}
        return next((each for each in SEVERITY if each in wanted), "check")


def examine(gpu: Gpu, window_seconds: float) -> Health:
    """100 less the points of the worst reason of each organ: one broken part counts once."""
    reasons: list[Reason] = []
    if gpu.up is False:
        reasons.append(
            Reason("presence", 100, "drain", "it does not answer now", "up = 0", ("up",))
        )
    able, blind = _looks(signs.told(gpu), gpu.dialect)
    if not quiet(gpu):
        for check in able:
            reasons += check.find(gpu, window_seconds)
    if not reasons:
        return Health(100, (), blind)
    worst: defaultdict[str, int] = defaultdict(int)
    for reason in reasons:
        worst[reason.organ] = max(worst[reason.organ], reason.points)
    heaviest = sorted(reasons, key=lambda reason: (-reason.points, reason.says))
    return Health(max(0, 100 - sum(worst.values())), tuple(heaviest), blind)


@lru_cache
def _looks(told: tuple[str, ...], dialect: str) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """The checks that what was told allows, and the names of the others. DCGM tells the last Xid:
    the same one again does not change it.
    """
    able = tuple(check for check in CHECKS if check.possible(told))
    blind = tuple(check.name for check in CHECKS if check not in able)
    repeats = dialect.startswith("dcgm") and "xids" in told
    return able, (*blind, REPEATS) if repeats else blind


def analyze(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    settings: HealthSettings,
    told: Collection[str] = frozenset(),
) -> Findings:
    """A recommendation for each sick GPU; refusals for what could not be looked at.

    `told` are UUIDs of which another analysis says that they are held down: where nothing else is
    wrong with one, it is left to that.
    """
    found: list[Recommendation] = []
    refused: list[Refusal] = []
    blind: defaultdict[tuple[str, str, tuple[str, ...]], int] = defaultdict(int)
    for gpu in snapshot.gpus:
        if gpu.doubt:
            refused.append(Refusal(gpu.name, gpu.doubt))
            continue
        health = examine(gpu, snapshot.window_seconds)
        if gpu.up is None or VITAL.issubset(health.blind):
            refused.append(Refusal(gpu.name, _why_not(gpu, health)))
        elif health.blind:
            blind[gpu.cluster, gpu.model or "GPUs of no known model", health.blind] += 1
        if gpu.uuid in told and {reason.organ for reason in health.reasons} == {"cooling"}:
            continue
        if health.score < settings.below_score and gpu.up is not None:
            found.append(_recommend(gpu, health, prices.get((gpu.cluster, gpu.node)), snapshot))
    return ordered(found, [*refused, *_not_looked_at(blind)])


def _why_not(gpu: Gpu, health: Health) -> str:
    if gpu.up is None:
        return "it is not listed now, so that nothing is said of its health"
    return f"its health cannot be told: nobody tells {', '.join(health.blind)}"


def _not_looked_at(
    blind: Mapping[tuple[str, str, tuple[str, ...]], int],
) -> Iterable[Refusal]:
    for (cluster, model, names), count in blind.items():
        place = f" in cluster {cluster}" if cluster else ""
        yield Refusal(
            f"health of {model}{place}",
            f"{count} GPUs were judged without {', '.join(names)}: nobody tells these",
        )


def _recommend(
    gpu: Gpu, health: Health, price: NodePrice | Refusal | None, snapshot: Snapshot
) -> Recommendation:
    remedy = health.remedy
    signals = {signal for reason in health.reasons for signal in reason.signals}
    model = f" ({gpu.model})" if gpu.model else ""
    told = "; ".join(reason.says for reason in health.reasons)
    unseen = f" (not looked at: {', '.join(health.blind)})" if health.blind else ""
    return Recommendation(
        id=stable_id(KINDS[remedy], gpu.cluster, gpu.node, gpu.uuid),
        kind=KINDS[remedy],
        what=f"GPU {gpu.index or gpu.uuid}{model} on {gpu.node} scores {health.score} of 100: "
        f"{told}{unseen}; {ADVICE[remedy]}",
        where=Where(gpu.cluster, gpu.node, gpu.index, gpu.uuid),
        saves=_lost(gpu, price, snapshot) if isinstance(price, NodePrice) else None,
        confidence=max(map(_certainty, health.reasons)),
        evidence=grounds(gpu, snapshot, signals | {"up"}),
        enforceable=ENFORCEABLE[remedy],
        risk=RISKS[remedy],
    )


def _certainty(reason: Reason) -> float:
    if OWN_WORD.intersection(reason.signals):
        return CERTAIN
    if RATES.intersection(reason.signals) or reason.organ == "unclassified":
        return HINT
    return LIKELY


def _lost(gpu: Gpu, price: NodePrice, snapshot: Snapshot) -> Saving | None:
    """What the hours cost in which it did not answer, should they go on as in the window."""
    seconds = min(gpu.measures.get("lost_seconds", 0.0), snapshot.window_seconds)
    if seconds <= 0:
        return None
    part = Decimal(str(seconds)) / Decimal(str(snapshot.window_seconds))
    return Saving(
        per_month=price.per_gpu_hour_residual * (part * HOURS_PER_MONTH).quantize(MICRO),
        formula=FORMULA,
        inputs={
            "per_gpu_hour_residual": str(price.per_gpu_hour_residual.rounded(4)),
            "lost": span(seconds),
            "window": span(snapshot.window_seconds),
            "hours_per_month": str(HOURS_PER_MONTH),
        },
    )
