"""For how long each engine was busy: the integral of the driver's own samples.

The driver samples several times a second into rings, which are read in full. So the counters miss
nothing between scrapes, as the ratio of a moment does; `background` reads rings in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import declare_gpu

BUSY = declare_gpu(
    "busy",
    "busy_seconds_total",
    "Time for which the engine was busy, of the time observed.",
    "engine",
    source="nvmlDeviceGetSamples; where the driver took none, nvmlDeviceGetUtilizationRates, "
    "EncoderUtilization, DecoderUtilization",
)
OBSERVED = declare_gpu(
    "busy",
    "busy_observed_seconds_total",
    "Time for which it is known whether the engine was busy: divide by its rate.",
    "engine",
    source="nvmlDeviceGetSamples",
)

Samples = Sequence[tuple[int, Number]]  # time in µs on the driver's clock, percent

_SAMPLES = "nvmlDeviceGetSamples"
_LONGEST_GAP = 5_000_000  # µs that one sample may stand for
_QUIET_SECONDS = 5.0  # after that the driver is taken to sample nothing, as it does when idle
_LONGEST_SNAPSHOT = 1_000_000  # µs, the longest period of nvmlUtilization_t


class Integral:
    """Of one engine's samples, in µs and percent: whole numbers, so that nothing is rounded."""

    def __init__(self) -> None:
        self.busy: Number = 0  # µs times percent
        self.observed = 0  # µs
        self.last = 0  # time of the newest sample, on the driver's clock; 0: there was none
        self._read_at = 0.0
        self._sampled_at: float | None = None

    def add(self, samples: Samples, now: float) -> None:
        """Each stands for the time since the one before it; oldest first, newer than `last`."""
        last = self.last
        for stamp, percent in samples if last else ():  # the first reading is only a beginning
            gap = stamp - last
            if gap <= _LONGEST_GAP and percent <= 100:
                self.observed += gap
                self.busy += gap * percent
            last = stamp
        self._go_on(samples[-1][0], now)

    def is_quiet(self, now: float) -> bool:
        """Whether there has been no sample for so long that the next will stand for nothing."""
        if self._sampled_at is None:
            self._sampled_at = self._read_at = now
        return now - self._sampled_at > _QUIET_SECONDS

    def was_set_back(self, ring: Samples, now: float) -> bool:
        """Whether the driver's clock was: then samples are there, but none is newer than `last`."""
        if not ring or ring[-1][0] >= self.last:
            return False
        self._go_on(ring[-1][0], now)
        return True

    def snapshot(self, percent: Number | None, now: float) -> None:
        """Stands for the time since the last reading, or for one second of it."""
        if percent is not None and percent <= 100:
            since = int(1e6 * (now - self._read_at))
            microseconds = max(0, min(since, _LONGEST_SNAPSHOT))
            self.observed += microseconds
            self.busy += microseconds * percent
        self._read_at = now

    def _go_on(self, last: int, now: float) -> None:
        self.last, self._read_at, self._sampled_at = last, now, now


def _rates(member: str) -> Callable[[GpuReader], Number | None]:
    def percent(gpu: GpuReader) -> Number | None:
        rates = gpu.shared("nvmlDeviceGetUtilizationRates")
        return None if rates is None else getattr(rates, member)

    return percent


def _engine(function: str) -> Callable[[GpuReader], Number | None]:
    def percent(gpu: GpuReader) -> Number | None:
        answer = gpu.shared(function)
        return None if answer is None else answer[0]

    return percent


_ENGINES = (
    (("gpu",), nvml.NVML_GPU_UTILIZATION_SAMPLES, _rates("gpu")),
    (("memory",), nvml.NVML_MEMORY_UTILIZATION_SAMPLES, _rates("memory")),
    (("encoder",), nvml.NVML_ENC_UTILIZATION_SAMPLES, _engine("nvmlDeviceGetEncoderUtilization")),
    (("decoder",), nvml.NVML_DEC_UTILIZATION_SAMPLES, _engine("nvmlDeviceGetDecoderUtilization")),
)


def _integrals() -> tuple[Integral, ...]:
    return tuple(Integral() for _ in _ENGINES)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    integrals = gpu.kept(_integrals)
    now = gpu.sources.clock()
    for integral, (labels, kind, percent) in zip(integrals, _ENGINES, strict=True):
        samples = gpu.read(_SAMPLES, kind, integral.last)
        if samples is None:
            continue
        if samples:
            integral.add(samples, now)
        elif integral.is_quiet(now) and not integral.was_set_back(
            gpu.read(_SAMPLES, kind, 0) or (), now
        ):
            integral.snapshot(percent(gpu), now)
        yield BUSY, labels, integral.busy / 1e8
        yield OBSERVED, labels, integral.observed / 1e6


COLLECTOR = Collector(
    "busy",
    "seconds for which engines were busy",
    (BUSY, OBSERVED),
    gpu=_gpu,
    background=True,
)
