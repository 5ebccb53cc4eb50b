"""Clocks held down: by heat, by the power supply, or by a power limit that somebody lowered.

Seconds do not tell how far the clocks fell. So hours x price is an upper bound of the loss, said as
such, and what is counted as lost is that times a factor that the settings state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agentaflow_advisor.analyze.allocation import MICRO, seen_seconds
from agentaflow_advisor.analyze.findings import Findings, ordered, stable_id
from agentaflow_advisor.analyze.grounds import grounds
from agentaflow_advisor.analyze.idleness import USAGE, span
from agentaflow_advisor.analyze.settings import bounded
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

Cause = Literal["heat", "brake", "cap", "limit", "unknown cap"]
LIMITS = ("power_limit_watts", "power_limit_default_watts")
SIGNALS = frozenset(USAGE) | {"info", "up", "present", "throttled_seconds", *LIMITS}
HEAT = ("hw_thermal_slowdown", "sw_thermal_slowdown")
BRAKE = "hw_power_brake_slowdown"
CAP = "sw_power_cap"
SLOWDOWN = "hw_slowdown"  # heat or brake, where the driver does not tell which
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


@dataclass(frozen=True, slots=True)
class Throttled:
    """How long something held a GPU's clocks down. Reasons that overlap count once at least."""

    cause: Cause
    seconds: float
    reasons: tuple[str, ...]


def causes(gpu: Gpu, seen: float) -> tuple[Throttled, ...]:
    """Of the reasons that were told; `limit` is a board that works at its own default limit."""
    told = gpu.counts.get("throttled_seconds", {})
    found = []
    heat = [reason for reason in HEAT if told.get(reason, 0.0) > 0]
    if heat:  # the two may overlap: the longer one is certain
        found.append(Throttled("heat", max(told[reason] for reason in heat), tuple(heat)))
    if told.get(BRAKE, 0.0) > 0:
        found.append(Throttled("brake", told[BRAKE], (BRAKE,)))
    if told.get(SLOWDOWN, 0.0) > 0 and not {*HEAT[:1], BRAKE} & told.keys():
        found.append(Throttled("heat", told[SLOWDOWN], (SLOWDOWN,)))
    if told.get(CAP, 0.0) > 0:
        found.append(Throttled(_cap(gpu), told[CAP], (CAP,)))
    return tuple(Throttled(each.cause, min(each.seconds, seen), each.reasons) for each in found)


def told(snapshot: Snapshot, settings: ThrottlingSettings) -> frozenset[str]:
    """UUIDs of GPUs that heat or their power supply held down for long enough to be told here."""
    return frozenset(
        gpu.uuid
        for gpu in snapshot.gpus
        if not _doubt(gpu, _seen(gpu, snapshot))
        and any(each.cause in ("heat", "brake") for each in _notable(gpu, snapshot, settings))
    )


def analyze(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    settings: ThrottlingSettings,
) -> Findings:
    """A recommendation for each GPU and cause; a refusal for each GPU that tells no reasons."""
    found: list[Recommendation] = []
    refused: list[Refusal] = []
    for gpu in snapshot.gpus:
        reason = _doubt(gpu, _seen(gpu, snapshot))
        if reason:
            refused.append(Refusal(gpu.name, reason))
            continue
        price = prices.get((gpu.cluster, gpu.node))
        for each in _notable(gpu, snapshot, settings):
            if each.cause == "unknown cap":
                refused.append(Refusal(gpu.name, _unknown(each)))
                continue
            if isinstance(price, Refusal):
                refused.append(price)
            known = price if isinstance(price, NodePrice) else None
            found.append(_recommend(gpu, each, known, snapshot, settings))
    return ordered(found, refused)


def _seen(gpu: Gpu, snapshot: Snapshot) -> float:
    return min(seen_seconds(gpu), snapshot.window_seconds)


def _notable(gpu: Gpu, snapshot: Snapshot, settings: ThrottlingSettings) -> Iterator[Throttled]:
    """The causes that held it down for long enough; to work at the board's own limit is none."""
    if not gpu.counts["throttled_seconds"]:
        return
    seen = _seen(gpu, snapshot)
    for each in _worst(causes(gpu, seen)):
        if each.cause != "limit" and each.seconds >= max(1.0, settings.min_ratio * seen):
            yield each


