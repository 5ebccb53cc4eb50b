"""Is the advice true? Verdicts held against what is known to be so, on a real Prometheus.

python -m bench truth [--duty FOLDER]

FOLDER holds pod_gpu_duty_cycle_anon.csv of Alibaba's GenTD26 trace: the duty cycles of real
inference pods over 22.8 h. Its licence lets it be studied, not passed on.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentaflow_exporter.simulated import SimulatedFleet
from bench.table import Row, show, verdict
from tests.support.history import History, always
from tools.prometheus import JOB, PrometheusServer
from tools.terminal import BIN

PRECISION_GOAL, RECALL_GOAL = 0.99, 0.9
WASTED = ("idle_notebook", "forgotten_process", "unallocated")
IDLE_KINDS = ("idle-gpu", "forgotten-process", "unallocated-gpu")
SEEDS = (7, 11, 23)
NODES, GPUS = 8, 8
HOUR = 3600
DUTY = "pod_gpu_duty_cycle_anon.csv"
IDLE_PERCENT = 5.0  # what the setting idle_maximum_ratio says

# By hand: p5.48xlarge in us-east-1 of 2026-07-20 is 55.04 USD/h for 8 GPUs, 192 vCPUs, 2048 GiB.
# Without 192 x 0.0356667 and 2048 x 0.0034167 USD/h, by 8, times 730 h.
HAND_SAVING = Decimal("3759.01")
# One node of it for 24 h.
HAND_COST = Decimal("1320.96")


@dataclass(frozen=True, slots=True)
class Score:
    """Verdicts of one kind against the truth."""

    right: int
    wrong: int  # called so, and not so
    missed: int
    judged: int

    @classmethod
    def of(cls, said: set[str], true: set[str], judged: int) -> Score:
        return cls(len(said & true), len(said - true), len(true - said), judged)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    def row(self, what: str) -> Row:
        return {
            "verdicts on": what,
            "judged": self.judged,
            "idle": self.right + self.missed,
            "right": self.right,
            "wrong": self.wrong,
            "missed": self.missed,
            "precision": round(self.precision, 3),
            "recall": round(self.recall, 3),
        }


def main(duty: Path | None) -> bool:
    scores = {f"the simulator's stories, {names}": stories(names) for names in ("own", "dcgm")}
    if duty is None:
        print("real inference pods: skipped, give --duty FOLDER", file=sys.stderr)
    else:
        scores["real inference pods, as DCGM names"] = real_pods(duty / DUTY)
    show("idle verdicts", [score.row(what) for what, score in scores.items()])
    met = [good(what, score) for what, score in scores.items()]
    return all((*met, bad_data(), money()))


def good(what: str, score: Score) -> bool:
    precision, recall = score.precision >= PRECISION_GOAL, score.recall >= RECALL_GOAL
    verdict(f"{what}: precision {score.precision:.3f}", precision, f"{PRECISION_GOAL}")
    verdict(f"{what}: recall {score.recall:.3f}", recall, f"{RECALL_GOAL}")
    return precision and recall


def stories(names: str) -> Score:
    """Fleets of several seeds, a day of them, under our own or under DCGM's names."""
    total = Score(0, 0, 0, 0)
    for seed in SEEDS:
        with tempfile.TemporaryDirectory(prefix="agentaflow-truth-") as name:
            file = Path(name) / "history.om"
            more = [] if names == "own" else [f"--compat={names}", "--no-metrics.own"]
            command = [str(BIN / "agentaflow-exporter"), "simulate", f"--nodes={NODES}"]
            command += [f"--gpus-per-node={GPUS}", f"--seed={seed}", "--backfill=25h"]
            subprocess.run([*command, f"--output={file}", *more], check=True, capture_output=True)
            with stored(Path(name), file) as url:
                said = idle_gpus(url, "24h")
        fleet = SimulatedFleet(NODES, GPUS, seed, time.time)
        told = [fleet.truth(node, gpu) for node in fleet.nodes for gpu in range(GPUS)]
        true = {one.uuid for one in told if one.name in WASTED}
        one = Score.of(said, true, len(told))
        total = Score(
            total.right + one.right,
            total.wrong + one.wrong,
            total.missed + one.missed,
            total.judged + one.judged,
        )
    return total


def real_pods(file: Path) -> Score:
    """Each hour of each pod is a GPU whose DCGM_FI_DEV_GPU_UTIL is its duty cycle, ending now.

    Hours, since no pod of the trace that lasts is idle for longer than three.
    """
    hours: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    with file.open() as rows:
        for row in csv.DictReader(rows):
            at, value = float(row["timestamp_anon"]), float(row["value"])
            hours[f"{row['container_ip']}-{at // HOUR:.0f}"].append((at % HOUR, value))
    whole = {name: sorted(hour) for name, hour in hours.items() if len(hour) > 60}
    start = int(time.time()) - HOUR
    lines = ["# TYPE DCGM_FI_DEV_GPU_UTIL gauge\n"]
    for name, hour in whole.items():
        labels = f'job="{JOB}",instance="{name}",Hostname="{name}",gpu="0",UUID="GPU-{name}"'
        labels += f',modelName="NVIDIA H100 80GB HBM3",namespace="inference",pod="{name}"'
        lines += [
            f"DCGM_FI_DEV_GPU_UTIL{{{labels}}} {value:g} {start + at:.0f}\n" for at, value in hour
        ]
    with tempfile.TemporaryDirectory(prefix="agentaflow-truth-") as folder:
        history = Path(folder) / "history.om"
        history.write_text("".join([*lines, "# EOF\n"]))
        with stored(Path(folder), history) as url:
            said = idle_gpus(url, "1h")
    true = {
        f"GPU-{name}"
        for name, hour in whole.items()
        if all(value <= IDLE_PERCENT for _, value in hour)
    }
    return Score.of(said, true, len(whole))


