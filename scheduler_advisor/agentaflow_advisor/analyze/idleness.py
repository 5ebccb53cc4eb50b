"""Is a GPU idle? A verdict from a high percentile and the maximum, or a reason for none.

The mean is never asked: of real inference pods a fifth average below 5 %, yet only 8 % never
exceed it. Nor is an absence of samples: what Prometheus did not see is not idle but unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentaflow_advisor.analyze.settings import bounded
from agentaflow_advisor.model import Gpu, Snapshot, Usage

EVIDENCE = (
    "utilization_max",
    "utilization_high",
    "utilization_samples",
    "utilization_age",
    "utilization_present",
)
"""The queries that a verdict rests on."""

USAGE = (*EVIDENCE, "utilization_broken")
"""What makes a Usage: a NaN among the samples is told apart, since the maximum hides it."""

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class IdleSettings:
    """When a GPU counts as idle, and how much evidence that takes. Raises SettingsError."""

    maximum_ratio: float = 0.05
    """No sample of the window may be above this (0 to 1)."""
    high_ratio: float = 0.02
    """Nor may the snapshot's high percentile be above this (0 to 1): short blips, not work."""
    min_window_seconds: float = 3600.0
    """A shorter window proves nothing about a GPU (seconds)."""
    min_coverage: float = 0.9
    """The part of the window in which the GPU must have been seen (0 to 1)."""
    max_sample_interval_seconds: float = 300.0
    """Samples further apart than this on average miss work in between (seconds)."""
    max_age_seconds: float = 300.0
    """An older newest sample tells of the past: Prometheus' own staleness limit (seconds)."""
    held_memory_bytes: float = 2.0**30
    """More memory than this is held by somebody; less is the driver's own (bytes)."""

    def __post_init__(self) -> None:
        bounded("maximum_ratio", self.maximum_ratio, 0, 1, "a ratio")
        bounded("high_ratio", self.high_ratio, 0, 1, "a ratio")
        bounded("min_window_seconds", self.min_window_seconds, 0, 400 * DAY, "seconds")
        bounded("min_coverage", self.min_coverage, 0, 1, "a ratio")
        bounded("max_sample_interval_seconds", self.max_sample_interval_seconds, 1, DAY, "seconds")
        bounded("max_age_seconds", self.max_age_seconds, 1, DAY, "seconds")
        bounded("held_memory_bytes", self.held_memory_bytes, 0, 2.0**50, "bytes")


@dataclass(frozen=True, slots=True)
class Idle:
    """It did nothing, as far as its samples vouch for."""

    usage: Usage
    confidence: float  # 0 to 1


@dataclass(frozen=True, slots=True)
class Busy:
    """It worked at least once in the window."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The evidence does not suffice for a verdict."""

    reason: str


Verdict = Idle | Busy | Unknown


def judge(gpu: Gpu, snapshot: Snapshot, settings: IdleSettings) -> Verdict:
    """Work that was seen is proof; to call it idle takes a whole window of good samples."""
    usage = gpu.utilization
    if usage and (usage.maximum > settings.maximum_ratio or usage.high > settings.high_ratio):
        return Busy()
    reason = doubt(gpu, snapshot, settings)
    if reason or not usage:
        return Unknown(reason)
    return Idle(usage, confidence(usage, snapshot.window_seconds))


def confidence(usage: Usage, window_seconds: float) -> float:
    """The part of the window that is proven idle, 0 to 1: coverage x (1 - 3 / samples).

    By the rule of three, n samples without work show with 95 % confidence that work filled less
    than 3/n of the time they cover.
    """
    coverage = min(1.0, usage.covered_seconds / window_seconds)
    return coverage * max(0.0, 1.0 - 3.0 / max(1, usage.samples))


def doubt(gpu: Gpu, snapshot: Snapshot, settings: IdleSettings) -> str:
    """Why no verdict can rest on the GPU's samples; empty where nothing stands against it."""
    window = snapshot.window_seconds
    usage = gpu.utilization
    if gpu.doubt:
        return gpu.doubt
    if gpu.up is False:
        return "the GPU does not answer (agentaflow_gpu_up is 0)"
    if window < settings.min_window_seconds:
        least = span(settings.min_window_seconds)
        return f"a window of {span(window)} is too short, {least} is the least"
    if usage is None and gpu.measures.get("mig_enabled", 0.0) > 0:
        return "it is cut into MIG instances, of which no utilization of the whole is told"
    if usage is None:
        return "no usable utilization in the window: not supported, not scraped, or not plausible"
    if usage.newest_age_seconds > settings.max_age_seconds:
        return f"its newest utilization sample is {_age(usage)} old"
    coverage = usage.covered_seconds / window
    if coverage < settings.min_coverage:
        least = f"{settings.min_coverage:.0%}"
        return f"it was seen in {coverage:.0%} of the window, {least} is the least"
    needed = settings.min_coverage * window / settings.max_sample_interval_seconds
    if usage.samples < needed:
        return f"only {usage.samples} samples in {span(window)}, {needed:.0f} are the least"
    if gpu.up is None:
        return "it is measured but not listed now: its exporter may have changed its name"
    return ""


def _age(usage: Usage) -> str:
    age = usage.newest_age_seconds
    return span(age) if math.isfinite(age) else "more than 5 min"


def span(seconds: float) -> str:
    """A duration for people: 7 d, 3.5 h, 40 s."""
    for unit, size in (("d", DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
