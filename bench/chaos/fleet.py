"""The GPUs that are acted on: simulated exporters, a real Prometheus, and what it lies."""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentaflow_advisor.advice import observe
from agentaflow_advisor.configuration import load
from agentaflow_advisor.cycle import PLACE_SIGNALS, propose_placements
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, Evidence
from agentaflow_advisor.observe.cluster import connect
from agentaflow_advisor.observe.errors import ObserveError
from agentaflow_advisor.observe.prometheus import Prometheus
from bench.chaos.faults import STALE_SECONDS
from tests.support.loopback import Answer
from tests.support.prometheus_proxy import PrometheusProxy
from tools.processes import Program, eventually, free_port
from tools.prometheus import OPENER, PrometheusServer

NODES, GPUS = 6, 8
GROUND = 'agentaflow_gpu_utilization_ratio{engine="gpu"}'
LOOKS = 100  # tries, at most, to see anything through all the faults
METRIC_LIES = ("empty", "NaN", "stale")
TIME_LIES = ("NaN", "empty", "stale", "no answer")


class Liar:
    """Falsifies answers as a broken Prometheus, or a cache before it, might.

    `metrics` is the lie about all that it measured; the time is falsified by chance.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.calm, self.metrics = False, ""
        self.due = list(TIME_LIES)  # each once, then by chance
        self.told: Counter[str] = Counter()

    def __call__(self, query: str, content: dict[str, Any]) -> None:
        if query != "time()":
            if self.metrics:
                self.told[f"metrics {self.metrics}"] += 1
                _falsify_metrics(self.metrics, query, content)
        elif not self.calm and self.random.random() < 0.04:
            lie = self.due.pop() if self.due else self.random.choice(TIME_LIES)
            self.told[f"time {lie}"] += 1
            _falsify_time(lie, content)


def _falsify_time(lie: str, content: dict[str, Any]) -> None:
    match lie:
        case "NaN":
            content["data"]["result"][1] = "NaN"
        case "empty":
            content["data"] = {"resultType": "vector", "result": []}
        case "stale":
            content["data"]["result"][1] = str(time.time() - STALE_SECONDS)
        case "no answer":
            content["status"] = "error"


def _falsify_metrics(lie: str, query: str, content: dict[str, Any]) -> None:
    series = content.get("data", {}).get("result")
    if not isinstance(series, list) or content["data"].get("resultType") != "vector":
        return
    if lie == "empty":
        content["data"]["result"] = []
    for one in content["data"]["result"]:
        if lie == "NaN":
            one["value"][1] = "NaN"
        elif "timestamp(" in query:  # the age of the newest sample
            one["value"][1] = str(float(one["value"][1]) + STALE_SECONDS)


class DyingProxy(PrometheusProxy):
    """Counts what it was asked while Prometheus was dead, and answers as a proxy does then."""

    met = 0

    def handle(self, method: str, path: str, body: bytes) -> Answer:
        try:
            return super().handle(method, path, body)
        except (OSError, json.JSONDecodeError, EOFError):
            self.met += 1
            return 502, "text/html", b"<h1>502 Bad Gateway</h1>"


@contextmanager
def fleet(folder: Path) -> Iterator[PrometheusServer]:
    """A Prometheus that scrapes the simulated fleet, and has seen all of it."""
    address = f"127.0.0.1:{free_port()}"
    program = Path(sys.executable).parent / "agentaflow-exporter"
    shape = [f"--nodes={NODES}", f"--gpus-per-node={GPUS}", "--seed=7"]
    simulator = Program(
        [program, "simulate", *shape, f"--web.listen-address={address}"], folder / "fleet.log"
    )
    try:
        url = f"http://{address}/sd"
        simulator.wait_until(lambda: _answers(url), seconds=60)
        with PrometheusServer(
            folder / "prometheus", http_sd=url, scrape_interval="5s"
        ) as prometheus:
            seen = f"count(count_over_time({GROUND}[5m]) >= 2) == {NODES * GPUS}"
            prometheus.wait_for(seen, 120)
            yield prometheus
    finally:
        simulator.stop()


def _answers(url: str) -> bool:
    try:
        with OPENER.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Advisor:
    """Looks at fleet and cluster through everything that fails, and proposes."""

    def __init__(self, prometheus_url: str, kubeconfig: Path, namespace: str) -> None:
        self.settings = load(
            None,
            {
                "prometheus_url": prometheus_url,
                "window_seconds": 300,
                "strategy": "least_utilized",
                "namespace": namespace,
            },
        )
        self.prometheus_url, self.kubeconfig = prometheus_url, kubeconfig
        self.failed: Counter[str] = Counter()

    def propose(self, journal: Journal) -> tuple[Decision, ...]:
        """What waits, placed on what Prometheus tells; looked again where a look fails."""

        def looked() -> tuple[Decision, ...] | None:
            try:
                with (
                    Prometheus(self.prometheus_url, timeout_seconds=10) as prometheus,
                    connect(self.kubeconfig, None) as client,
                ):
                    seen = observe(self.settings, prometheus, client, PLACE_SIGNALS)
            except ObserveError as error:
                self.failed[type(error).__name__] += 1
                return None
            now = time.time()
            made = propose_placements(self.settings, seen, journal, actor="chaos", now=now)
            return tuple(made.decisions.values())

        found = None
        for _ in range(LOOKS):
            if (found := looked()) is not None:
                break
        return found or ()

    def evidence(self, *, age_seconds: float) -> Evidence:
        """Of a real query, as if it had been asked that long ago."""

        def asked() -> tuple[Evidence, ...]:
            try:
                with Prometheus(self.prometheus_url, timeout_seconds=10) as prometheus:
                    answer = prometheus.ask(GROUND)
            except ObserveError as error:
                self.failed[type(error).__name__] += 1
                return ()
            at = answer.at - age_seconds
            return (Evidence((GROUND,), at, 1.0, len(answer.values)),) if answer.values else ()

        (found,) = eventually(asked, 60, what="evidence")
        return found
