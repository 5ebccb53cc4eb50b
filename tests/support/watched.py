"""A simulated fleet under both families of names, a Prometheus with its past, and the advisor.

What the recording rules would have recorded of that past is there too.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.promql import EVERYTHING, substituted
from tests.support.recorded import record
from tools.processes import Program, free_port
from tools.prometheus import OPENER, PrometheusServer

NODES, GPUS_PER_NODE, SEED = 8, 4, 42  # whose hot node has H100s: they tell all that is drawn
SHAPE = [f"--nodes={NODES}", f"--gpus-per-node={GPUS_PER_NODE}", f"--seed={SEED}", "--compat=dcgm"]
STEP = 60
SCRAPE = 10  # seconds between two scrapes, which is also the longest that one may take
LAST_HOUR = {**EVERYTHING, "$__rate_interval": "4m", "$__range": "1h"}
BIN = Path(sys.executable).parent
RULES = sorted((Path(__file__).parents[2] / "alerts" / "rules").glob("*.yaml"))


@dataclass(frozen=True, slots=True)
class Watched:
    """A simulated fleet under a Prometheus that knows its last hours."""

    prometheus: PrometheusServer
    now: float
    past: float  # until then samples are `STEP` apart, from then on they are scraped

    def ask(self, target: dict[str, Any], **chosen: str) -> list[dict[str, Any]]:
        """What Grafana would get for the last hour, a point a minute."""
        return list(self._answer(target, chosen)["result"])

    def samples(self, target: dict[str, Any]) -> int:
        """How many samples of the past Prometheus loads to answer: of times between those of the
        samples, as a range that ends on one has one more before Prometheus 3.
        """
        stats = replace(self, now=self.past - 0.5)._answer(target, {}, stats="all")["stats"]
        return int(stats["samples"]["totalQueryableSamples"])

    def series(self, selector: str, *, past: bool = False) -> float:
        """How many series it finds, of the last hour until now, or until the past ends."""
        count = f"count(last_over_time({selector}[1h]))"
        at = self.past if past else self.now
        found = self.prometheus.get("/api/v1/query", query=count, time=at)["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def gpus(self, promql: str) -> set[tuple[str, int]]:
        rows = self.ask({"expr": promql, "instant": True})
        return {(row["metric"]["node"], int(row["metric"]["gpu"])) for row in rows}

    def _answer(self, target: dict[str, Any], chosen: dict[str, str], **more: str) -> Any:
        query = substituted(target["expr"], {**LAST_HOUR, **chosen})
        if target["instant"]:
            return self.prometheus.get("/api/v1/query", query=query, time=self.now, **more)
        span = {"start": self.now - 3600, "end": self.now, "step": f"{STEP}s"}
        return self.prometheus.get("/api/v1/query_range", query=query, **span, **more)


@contextlib.contextmanager
def watched_fleet(folder: Path, hours: int, window: str, *, step: int = STEP) -> Iterator[Watched]:
    """All of it on loopback, until the block ends. The advisor looks `window` back.

    step: seconds between two samples of the past.
    """
    past = folder / "history.om"
    program = BIN / "agentaflow-exporter"
    backfill = [f"--backfill={hours}h", f"--step={step}s", f"--output={past}"]
    subprocess.run([program, "simulate", *SHAPE, *backfill], check=True, timeout=400)
    end = int(past.stat().st_mtime)
    exporter, advisor = (f"127.0.0.1:{free_port()}" for _ in range(2))
    server = PrometheusServer(
        folder / "prometheus",
        http_sd=f"http://{exporter}/sd",
        scrape_interval=f"{SCRAPE}s",
        blocks_from=past,
        rule_files=RULES,
        advisor=advisor,
    )
    with contextlib.ExitStack() as stack:
        command: list[str | Path] = [program, "simulate", *SHAPE]
        simulator = Program(
            [*command, f"--web.listen-address={exporter}"], folder / "simulator.log"
        )
        stack.callback(simulator.stop)
        simulator.wait_until(lambda: _answers(f"http://{exporter}/sd"), seconds=30)
        prometheus = stack.enter_context(server)
        since = end - hours * 3600
        record(prometheus, ["agentaflow"], since, end, folder / "rules", also=["fleet"])
        # two scrapes of each: rates need them, and info metrics join on the first
        prometheus.wait_for(f"count(count_over_time(agentaflow_gpu_devices[1m]) > 2) == {NODES}")
        serve = _advisor(folder, prometheus.url, advisor, window)
        stack.callback(serve.stop)
        serve.wait_until(lambda: _answers(f"http://{advisor}/-/ready"), seconds=60)
        cycles = "rate(agentaflow_advisor_cycle_duration_seconds_count[1m]) > 0"
        prometheus.wait_for(
            f"{cycles} and on () agentaflow_advisor_recommendation_saving_per_month", 60
        )
        now = float(prometheus.query("time()")[1])  # type: ignore[arg-type]
        yield Watched(prometheus, now, end)


def _advisor(folder: Path, prometheus_url: str, address: str, window: str) -> Program:
    return Program(
        [
            BIN / "agentaflow",
            "serve",
            f"--prometheus-url={prometheus_url}",
            f"--journal={folder / 'journal.db'}",
            f"--listen-address={address}",
        ],
        folder / "advisor.log",
        environment={
            **os.environ,
            "KUBECONFIG": os.devnull,
            "AGENTAFLOW_WINDOW_SECONDS": window,
            "AGENTAFLOW_INTERVAL_SECONDS": "5s",
        },
    )


def _answers(url: str) -> bool:
    try:
        with OPENER.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
