"""GPUs that look busy and are not: `utilization` says some kernel runs, not how much of it.

One thread on one of 132 multiprocessors makes 100 % utilization (nvmlUtilization_t: "percent of
time over the past sample period during which one or more kernels was executing").
"""

from __future__ import annotations

from dataclasses import dataclass

from agentaflow_advisor.analyze.findings import Findings, ordered, stable_id
from agentaflow_advisor.analyze.grounds import grounds
from agentaflow_advisor.analyze.idleness import USAGE, confidence, span
from agentaflow_advisor.analyze.settings import bounded
from agentaflow_advisor.model import Gpu, Recommendation, Refusal, Snapshot, Usage, Where

KIND = "low-sm-activity"
MEASURE = "sm_active_high"
SIGNALS = frozenset(USAGE) | {"info", "up", "pods", "mig_enabled", MEASURE}
EVIDENCE = ("utilization_high", "utilization_samples", "utilization_age", MEASURE)
RISK = (
    "Profile the program first: small kernels, a slow data loader or waiting for peers look like "
    "this. A smaller GPU or a MIG slice may do as well, and memory may forbid it."
)


@dataclass(frozen=True, slots=True)
class ActivitySettings:
    """When a GPU looks busy and is not. Raises SettingsError."""

    utilization_ratio: float = 0.9
    """Its high percentile of utilization is at least this (0 to 1): it looks busy."""
    sm_high_ratio: float = 0.3
    """Its multiprocessors were active for no more of the time than this at the high percentile (0
    to 1)."""
    max_age_seconds: float = 300.0
    """With an older newest sample there is no verdict (seconds)."""
    min_coverage: float = 0.9
    """Part of the window in which it must have been seen (0 to 1)."""

    def __post_init__(self) -> None:
        for name in ("utilization_ratio", "sm_high_ratio", "min_coverage"):
            bounded(name, getattr(self, name), 0, 1, "a ratio")
        bounded("max_age_seconds", self.max_age_seconds, 1, 86_400, "seconds")


def analyze(snapshot: Snapshot, settings: ActivitySettings) -> Findings:
    """A recommendation for each such GPU, a refusal for each that tells too little."""
    found: list[Recommendation] = []
    refused: list[Refusal] = []
    for gpu in snapshot.gpus:
        usage = gpu.utilization
        if usage is not None and usage.high < settings.utilization_ratio:
            continue  # does not look busy: not this analysis' matter
        reason = _doubt(gpu, snapshot, settings)
        if reason or usage is None:
            refused.append(Refusal(gpu.name, reason))
        elif gpu.measures[MEASURE] <= settings.sm_high_ratio:
            found.append(_recommend(gpu, usage, snapshot))
    return ordered(found, refused)


def _doubt(gpu: Gpu, snapshot: Snapshot, settings: ActivitySettings) -> str:
    usage = gpu.utilization
    if gpu.doubt:
        return gpu.doubt
    if usage is None:
        return "no usable utilization in the window: how busy it looks is not known"
    if gpu.up is not True:
        return "it does not answer now, or is not listed"
    if usage.newest_age_seconds > settings.max_age_seconds:
        return "its newest utilization sample is too old"
    if usage.covered_seconds < settings.min_coverage * snapshot.window_seconds:
        return (
            f"it was seen for {span(usage.covered_seconds)} of {span(snapshot.window_seconds)} only"
        )
    if gpu.measures.get("mig_enabled", 0.0) > 0:
        return "it is cut into MIG instances, of which its own SM activity says little"
    return "" if MEASURE in gpu.measures else f"it looks busy, and nobody tells {MEASURE}"


def _recommend(gpu: Gpu, usage: Usage, snapshot: Snapshot) -> Recommendation:
    pods = sorted({str(pod) for pod in gpu.pods})
    one = gpu.pods[0] if len(pods) == 1 else None
    model = f" ({gpu.model})" if gpu.model else ""
    return Recommendation(
        id=stable_id(KIND, gpu.cluster, gpu.node, gpu.uuid, *pods),
        kind=KIND,
        what=(
            f"GPU {gpu.index or gpu.uuid}{model} on {gpu.node} looks busy (utilization up to "
            f"{usage.high:.0%}), yet its SMs were active for up to {gpu.measures[MEASURE]:.0%} "
            "of the time" + (f"; held by {', '.join(pods)}" if pods else "")
        ),
        where=Where(
            gpu.cluster,
            gpu.node,
            gpu.index,
            gpu.uuid,
            one.namespace if one else "",
            one.name if one else "",
        ),
        saves=None,
        confidence=confidence(usage, snapshot.window_seconds),
        evidence=grounds(gpu, snapshot, EVIDENCE),
        enforceable="none",
        risk=RISK,
    )
