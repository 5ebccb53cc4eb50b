"""A GPU that two pods share, on a real Prometheus: the one that works pays for the work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tools.prometheus import PrometheusServer

HOURS = 6
STEP = 60
GPU = "agentaflow_gpu_"
H100_HOUR = 6.88  # p5.48xlarge, 55.04 USD an hour, over its 8 GPUs


def text(exported: str, now: int) -> Iterator[str]:
    """One GPU, in use for 60 % of the time, all of it by one of the two pods that hold it."""
    target = 'job="agentaflow-exporter",cluster="c",instance="n",node="n",gpu="0",uuid="GPU-0"'
    other = ',namespace="monitoring",pod="exporter",container="main"' if exported else ""
    pods = {
        pod: f',{exported}namespace="{pod}",{exported}pod="{pod}-0",{exported}container="main"'
        + other
        for pod in ("works", "waits")
    }
    families: dict[str, list[tuple[str, float]]] = {
        f"{GPU}up": [("", 1)],
        f"{GPU}info": [(',name="NVIDIA H100 80GB HBM3"', 1)],
        f"{GPU}utilization_ratio": [(',engine="gpu"', 0.6)],
        f"{GPU}memory_used_bytes": [("", 2e10)],
        f"{GPU}memory_total_bytes": [("", 85e9)],
        f"{GPU}pod_info": [(labels, 1) for labels in pods.values()],
        f"{GPU}container_sm_ratio": [(pods["works"], 0.5), (pods["waits"], 0)],
    }
    for metric, series in families.items():
        yield f"# TYPE {metric} gauge\n"
        for labels, value in series:
            for at in range(now - HOURS * 3600, now + 1, STEP):
                yield f"{metric}{{{target}{labels}}} {value} {at}\n"
    yield "# EOF\n"


@pytest.mark.parametrize("exported", ["", "exported_"])
def test_the_pod_that_works_pays_for_the_work_and_half_of_the_idle_time(
    exported: str,
    prometheus_binary: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """60 % in use by one, 40 % idle by halves; also where Prometheus renames our labels."""
    assert prometheus_binary
    monkeypatch.setenv("AGENTAFLOW_KUBERNETES", "off")
    blocks = tmp_path / "history.om"
    blocks.write_text("".join(text(exported, int(time.time()))))
    with PrometheusServer(tmp_path / "prometheus", blocks_from=blocks) as server:
        asking = Cli(capsys, ("--prometheus-url", server.url))
        ran = asking("report", "cost", "--window", f"{HOURS}h", "-o", "json")
    assert ran.code == 0, ran.err
    rows = {row["name"]: row for row in ran.json["rows"]}
    whole = HOURS * H100_HOUR
    told = {
        (name, part): float(rows[name][part]["amount"]) / whole
        for name in ("works", "waits")
        for part in ("used", "idle")
    }
    assert told == pytest.approx(
        {
            ("works", "used"): 0.6,
            ("works", "idle"): 0.2,
            ("waits", "used"): 0,
            ("waits", "idle"): 0.2,
        },
        abs=0.01,
    )
