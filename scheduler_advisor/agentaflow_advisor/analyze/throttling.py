"""Clocks held down: by heat, by the power supply, or by a power limit that somebody lowered.

Seconds do not tell how far the clocks fell. So hours x price is an upper bound of the loss, said as
such, and what is counted as lost is that times a factor that the settings state.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agentaflow_advisor.analyze import slowdowns
from agentaflow_advisor.analyze.allocation import MICRO, seen_seconds
from agentaflow_advisor.analyze.findings import Findings, ordered, stable_id
from agentaflow_advisor.analyze.grounds import grounds_of
from agentaflow_advisor.analyze.idleness import USAGE, span
from agentaflow_advisor.analyze.settings import bounded
from agentaflow_advisor.analyze.slowdowns import (
    LIMITS,
    REASONS,
    THROTTLED,
    Cause,
    Throttled,
    causes,
)
from agentaflow_advisor.model import (
    HOURS_PER_MONTH,
    Gpu,
    Money,
    Recommendation,
    Refusal,
    Saving,
    Snapshot,
    Where,
)
from agentaflow_advisor.price import NodeKey, NodePrice

Held = tuple[Gpu, Throttled]
SIGNALS = frozenset(USAGE) | {"info", "up", "present", THROTTLED, *LIMITS}
KINDS: Mapping[Cause, str] = {
    "heat": "thermal-throttling",
    "brake": "power-brake",
    "cap": "power-cap",
}
RISKS: Mapping[Cause, str] = {
    "heat": "None: look at fans, filters, the air's way and the neighbours' heat.",
    "brake": "None: look at power supplies and their cables.",
    "cap": "The limit may be on purpose, and it saves energy: raising it costs power and heat.",
}
FORMULA = "per_gpu_hour_residual x throttled hours / window hours x loss_factor x 730 h"


@dataclass(frozen=True, slots=True)
class ThrottlingSettings:
    """When held-down clocks are worth telling, and what they are taken to cost."""

    min_ratio: float = 0.05
    """Of the time in which a GPU was there, the part from which on it is told (0 to 1)."""
    loss_ratio: float = 0.5
    """The part of a throttled hour that counts as lost (0 to 1). nvml.h: a hardware slowdown
    reduces the clocks by a factor of 2 or more; how far others do is not known."""

    def __post_init__(self) -> None:
        bounded("min_ratio", self.min_ratio, 0, 1, "a ratio")
        bounded("loss_ratio", self.loss_ratio, 0, 1, "a ratio")


def told(snapshot: Snapshot, settings: ThrottlingSettings) -> frozenset[str]:
    """UUIDs of GPUs that heat or their power supply held down for long enough to be told here."""
    return frozenset(
        gpu.uuid
        for gpu in snapshot.gpus
        if slowdowns.hot_or_braked(gpu)
        and any(each.cause in ("heat", "brake") for each in _notable(gpu, snapshot, settings))
        and not _doubt(gpu, _seen(gpu, snapshot))
    )


def analyze(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    settings: ThrottlingSettings,
) -> Findings:
    """A recommendation for each GPU and cause, or for a node most of whose GPUs have the cause; a
    refusal for each GPU that tells no reasons, and for the causes that nobody tells of some.
    """
    held: defaultdict[tuple[NodeKey, Cause], list[Held]] = defaultdict(list)
    refused: list[Refusal] = []
    blind: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    for gpu in snapshot.gpus:
        reason = _doubt(gpu, _seen(gpu, snapshot))
        if reason:
            refused.append(Refusal(gpu.name, reason))
            continue
        if unseen := slowdowns.blind(gpu):
            blind[gpu.cluster, gpu.model or "GPUs of no known model", unseen] += 1
        for each in _notable(gpu, snapshot, settings):
            if each.cause == "unknown cap":
                refused.append(Refusal(gpu.name, _unknown(each)))
            else:
                held[(gpu.cluster, gpu.node), each.cause].append((gpu, each))
    found: list[Recommendation] = []
    for (place, _), group in held.items():
        price = prices.get(place)
        if isinstance(price, Refusal):
            refused.append(price)
        known = price if isinstance(price, NodePrice) else None
        for members in _together(group, snapshot):
            found.append(_recommend(members, known, snapshot, settings))
    return ordered(found, [*refused, *_not_looked_at(blind)])


def _together(group: list[Held], snapshot: Snapshot) -> Iterator[list[Held]]:
    """All of them, where they are most of a node: then its air or its power is to blame. With a GPU
    in doubt nothing is said of the node as a whole.
    """
    first = group[0][0]
    there = snapshot.gpus_by_node[first.cluster, first.node]
    if len(group) > max(1, len(there) / 2) and not any(gpu.doubt for gpu in there):
        yield sorted(group, key=lambda each: (each[0].index, each[0].uuid))
    else:
        yield from ([each] for each in group)


def _not_looked_at(blind: Mapping[tuple[str, str, tuple[str, ...]], int]) -> Iterator[Refusal]:
    for (cluster, model, unseen), count in blind.items():
        place = f" in cluster {cluster}" if cluster else ""
        yield Refusal(
            f"clocks of {model}{place}",
            f"for how long {' and '.join(unseen)} held the clocks of {count} GPUs down, nobody "
            "tells",
        )


def _seen(gpu: Gpu, snapshot: Snapshot) -> float:
    return min(seen_seconds(gpu), snapshot.window_seconds)


def _notable(gpu: Gpu, snapshot: Snapshot, settings: ThrottlingSettings) -> Iterator[Throttled]:
    """The causes that held it down for long enough; to work at the board's own limit is none."""
    if not slowdowns.any_at_all(gpu):
        return
    seen = _seen(gpu, snapshot)
    for each in _worst(causes(gpu, seen)):
        if each.cause != "limit" and each.seconds >= max(1.0, settings.min_ratio * seen):
            yield each


