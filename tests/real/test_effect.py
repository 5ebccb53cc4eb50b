"""What a decision saved, measured in a real Prometheus before and after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, EvictPod, Money, State
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.verify import measure_effects
from tests.support.decisions import decision
from tools.prometheus import PrometheusServer

HOUR = 3600.0
GPU = 'cluster="c",node="node-0",instance="i",gpu="{gpu}",uuid="GPU-{gpu}"'


def history(applied_at: float) -> Iterator[str]:
    """Two GPUs held by one pod until then, one of them idle and one busy; then the idle one free.

    A third, on another node, stays held and idle: it is no matter of this decision.
    """
    times = [applied_at + 60 * minute for minute in range(-70, 71)]
    yield "# TYPE agentaflow_gpu_utilization_ratio gauge"
    for gpu, ratio in (("0", 0.0), ("1", 0.9)):
        labels = GPU.format(gpu=gpu)
        for at in times:
            yield f'agentaflow_gpu_utilization_ratio{{{labels},engine="gpu"}} {ratio} {at:.0f}'
    other = 'cluster="c",node="node-1",instance="j",gpu="0",uuid="GPU-x"'
    for at in times:
        yield f'agentaflow_gpu_utilization_ratio{{{other},engine="gpu"}} 0 {at:.0f}'
    yield "# TYPE agentaflow_gpu_pod_info gauge"
    pod = 'namespace="research",pod="notebook",container="main"'
    for gpu in ("0", "1"):
        for at in times:
            if gpu == "1" or at < applied_at:
                yield f"agentaflow_gpu_pod_info{{{GPU.format(gpu=gpu)},{pod}}} 1 {at:.0f}"
    for at in times:
        yield f"agentaflow_gpu_pod_info{{{other},{pod}}} 1 {at:.0f}"
    yield "# EOF"


def verified(journal: Journal, at: float) -> Decision:
    action = EvictPod(
        namespace="research", name="notebook", uid="u", resource_version="1", node="node-0"
    )
    made = journal.add(replace(decision(now=at), action=action))
    for state in (State.APPROVED, State.INTENDED, State.APPLIED, State.VERIFIED):
        journal.transition(made.id, state, actor="alice", at=at)
    return made


def test_the_gpu_that_is_no_longer_held_idle_is_what_was_saved(
    prometheus_binary: Path, tmp_path: Path, journal: Journal
) -> None:
    """One GPU, without doubt, at its price; written down once, in the chain."""
    assert prometheus_binary
    at = time.time() // 60 * 60 - 2 * HOUR
    text = tmp_path / "history.txt"
    text.write_text("\n".join(history(at)) + "\n")
    made = verified(journal, at)
    with (
        PrometheusServer(tmp_path / "prometheus", blocks_from=text) as server,
        Prometheus(server.url) as prometheus,
    ):

        def measure(now: float) -> tuple[Decision, ...]:
            return measure_effects(
                journal,
                prometheus,
                dialects=("agentaflow",),
                hourly={"node-0": Money(Decimal("2.00"), "USD")},
                window_seconds=HOUR,
                now=now,
            )

        assert measure(at + HOUR - 1) == ()
        (found,) = measure(at + HOUR)
        assert measure(at + 2 * HOUR) == ()
    assert found.state is State.VERIFIED
    assert found.reason.startswith("+1.00 ± 0.00 GPUs no longer held idle, 1,460.00 USD")
    assert journal.details(State.VERIFIED)[made.id]["saved_gpus"] == pytest.approx(1.0)
    assert journal.verify() == ()


def test_where_nobody_told_the_saving_is_not_known(
    prometheus_binary: Path, tmp_path: Path, journal: Journal
) -> None:
    """No data is no saving, and no second try."""
    assert prometheus_binary
    now = time.time()
    made = verified(journal, now - 2 * HOUR)
    with (
        PrometheusServer(tmp_path / "prometheus") as server,
        Prometheus(server.url) as prometheus,
    ):
        (found,) = measure_effects(
            journal,
            prometheus,
            dialects=("agentaflow",),
            hourly={},
            window_seconds=HOUR,
            now=now,
        )
    assert found.reason == "what it saved is not known: 0 values on one side, 8 are needed"
    assert journal.details(State.VERIFIED) == {made.id: {}}
