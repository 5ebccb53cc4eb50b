"""Who had each hour of each GPU: the pieces that every sum of money is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agentaflow_advisor.analyze.idleness import Busy, Idle, IdleSettings, Unknown, Verdict, judge
from agentaflow_advisor.analyze.sharers import NOBODY_SHARED, Sharers, divide
from agentaflow_advisor.model import Gpu, Held, Snapshot
from agentaflow_advisor.price import NodeKey, NodePrice
from agentaflow_advisor.price.slices import share

Part = Literal["used", "idle", "unallocated", "unjudged"]
HOUR = Decimal(3600)
MILLI = Decimal("0.001")
MICRO = Decimal("0.000001")
JOULES_PER_KWH = 3_600_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Some hours of one GPU under one price, for one holder, of one kind.

    Hours of a MIG slice are those of the part of the GPU that it is. None: no price, no energy.
    """

    gpu: Gpu
    namespace: str  # empty: in no pod
    pod: str  # empty: which one is not told
    part: Part
    hours: Decimal
    price: NodePrice | None
    kwh: Decimal | None
    evenly: bool = False  # of a GPU that pods shared whose own use is not told


def allocate(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, object],
    settings: IdleSettings,
    sharers: Sharers = NOBODY_SHARED,
) -> tuple[Piece, ...]:
    """Every hour in which a GPU was seen, once, in an order that does not depend on the input's."""
    attributed = attributed_clusters(snapshot)
    pieces: list[Piece] = []
    for gpu in sorted(snapshot.gpus, key=lambda gpu: (gpu.cluster, gpu.node, gpu.uuid)):
        price = prices.get((gpu.cluster, gpu.node))
        known = price if isinstance(price, NodePrice) else None
        lost = snapshot.missing.why(gpu.cluster)
        verdict = Unknown(lost) if lost else judge(gpu, snapshot, settings)
        blind = bool(lost) or gpu.cluster not in attributed
        pieces += _pieces(gpu, known, verdict, sharers, blind=blind)
    return tuple(pieces)


def attributed_clusters(snapshot: Snapshot) -> frozenset[str]:
    """The clusters in which it is known which pods hold GPUs."""
    return frozenset(gpu.cluster for gpu in snapshot.gpus if gpu.held)


def _pieces(
    gpu: Gpu, price: NodePrice | None, verdict: Verdict, sharers: Sharers, *, blind: bool
) -> Iterator[Piece]:
    held_as: Part = (
        "used" if isinstance(verdict, Busy) else "idle" if isinstance(verdict, Idle) else "unjudged"
    )
    seen = _seconds(seen_seconds(gpu))
    claims = _held(gpu, seen)
    evenly = False
    if isinstance(verdict, Busy) and sharers.has(gpu):
        weights = sharers.weights(gpu, (held for held, _ in claims))
        evenly = weights is None
        parts = list(_shared(divide(gpu, claims, weights)))
    else:
        parts = [(held.namespace, held.pod, held_as, seconds) for held, seconds in claims]
    left = seen - sum((seconds for *_, seconds in parts), Decimal(0))
    outside_pods = isinstance(verdict, Busy) and not gpu.held  # worked, yet for no pod
    if left > 0 or not gpu.held:
        parts.append(("", "", held_as if blind or outside_pods else "unallocated", left))
    energies = _energies(gpu, [seconds for *_, seconds in parts])
    for (namespace, pod, part, seconds), kwh in zip(parts, energies, strict=True):
        hours = (seconds / HOUR).quantize(MICRO)
        yield Piece(gpu, namespace, pod, part, hours, price, kwh, evenly)


def _shared(
    found: Iterable[tuple[Held, Decimal, Decimal]],
) -> Iterator[tuple[str, str, Part, Decimal]]:
    for held, used, idle in found:
        yield held.namespace, held.pod, "used", used
        yield held.namespace, held.pod, "idle", idle


def _held(gpu: Gpu, seen: Decimal) -> list[tuple[Held, Decimal]]:
    """Each holder's seconds of the whole GPU, together never more than it was there."""
    ordered = sorted(gpu.held, key=lambda one: (one.namespace, one.pod, one.profile, one.seconds))
    claims = [_seconds(held.seconds) * _share(gpu, held) for held in ordered]
    claimed = sum(claims, Decimal(0))
    scale = seen / claimed if claimed > seen else Decimal(1)
    found, left = [], seen
    for held, claim in zip(ordered, claims, strict=True):
        seconds = min(left, (claim * scale).quantize(MILLI))
        left -= seconds
        found.append((held, seconds))
    return found


def _share(gpu: Gpu, held: Held) -> Decimal:
    """The part of the GPU that a holder's MIG slice is; 1 where it has no slice."""
    return share(held.profile, gpu.model, gpu.memory_total_bytes) or Decimal(1)


def _energies(gpu: Gpu, seconds: list[Decimal]) -> list[Decimal | None]:
    """The GPU's kWh by time, the last piece taking what rounding leaves."""
    if gpu.energy_joules is None:
        return [None for _ in seconds]
    whole = (Decimal(str(gpu.energy_joules)) / JOULES_PER_KWH).quantize(MICRO)
    time = sum(seconds, Decimal(0))
    parts = [(whole * each / time).quantize(MICRO) if time else Decimal(0) for each in seconds]
    parts[-1] += whole - sum(parts, Decimal(0))
    return list(parts)


def seen_seconds(gpu: Gpu) -> float:
    """How long the GPU was there in the window, by the best evidence there is."""
    if gpu.present_seconds is not None:
        return gpu.present_seconds
    return gpu.utilization.covered_seconds if gpu.utilization else 0.0


def hours_of(pieces: Iterable[Piece]) -> Decimal:
    """Their GPU hours together."""
    return sum((piece.hours for piece in pieces), Decimal(0))


def _seconds(value: float) -> Decimal:
    return Decimal(str(round(value, 3)))