def _doubt(gpu: Gpu, seen: float) -> str:
    if gpu.doubt:
        return gpu.doubt
    if REASONS.isdisjoint(gpu.counts.get(THROTTLED, ())):
        return f"nobody tells for how long its clocks were held down ({THROTTLED})"
    return "" if seen > 0 else "it was not seen in the window"


def _worst(found: tuple[Throttled, ...]) -> tuple[Throttled, ...]:
    """The longest of each cause, as ids are by cause."""
    longest: dict[Cause, Throttled] = {}
    for each in found:
        if each.cause not in longest or each.seconds > longest[each.cause].seconds:
            longest[each.cause] = each
    return tuple(longest.values())


def _unknown(each: Throttled) -> str:
    return (
        f"power held its clocks down for {span(each.seconds)}, but its limits are not told "
        f"({', '.join(LIMITS)}): whether somebody lowered them cannot be said"
    )


def _recommend(
    members: Sequence[Held],
    price: NodePrice | None,
    snapshot: Snapshot,
    settings: ThrottlingSettings,
) -> Recommendation:
    """About one GPU, or about the node of several."""
    (gpu, first), several = members[0], len(members) > 1
    one = () if several else (gpu.uuid,)
    return Recommendation(
        id=stable_id(KINDS[first.cause], gpu.cluster, gpu.node, *one),
        kind=KINDS[first.cause],
        what=_what(members, price, snapshot),
        where=Where(gpu.cluster, gpu.node, *(() if several else (gpu.index, gpu.uuid))),
        saves=_saving(members, price, snapshot, settings)
        if price and first.cause != "cap"
        else None,
        confidence=min(_confidence(each, snapshot) for each, _ in members),
        evidence=grounds_of([each for each, _ in members], snapshot, {THROTTLED, *LIMITS}),
        enforceable="device" if first.cause == "cap" and not several else "none",
        risk=RISKS[first.cause],
    )


def _confidence(gpu: Gpu, snapshot: Snapshot) -> float:
    covered = seen_seconds(gpu) / snapshot.window_seconds
    return min(1.0, covered) * (0.8 if gpu.utilization else 0.5)


def _what(members: Sequence[Held], price: NodePrice | None, snapshot: Snapshot) -> str:
    gpu = members[0][0]
    model = f" ({gpu.model})" if gpu.model else ""
    long = f"for {_spans(members)} of {span(snapshot.window_seconds)}"
    if len(members) > 1:
        there = len(snapshot.gpus_by_node[gpu.cluster, gpu.node])
        subject = f"{len(members)} of {there} GPUs{model} of {gpu.node}"
        said = f"were {_did(members)} {long} each"
    else:
        subject = f"GPU {gpu.index or gpu.uuid}{model} on {gpu.node}"
        said = f"was {_did(members)} {long}"
    bound = f"; that cost {_bound(members, price, snapshot)} a month at most" if price else ""
    return f"{subject} {said}{bound}"


def _spans(members: Sequence[Held]) -> str:
    seconds = [each.seconds for _, each in members]
    low, high = span(min(seconds)), span(max(seconds))
    return low if low == high else f"{low} to {high}"


def _did(members: Sequence[Held]) -> str:
    """Of caps the lowest, with the default of its board."""
    match members[0][1].cause:
        case "heat":
            return "slowed down by heat"
        case "brake":
            return "slowed down by the power brake"
        case _:
            limits = ((gpu.measures[LIMITS[0]], gpu.measures[LIMITS[1]]) for gpu, _ in members)
            limit, default = min(limits)
            return (
                f"held at a power limit of {limit:.0f} W that somebody set below its default of "
                f"{default:.0f} W"
            )


def _bound(members: Sequence[Held], price: NodePrice, snapshot: Snapshot) -> Money:
    hours = sum((_month_hours(each, snapshot) for _, each in members), Decimal(0))
    return price.per_gpu_hour_residual * hours


def _month_hours(each: Throttled, snapshot: Snapshot) -> Decimal:
    part = Decimal(str(each.seconds)) / Decimal(str(snapshot.window_seconds))
    return (min(Decimal(1), part) * HOURS_PER_MONTH).quantize(MICRO)


def _saving(
    members: Sequence[Held], price: NodePrice, snapshot: Snapshot, settings: ThrottlingSettings
) -> Saving:
    bound = _bound(members, price, snapshot)
    factor = Decimal(str(settings.loss_ratio))
    reasons = {reason: None for _, each in members for reason in each.reasons}
    return Saving(
        per_month=bound * factor,
        formula=FORMULA,
        inputs={
            "per_gpu_hour_residual": str(price.per_gpu_hour_residual.rounded(4)),
            "throttled_hours": f"{sum(each.seconds for _, each in members) / 3600:.3f}",
            "window_hours": f"{snapshot.window_seconds / 3600:g}",
            "reasons": ", ".join(reasons),
            "loss_factor": f"{factor} (stated, not measured)",
            "upper_bound_per_month": str(bound),
            "hours_per_month": str(HOURS_PER_MONTH),
        },
    )
