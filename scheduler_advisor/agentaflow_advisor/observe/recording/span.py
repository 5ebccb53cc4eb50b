"""Which window is looked at, and whether of recorded series or of the samples themselves.

Recorded series are used where they reach back over the whole window in every cluster. Samples are
read over no more of it than Prometheus can be asked for at once. Where neither suffices, what
reaches further decides, and a line says which window that is: nothing is judged by a part of the
window as if it were the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agentaflow_advisor.model import Refusal
from agentaflow_advisor.observe.recording.families import WHOLE

SAMPLES_BUDGET = 50_000_000
"""Of one query: Prometheus' own default for what it holds at once (--query.max-samples)."""
USUAL_INTERVAL_SECONDS = 15.0
STEPS: Mapping[str, float] = {"5m": 300.0, "1h": 3600.0}
HOURS_FROM_SECONDS = 12 * 3600.0
"""A shorter window is made of steps of 5 minutes."""
LEAST_SECONDS = 3600.0
"""An even shorter one is asked of the samples."""
SLACK_SECONDS = 60.0
LATE_SECONDS = 300.0
"""How much later than each hour whole windows may be kept."""


@dataclass(frozen=True, slots=True)
class Clock:
    """When the rules recorded one exporter's GPUs of one cluster (seconds since the epoch)."""

    oldest: float
    newest: float


@dataclass(slots=True)
class Found:
    """One exporter's series, by cluster."""

    series: dict[str, float] = field(default_factory=dict)
    clocks: dict[tuple[str, str], Clock] = field(default_factory=dict)  # by cluster and step
    interval_seconds: float = USUAL_INTERVAL_SECONDS

    @property
    def affordable_seconds(self) -> float:
        """The longest window of samples."""
        series = max(1.0, sum(self.series.values()))
        return SAMPLES_BUDGET / series * self.interval_seconds


@dataclass(frozen=True, slots=True)
class Recorded:
    """How one exporter's window is asked of recorded series."""

    step: str
    window: str  # as a duration
    steps: int  # of 5 minutes in it
    tail_seconds: float  # since the newest step, where peaks are read of the samples
    whole: str = ""  # how the rules name the window, where they keep it whole
    recent: str = ""  # since the newest hour, where peaks are read of steps of 5 minutes


@dataclass(frozen=True, slots=True)
class Span:
    """The window that is judged, and of whose recorded series."""

    window_seconds: float
    recorded: Mapping[str, Recorded] = field(default_factory=dict)  # by dialect
    notes: tuple[Refusal, ...] = ()


def choose(found: Mapping[str, Found], window_seconds: float, at: float) -> Span:
    """Of these exporters together; the one that reaches back least decides."""
    step = "1h" if window_seconds >= HOURS_FROM_SECONDS else "5m"
    reach = {name: _reach(each, step, at) for name, each in found.items()}
    windows = {name: max(reach[name], each.affordable_seconds) for name, each in found.items()}
    window = _whole(min(windows.values(), default=math.inf), window_seconds, step)
    recorded = {
        name: _recorded(each, step, window, at)
        for name, each in found.items()
        if reach[name] and LEAST_SECONDS <= window <= reach[name] + STEPS[step]
    }
    if window >= window_seconds:
        return Span(window_seconds, recorded)
    shortest = min(found, key=lambda name: windows[name])
    return Span(window, recorded, (_said(shortest, found[shortest], window, window_seconds),))


def _whole(affordable: float, wanted: float, step: str) -> float:
    """The wanted window where it is affordable but for one step, else as many whole steps."""
    size = STEPS[step]
    if affordable + size > wanted:
        return wanted
    return max(STEPS["5m"], affordable // size * size)


def _reach(found: Found, step: str, at: float) -> float:
    """How far back the steps go in the cluster where they begin last; 0 where one has none now."""
    size = STEPS[step]
    reaches = [0.0] if not found.series else []
    for cluster in found.series:
        clock = found.clocks.get((cluster, step))
        late = clock is None or at - clock.newest > 2 * size + SLACK_SECONDS
        reaches.append(0.0 if clock is None or late else at - clock.oldest + size)
    return min(reaches)


def _recorded(found: Found, step: str, window: float, at: float) -> Recorded:
    count = math.floor(window / STEPS[step])
    span = f"{count}h" if step == "1h" else f"{count * 5}m"
    whole = _kept(found, WHOLE.get(span, ""), at)
    tail = _tail(found, whole or step, at)
    recent = step == "1h" and tail <= _reach(found, "5m", at)
    return Recorded(
        step,
        span,
        count * 12 if step == "1h" else count,
        _tail(found, "5m", at) if recent else tail,
        whole,
        f"{tail / SLACK_SECONDS:.0f}m" if recent else "",
    )


def _tail(found: Found, step: str, at: float) -> float:
    """What the steps have not seen in every cluster yet, in whole minutes."""
    newest = min(found.clocks[cluster, step].newest for cluster in found.series)
    behind = SLACK_SECONDS if step == "5m" else SLACK_SECONDS + STEPS["5m"]
    return math.ceil((max(0.0, at - newest) + behind) / SLACK_SECONDS) * SLACK_SECONDS


def _kept(found: Found, whole: str, at: float) -> str:
    """The name, where in every cluster such windows were kept within the last hour."""
    clocks = [found.clocks.get((cluster, whole)) for cluster in found.series]
    fresh = all(clock and at - clock.newest < STEPS["1h"] + LATE_SECONDS for clock in clocks)
    return whole if fresh else ""


def _said(name: str, found: Found, window: float, wanted: float) -> Refusal:
    judged = f"the last {_span(window)} are judged, not {_span(wanted)}"
    if window > found.affordable_seconds:
        why = f"no further back reach the recorded series of {name}"
    else:
        why = (
            f"more samples of {name} are too many for one query (about "
            f"{sum(found.series.values()):.0f} GPUs each {found.interval_seconds:.0f} s); "
            "with the recording rules in alerts/rules any window can be read"
        )
    return Refusal("window", f"{judged}: {why}")


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def gpus_of(counts: Iterable[tuple[str, float]]) -> dict[str, float]:
    """By cluster, of several metrics that tell the same GPUs the most."""
    most: dict[str, float] = {}
    for cluster, count in counts:
        most[cluster] = max(most.get(cluster, 0.0), count)
    return most
