"""Signals of the simulation: a value at any time and, in closed form, its integral up to then.

A counter must be the integral of the gauge beside it (energy of power), and reading it must not
depend on what was read before. So each signal knows its own integral, in O(1) for any time.
Times are in seconds, from a midnight UTC; an integral has an arbitrary but fixed origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, floor, pi, sin
from typing import Protocol

DAY_SECONDS = 86_400.0
_MASK = (1 << 64) - 1


class Signal(Protocol):
    def at(self, time: float) -> float: ...

    def integral(self, time: float) -> float: ...


def scatter(key: int, index: int) -> float:
    """A number in [0, 1) that looks random and depends on nothing but its arguments: splitmix64."""
    bits = (key + index * 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((bits ^ (bits >> 31)) >> 11) * 2.0**-53


@dataclass(frozen=True, slots=True)
class Constant:
    value: float

    def at(self, time: float) -> float:  # noqa: ARG002
        return self.value

    def integral(self, time: float) -> float:
        return self.value * time


@dataclass(frozen=True, slots=True)
class Wave:
    """`mean` ± `amplitude`, highest `peak_seconds` after each multiple of the period (UTC)."""

    mean: float
    amplitude: float
    peak_seconds: float = 14 * 3600.0
    period_seconds: float = DAY_SECONDS

    def at(self, time: float) -> float:
        return self.mean + self.amplitude * cos(self._angle(time))

    def integral(self, time: float) -> float:
        swing = self.amplitude * self.period_seconds / (2 * pi) * sin(self._angle(time))
        return self.mean * time + swing

    def _angle(self, time: float) -> float:
        return 2 * pi * ((time - self.peak_seconds) % self.period_seconds) / self.period_seconds


@dataclass(frozen=True, slots=True)
class Noise:
    """Between -amplitude and +amplitude, zero on average.

    The integral is made first: heights at random, one each `spacing_seconds`, joined by the
    smoothstep 3x² - 2x³. The value is its derivative, which is at most 1.5 of the mean slope.
    """

    key: int
    amplitude: float
    spacing_seconds: float = 47.0

    def at(self, time: float) -> float:
        before, after, x = self._around(time)
        return 2 * self.amplitude * (after - before) * 2 * x * (1 - x)

    def integral(self, time: float) -> float:
        before, after, x = self._around(time)
        height = before + (after - before) * x * x * (3 - 2 * x)
        return self.amplitude * self.spacing_seconds * 2 / 3 * height

    def _around(self, time: float) -> tuple[float, float, float]:
        steps = time / self.spacing_seconds + scatter(self.key, -1)
        index = floor(steps)
        return scatter(self.key, index), scatter(self.key, index + 1), steps - index


@dataclass(frozen=True, slots=True)
class Bursts:
    """The same amount as `load`, delivered in one burst at a random moment of each slot.

    A burst is as high as `lowest`…`highest`, and as long as it takes to deliver what the load
    integrates to over the slot; `load` must stay below `lowest`.
    """

    load: Signal
    key: int
    slot_seconds: float
    lowest: float
    highest: float

    def at(self, time: float) -> float:
        start, length, height, _ = self._burst(time)
        return height if start <= time < start + length else 0.0

    def integral(self, time: float) -> float:
        start, length, height, before = self._burst(time)
        return before + height * min(max(time - start, 0.0), length)

    def _burst(self, time: float) -> tuple[float, float, float, float]:
        """Start, length and height of the slot's burst, and all that came before the slot."""
        index = floor(time / self.slot_seconds)
        slot = index * self.slot_seconds
        before = self.load.integral(slot)
        amount = self.load.integral(slot + self.slot_seconds) - before
        height = self.lowest + (self.highest - self.lowest) * scatter(self.key, 2 * index)
        length = amount / height
        start = slot + (self.slot_seconds - length) * scatter(self.key, 2 * index + 1)
        return start, length, height, before


def pulses(key: int, *, share: float, slot_seconds: float) -> Bursts:
    """0 or 1: on for `share` of each slot, at a random moment of it."""
    return Bursts(Constant(share), key, slot_seconds, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Total:
    """A weighted sum of signals."""

    parts: tuple[tuple[float, Signal], ...]

    def at(self, time: float) -> float:
        return sum(weight * signal.at(time) for weight, signal in self.parts)

    def integral(self, time: float) -> float:
        return sum(weight * signal.integral(time) for weight, signal in self.parts)


def total(*signals: Signal) -> Total:
    return Total(tuple((1.0, signal) for signal in signals))