def bad_data() -> bool:
    """GPUs whose data prove nothing, and one that is idle: only that one may be called so."""
    now = int(time.time())
    history = History(range(now - 25 * HOUR, now, 60))
    half = now - 12 * HOUR

    def gpu(name: str, value: Any, up: float = 1.0) -> None:
        labels = {"job": JOB, "instance": name, "node": name, "gpu": "0", "uuid": f"GPU-{name}"}
        history.add("agentaflow_gpu_up", labels, always(up))
        history.add("agentaflow_gpu_info", {**labels, "name": "NVIDIA L4"}, always(1))
        engine = {**labels, "engine": "gpu"}
        history.add("agentaflow_gpu_utilization_ratio", engine, value)

    gpu("idle", always(0.0))
    cases = {
        "empty": lambda _: None,
        "stale": lambda at: 0.0 if at < now - HOUR else None,
        "new": lambda at: 0.0 if at > now - HOUR else None,
        "nan": lambda at: "NaN" if at == history.times[700] else 0.0,
        "infinite": lambda at: "+Inf" if at == history.times[700] else 0.0,
        "gap": lambda at: None if half < at < half + 4 * HOUR else 0.0,
        "sparse": lambda at: 0.0 if (at - history.times[0]) % 1800 == 0 else None,
        "nonsense": lambda _: 42.0,
        "negative": lambda _: -1.0,
        "once": lambda at: 0.9 if at == history.times[700] else 0.0,
        "lost": lambda _: 0.0,
    }
    for name, value in cases.items():
        gpu(name, value, up=0.0 if name == "lost" else 1.0)
    with tempfile.TemporaryDirectory(prefix="agentaflow-truth-") as folder:
        file = history.write(Path(folder) / "history.om")
        with stored(Path(folder), file) as url:
            said = idle_gpus(url, "24h")
    wrong = sorted(said - {"GPU-idle"})
    right = verdict("the one idle GPU among bad data was found", "GPU-idle" in said, "found")
    text = f"wrong verdicts on bad data: {len(wrong)} of {len(cases)} {' '.join(wrong)}".rstrip()
    return verdict(text, not wrong, "0") and right


def money() -> bool:
    """A node of eight idle GPUs for a day, against a calculation by hand."""
    now = int(time.time())
    history = History(range(now - 25 * HOUR, now, 60))
    for index in range(GPUS):
        labels = {"job": JOB, "instance": "n", "node": "n", "gpu": str(index)}
        labels["uuid"] = f"GPU-{index}"
        history.add("agentaflow_gpu_up", labels, always(1))
        name = {**labels, "name": "NVIDIA H100 80GB HBM3"}
        history.add("agentaflow_gpu_info", name, always(1))
        engine = {**labels, "engine": "gpu"}
        history.add("agentaflow_gpu_utilization_ratio", engine, always(0.0))
    with tempfile.TemporaryDirectory(prefix="agentaflow-truth-") as folder:
        file = history.write(Path(folder) / "history.om")
        with stored(Path(folder), file) as url:
            first = advice(url, "24h")["recommendations"][0]
            saving = Decimal(first["saves"]["per_month"]["amount"])
            report = agentaflow("report", "cost", f"--prometheus-url={url}", "--window=24h")
            cost = Decimal(report["total"]["cost"]["amount"])
    return within("saving of an idle H100 a month", saving, HAND_SAVING) and within(
        "cost of its node for a day", cost, HAND_COST
    )


def within(what: str, said: Decimal, hand: Decimal) -> bool:
    off = abs(said - hand) / hand
    text = f"{what}: {said:.2f} USD, by hand {hand} USD, {float(off):.2%} off"
    return verdict(text, off <= Decimal("0.01"), "at most 1 %")


@contextmanager
def stored(folder: Path, history: Path) -> Iterator[str]:
    with PrometheusServer(folder / "prometheus", blocks_from=history) as prometheus:
        yield prometheus.url


def idle_gpus(url: str, window: str) -> set[str]:
    """The uuids that are called idle."""
    found: Iterable[dict[str, Any]] = advice(url, window)["recommendations"]
    return {one["where"]["uuid"] for one in found if one["kind"] in IDLE_KINDS}


def advice(url: str, window: str) -> dict[str, Any]:
    return agentaflow("recommend", f"--prometheus-url={url}", f"--window={window}", "--no-record")


def agentaflow(*words: str) -> dict[str, Any]:
    command = [str(BIN / "agentaflow"), *words, "-o", "json"]
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(words)}: {ended.stderr.strip()}")
    document: dict[str, Any] = json.loads(ended.stdout)
    return document
