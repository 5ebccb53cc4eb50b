"""How long `agentaflow recommend` takes on 1,000 nodes x 8 GPUs in a real Prometheus."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from bench.table import Row, show, verdict
from tools.prometheus import JOB, PrometheusServer
from tools.terminal import BIN

SECONDS_GOAL = 5.0
WINDOW_SECONDS = 24 * 3600
STEP_SECONDS = 300
SIGNALS = {  # family → (type, extra labels, value at a step)
    "agentaflow_gpu_up": ("gauge", ""),
    "agentaflow_gpu_info": ("gauge", ',name="NVIDIA H100 80GB HBM3"'),
    "agentaflow_gpu_utilization_ratio": ("gauge", ',engine="gpu"'),
    "agentaflow_gpu_memory_total_bytes": ("gauge", ""),
    "agentaflow_gpu_memory_used_bytes": ("gauge", ""),
    "agentaflow_gpu_power_watts": ("gauge", ""),
    "agentaflow_gpu_energy_joules": ("counter", ""),
    "agentaflow_gpu_temperature_celsius": ("gauge", ',sensor="gpu"'),
    "agentaflow_gpu_processes": ("gauge", ',type="compute"'),
    "agentaflow_gpu_pod_info": ("gauge", ""),
}
CONSTANT = {"agentaflow_gpu_up", "agentaflow_gpu_info", "agentaflow_gpu_pod_info"}


def main(nodes: list[int]) -> bool:
    rows = [measure(count) for count in nodes]
    show("agentaflow recommend, 24 h window, real Prometheus", rows)
    slowest = max(float(row["seconds_median"]) for row in rows)
    queries = sorted({int(row["queries"]) for row in rows})
    met = verdict(f"seconds: {slowest:.2f}", slowest <= SECONDS_GOAL, f"at most {SECONDS_GOAL:.0f}")
    asked = f"queries: {' to '.join(map(str, queries))}"
    return verdict(asked, len(queries) == 1, "one number") and met


def write_fleet(out: TextIO, nodes: int, end: float, rng: random.Random) -> None:
    """One day of the signals that advice reads, one GPU in ten idle, as OpenMetrics."""
    times = [end - WINDOW_SECONDS + n * STEP_SECONDS for n in range(WINDOW_SECONDS // STEP_SECONDS)]
    times.append(end)
    stamps = [f" {t:.3f}\n" for t in times]
    for family, (kind, extra) in SIGNALS.items():
        out.write(f"# TYPE {family} {kind}\n")
        suffix = "_total" if kind == "counter" else ""
        for prefix, labels, idle in _gpus(nodes):
            pod = f',namespace="team-{prefix % 7}",pod="pod-{prefix}",container="main"'
            more = pod if family.endswith("pod_info") else extra
            name = f"{family}{suffix}{{{labels}{more}}} "
            out.writelines(_samples(family, name, stamps, idle, rng))
    out.write("# EOF\n")


def _gpus(nodes: int) -> Iterator[tuple[int, str, bool]]:
    for number in range(nodes * 8):
        node, gpu = f"node-{number // 8}", number % 8
        labels = f'job="{JOB}",instance="{node}",node="{node}",cluster="bench"'
        yield number, f'{labels},gpu="{gpu}",uuid="GPU-{number:08x}"', number % 10 == 0


def _samples(
    family: str, name: str, stamps: list[str], idle: bool, rng: random.Random
) -> Iterator[str]:
    if family in CONSTANT:
        return (f"{name}1{stamp}" for stamp in stamps)
    if family == "agentaflow_gpu_memory_total_bytes":
        return (f"{name}8.5e10{stamp}" for stamp in stamps)
    if family == "agentaflow_gpu_energy_joules":
        return (f"{name}{n * 90000}{stamp}" for n, stamp in enumerate(stamps))
    if family == "agentaflow_gpu_utilization_ratio":
        low, high = (0.0, 0.0) if idle else (0.2, 0.9)
        return (f"{name}{rng.uniform(low, high):.2f}{stamp}" for stamp in stamps)
    return (f"{name}{rng.uniform(50, 60):.1f}{stamp}" for stamp in stamps)


def measure(nodes: int, rounds: int = 3) -> Row:
    """Seconds (best and median of the rounds), queries, peak memory of the command."""
    with tempfile.TemporaryDirectory(prefix="agentaflow-bench-") as name:
        folder = Path(name)
        history = folder / "history.om"
        with history.open("w") as out:
            write_fleet(out, nodes, float(int(time.time())), random.Random(7))
        print(f"  {nodes} nodes: {history.stat().st_size / 1e6:.0f} MB of history", file=sys.stderr)
        with PrometheusServer(folder / "prometheus", blocks_from=history) as prometheus:
            history.unlink()
            prometheus.wait_for("agentaflow_gpu_up")
            runs = [_run(prometheus.url) for _ in range(rounds)]
    seconds = sorted(run[0] for run in runs)
    return {
        "nodes": nodes,
        "gpus": nodes * 8,
        "seconds_best": round(seconds[0], 2),
        "seconds_median": round(seconds[len(seconds) // 2], 2),
        "queries": runs[0][1],
        "recommendations": runs[0][2],
        "peak_rss_mib": round(max(run[3] for run in runs), 1),
    }


def _run(url: str) -> tuple[float, int, int, float]:
    """Seconds, queries, recommendations and peak RSS in MiB of one run of the command."""
    command = [str(BIN / "agentaflow"), "recommend", f"--prometheus-url={url}", "--window=24h"]
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    started = time.monotonic()
    with subprocess.Popen([*command, "-o", "json"], stdout=subprocess.PIPE, env=environment) as run:
        assert run.stdout is not None
        answer = json.loads(run.stdout.read())
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    assert run.returncode == 0
    return (
        seconds, len(answer["queries"]), len(answer["recommendations"]), usage.ru_maxrss / 1024
    )  # fmt: skip
