"""Sick, hot and seemingly busy GPUs, from metrics in a real Prometheus to the advice."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from agentaflow_advisor.cli import main
from tests.support.history import History, Value, always
from tools.prometheus import PrometheusServer

HOUR = 3600
STEP = 60
GPU = "agentaflow_gpu_"


def fleet(now: int) -> History:
    """Eight busy H100: one sound, the others with a trouble each; 700 W is the default limit."""
    history = History(range(now - 26 * HOUR, now + 1, STEP))
    begin = now - 26 * HOUR

    def counter(rate: float) -> Value:
        return lambda at: round((at - begin) * rate, 3)

    def only(index: int, value: float, otherwise: float) -> list[Value]:
        return [always(value if each == index else otherwise) for each in range(8)]

    def single(metric: str, values: list[Value], **more: str) -> None:
        for index, value in enumerate(values):
            target = {"job": "agentaflow-exporter", "instance": "n", "node": "n", "cluster": "c"}
            same = {**target, "gpu": str(index), "uuid": f"GPU-{index}"}
            history.add(f"{GPU}{metric}", {**same, **more}, value)

    every = [always(1)] * 8
    single("up", every)
    single("info", every, name="NVIDIA H100 80GB HBM3")
    single("utilization_ratio", [always(1.0)] * 8, engine="gpu")
    single(
        "xid_errors_total", [_from(now - HOUR) if i == 1 else always(0) for i in range(8)], xid="79"
    )
    single("xid_errors_total", [counter(0.01) if i == 0 else always(0) for i in range(8)], xid="31")
    single("row_remap_pending", only(2, 1, 0))
    single("row_remap_failure", [always(0)] * 8)
    single("ecc_errors_total", [always(0)] * 8, type="uncorrected")
    single("pcie_link_width", only(3, 4, 16))
    single("pcie_link_width_max", [always(16)] * 8)
    hot = [counter(0.5) if index == 4 else always(0) for index in range(8)]
    single("clock_event_seconds_total", hot, reason="sw_thermal_slowdown")
    capped = [counter(0.9) if index in (5, 6) else always(0) for index in range(8)]
    single("clock_event_seconds_total", capped, reason="sw_power_cap")
    single("power_limit_watts", only(5, 400, 700), limit="enforced")
    single("power_limit_watts", [always(700)] * 8, limit="default")
    single("sm_active_ratio", only(7, 0.03, 0.8))
    return history


def _from(begin: int) -> Value:
    return lambda at: 1.0 if at >= begin else 0.0


@pytest.fixture(scope="module")
def advice(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `recommend -o json` says of the last day."""
    folder = tmp_path_factory.mktemp("health")
    path = fleet(int(time.time())).write(folder / "history.om")
    with (
        PrometheusServer(folder / "prometheus", blocks_from=path) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AGENTAFLOW_KUBERNETES", "off")
        server.wait_for(f"{GPU}up")
        out = folder / "advice.json"
        with out.open("w") as file:
            patch.setattr("sys.stdout", file)
            options = ["--prometheus-url", server.url, "--window", "1d", "--no-record"]
            assert main(["recommend", "-o", "json", *options]) == 0
    return json.loads(out.read_text())


def test_each_trouble_is_told_and_the_sound_gpu_is_not(advice: Any) -> None:
    """By GPU; a program's faults and a board at its own limit are no troubles."""
    found = {each["where"]["gpu"]: each["kind"] for each in advice["recommendations"]}
    assert found == {
        "1": "drain-gpu-node",
        "2": "reset-gpu",
        "3": "check-gpu",
        "4": "thermal-throttling",
        "5": "power-cap",
        "7": "low-sm-activity",
    }


def test_the_figures_are_those_of_the_metrics(advice: Any) -> None:
    """One Xid, half of a day hot: 365 h x the price a month at most, and half of that as lost."""
    found = {each["where"]["gpu"]: each for each in advice["recommendations"]}
    assert "Xid 79 (it fell off the bus) came once" in found["1"]["what"]
    assert "4 of 16 lanes" in found["3"]["what"]
    inputs = found["4"]["saves"]["inputs"]
    assert float(inputs["throttled_hours"]) == pytest.approx(12.0, rel=0.01)
    price = float(inputs["per_gpu_hour_residual"].split()[0])
    saved = float(found["4"]["saves"]["per_month"]["amount"])
    assert saved == pytest.approx(price * 365 / 2, rel=0.01)
    assert "400 W that somebody set below its default of 700 W" in found["5"]["what"]
    assert all(each["evidence"]["promql"] for each in found.values())


def test_what_was_not_looked_at_is_said(advice: Any) -> None:
    """NVLinks, replays and the recovery action are told by nobody here."""
    (reason,) = (
        each["reason"] for each in advice["refusals"] if each["subject"].startswith("health of")
    )
    assert "8 GPUs were judged without" in reason
    for name in ("PCIe replays", "NVLinks", "recovery action"):
        assert name in reason