def _doubt(gpu: Gpu, seen: float) -> str:
    if gpu.doubt:
        return gpu.doubt
    if "throttled_seconds" not in gpu.counts:
        return "nobody tells for how long its clocks were held down (throttled_seconds)"
    return "" if seen > 0 else "it was not seen in the window"


def _worst(found: tuple[Throttled, ...]) -> tuple[Throttled, ...]:
    """The longest of each cause, as ids are by cause."""
    longest: dict[Cause, Throttled] = {}
    for each in found:
        if each.cause not in longest or each.seconds > longest[each.cause].seconds:
            longest[each.cause] = each
    return tuple(longest.values())


def _cap(gpu: Gpu) -> Cause:
    """An admin's cap is below the limit that the board comes with."""
    limit, default = (gpu.measures.get(name) for name in LIMITS)
    if limit is None or default is None:
        return "unknown cap"
    return "cap" if limit < default - 0.5 else "limit"


def _unknown(each: Throttled) -> str:
    return (
        f"power held its clocks down for {span(each.seconds)}, but its limits are not told "
        f"({', '.join(LIMITS)}): whether somebody lowered them cannot be said"
    )


def _recommend(
    gpu: Gpu,
    each: Throttled,
    price: NodePrice | None,
    snapshot: Snapshot,
    settings: ThrottlingSettings,
) -> Recommendation:
    usage = gpu.utilization
    covered = seen_seconds(gpu) / snapshot.window_seconds
    return Recommendation(
        id=stable_id(KINDS[each.cause], gpu.cluster, gpu.node, gpu.uuid),
        kind=KINDS[each.cause],
        what=_what(gpu, each, price, snapshot),
        where=Where(gpu.cluster, gpu.node, gpu.index, gpu.uuid),
        saves=_saving(each, price, snapshot, settings) if price and each.cause != "cap" else None,
        confidence=min(1.0, covered) * (0.8 if usage else 0.5),
        evidence=grounds(gpu, snapshot, {"throttled_seconds", *LIMITS}),
        enforceable="device" if each.cause == "cap" else "none",
        risk=RISKS[each.cause],
    )


def _what(gpu: Gpu, each: Throttled, price: NodePrice | None, snapshot: Snapshot) -> str:
    model = f" ({gpu.model})" if gpu.model else ""
    long = f"for {span(each.seconds)} of {span(snapshot.window_seconds)}"
    match each.cause:
        case "heat":
            said = f"was slowed down by heat {long}"
        case "brake":
            said = f"was slowed down by its power brake {long}"
        case _:
            limit, default = (gpu.measures[name] for name in LIMITS)
            said = f"ran at a power limit of {limit:.0f} W that somebody set below its default "
            said += f"of {default:.0f} W {long}"
    bound = f"; that cost {_bound(each, price, snapshot)} a month at most" if price else ""
    return f"GPU {gpu.index or gpu.uuid}{model} on {gpu.node} {said}{bound}"


def _month_hours(each: Throttled, snapshot: Snapshot) -> Decimal:
    part = Decimal(str(each.seconds)) / Decimal(str(snapshot.window_seconds))
    return (min(Decimal(1), part) * HOURS_PER_MONTH).quantize(MICRO)


def _bound(each: Throttled, price: NodePrice, snapshot: Snapshot) -> Money:
    return price.per_gpu_hour_residual * _month_hours(each, snapshot)


def _saving(
    each: Throttled, price: NodePrice, snapshot: Snapshot, settings: ThrottlingSettings
) -> Saving:
    bound = _bound(each, price, snapshot)
    factor = Decimal(str(settings.loss_ratio))
    return Saving(
        per_month=bound * factor,
        formula=FORMULA,
        inputs={
            "per_gpu_hour_residual": str(price.per_gpu_hour_residual.rounded(4)),
            "throttled_hours": f"{each.seconds / 3600:.3f}",
            "window_hours": f"{snapshot.window_seconds / 3600:g}",
            "reasons": ", ".join(each.reasons),
            "loss_factor": f"{factor} (stated, not measured)",
            "upper_bound_per_month": str(bound),
            "hours_per_month": str(HOURS_PER_MONTH),
        },
    )
