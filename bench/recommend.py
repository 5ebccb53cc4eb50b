"""How long `agentaflow recommend` takes with a real Prometheus beside it on the same cores.

Of samples alone, and of what the recording rules keep, which is what a large fleet needs.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from agentaflow_advisor.observe.readings import AT_ONCE
from bench import remote_write
from bench.recorded import Fleet
from bench.table import Row, show, verdict
from tools.prometheus import JOB, PrometheusServer, create_blocks
from tools.terminal import BIN

SECONDS_GOAL = 5.0
RECORDED_SECONDS_GOAL = 10.0
MIB_GOAL = 1024.0
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


Prepared = Callable[[int, Path], AbstractContextManager[PrometheusServer]]


def main(nodes: list[int], recorded: list[int]) -> bool:
    rows = [measure(count, scraped) for count in nodes]
    show("agentaflow recommend, 24 h window, samples each 5 min, real Prometheus", rows)
    slowest = max(float(row["seconds_median"]) for row in rows)
    met = verdict(f"seconds: {slowest:.2f}", slowest <= SECONDS_GOAL, f"at most {SECONDS_GOAL:.0f}")
    met &= _one_number(rows)
    rows = [measure(count, kept) for count in recorded]
    show("the same of recorded hours", rows)
    seconds, mib = (max(float(row[name]) for row in rows) for name in ("seconds_median", "rss_mib"))
    goal = f"at most {RECORDED_SECONDS_GOAL:.0f}"
    met &= verdict(f"seconds: {seconds:.2f}", seconds <= RECORDED_SECONDS_GOAL, goal)
    met &= verdict(f"MiB: {mib:.0f}", mib <= MIB_GOAL, f"at most {MIB_GOAL:.0f}")
    return _one_number(rows) and met


def _one_number(rows: list[Row]) -> bool:
    queries = sorted({int(row["queries"]) for row in rows})
    asked = f"queries: {' to '.join(map(str, queries))}"
    return verdict(asked, len(queries) == 1, "one number")


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


@contextmanager
def scraped(nodes: int, folder: Path) -> Iterator[PrometheusServer]:
    """A server that holds a day of samples."""
    history = folder / "history.om"
    with history.open("w") as out:
        write_fleet(out, nodes, float(int(time.time())), random.Random(7))
    with PrometheusServer(folder / "prometheus", blocks_from=history) as server:
        history.unlink()
        yield server


@contextmanager
def kept(nodes: int, folder: Path) -> Iterator[PrometheusServer]:
    """A server that holds a day of recorded hours in such blocks as one has that has run for days;
    what is newest is sent to it, as it holds that in its memory.
    """
    fleet, began = Fleet.of(nodes), int(time.time())
    flags = ["--storage.tsdb.max-block-duration=2h", remote_write.FLAG]
    server = PrometheusServer(folder / "prometheus", flags=flags)
    past, samples = fleet.write_past(folder, began)
    for block in past:
        create_blocks(block, server.folder / "data")
        block.unlink()
    with server:
        samples += fleet.send_latest(server.url, began, int(time.time()))
        print(f"  {nodes} nodes: {samples / 1e6:.0f} million samples", file=sys.stderr)
        yield server


def measure(nodes: int, prepared: Prepared, rounds: int = 3) -> Row:
    """Seconds and processor seconds of the rounds, queries, peak memory of the command."""
    with (
        tempfile.TemporaryDirectory(prefix="agentaflow-bench-") as name,
        prepared(nodes, Path(name)) as prometheus,
    ):
        prometheus.wait_for("agentaflow_gpu_up")
        before = prometheus.program.processor_seconds()
        runs = [_run(prometheus.url) for _ in range(rounds)]
        served = (prometheus.program.processor_seconds() - before) / rounds
    seconds = sorted(run.seconds for run in runs)
    first = runs[0].answer
    return {
        "nodes": nodes,
        "gpus": nodes * 8,
        "seconds_best": round(seconds[0], 2),
        "seconds_median": round(seconds[len(seconds) // 2], 2),
        "asking": round(min(run.asking for run in runs), 2),
        "cpu_ours": round(min(run.processor for run in runs), 2),
        "cpu_prometheus": round(served, 2),
        "queries": len(first["queries"]),
        "recommendations": len(first["recommendations"]),
        "rss_mib": round(max(run.mib for run in runs), 1),
    }


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: wall and processor seconds, peak RSS in MiB, what it said."""

    seconds: float
    asking: float  # a part of them: what the queries took, by as many as are asked at once
    processor: float
    mib: float
    answer: dict[str, Any]


def _run(url: str) -> Run:
    command = [str(BIN / "agentaflow"), "recommend", f"--prometheus-url={url}", "--window=24h"]
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    with tempfile.TemporaryDirectory() as state:
        command += ["-o", "json", f"--journal={state}/journal.db"]
        started = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as run:
            assert run.stdout is not None
            printed = run.stdout.read()
            _, status, usage = os.wait4(run.pid, 0)
            run.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
    assert run.returncode == 0
    answer = json.loads(printed)
    return Run(
        seconds,
        sum(query["seconds"] for query in answer["queries"]) / AT_ONCE,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
        answer,
    )
