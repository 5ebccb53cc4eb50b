"""A real Prometheus that is killed under the advisor's questions, again and again."""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentaflow_advisor.advice import load_prices
from agentaflow_advisor.configuration import load
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.service import Service
from agentaflow_exporter.backfill import Plan, write
from agentaflow_exporter.log import Log
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tools.processes import eventually
from tools.prometheus import PrometheusServer

KILLS, WARM = 50, 10
NODE, GPUS, SEED = "node-0", 8, 7
PATIENCE_SECONDS = 1.0  # of a question with its attempts
ABSENCES_SECONDS = (0.0, 0.9)  # shorter and, with its start, longer than that
GROWTH_BYTES = 24 * 2**20


@dataclass
class Watched:
    """The loop's body, and what it made of a look."""

    loop: Service
    journal: Journal
    cluster: FakeKubernetes
    prometheus: PrometheusServer

    def look(self) -> bool:
        """One cycle; whether it saw the fleet."""
        self.loop.cycle()
        return self.loop.status.error is None

    def advised(self) -> set[str]:
        assert self.loop.status.advice is not None
        return {each.id for each in self.loop.status.advice.active}

    def proposed(self, pod: str) -> int:
        return sum(each.action.name == pod for each in self.journal.list())

    @contextmanager
    def killing(self, after_seconds: float, absent_seconds: float) -> Iterator[None]:
        """Killed so long after the block began, and back by its end, whatever it does."""

        def strike() -> None:
            time.sleep(after_seconds)  # the time of a fault, not a wait for something
            self.prometheus.kill()
            time.sleep(absent_seconds)
            self.prometheus.start()

        striking = threading.Thread(target=strike)
        striking.start()
        try:
            yield
        finally:
            striking.join()


@pytest.fixture
def watched(tmp_path: Path, prometheus_binary: Path) -> Iterator[Watched]:
    """A node with two hours of history, and an advisor that may place what waits."""
    assert prometheus_binary
    history = tmp_path / "history.om"
    write(Plan.make(1, GPUS, SEED, end=time.time(), seconds=7200, step=30), history)
    with (
        PrometheusServer(tmp_path / "prometheus", blocks_from=history) as prometheus,
        fake_kubernetes(tmp_path, {NODE: GPUS}) as cluster,
        Journal(tmp_path / "journal.db") as journal,
    ):
        settings = load(
            None,
            {
                "prometheus_url": prometheus.url,
                "prometheus_timeout_seconds": PATIENCE_SECONDS,
                "kubeconfig": cluster.kubeconfig,
                "journal": journal.path,
                "channels": ["scheduling-gate"],
                "strategy": "least_utilized",
                "window_seconds": 3600,
            },
        )
        log = Log(stream=io.StringIO())
        loop = Service(settings, load_prices(settings), threading.Event(), actor="test", log=log)
        yield Watched(loop, journal, cluster, prometheus)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_killed_fifty_times_it_costs_looks_and_nothing_else(watched: Watched) -> None:
    """A look sees the whole fleet or none of it; advice is back within two; nothing piles up."""
    dice = random.Random(SEED)
    assert watched.look()
    began = time.monotonic()
    assert watched.look()
    one_look = time.monotonic() - began
    whole, lost, resident = watched.advised(), 0, 0
    threads = threading.active_count()
    assert whole
    for number in range(KILLS):
        pod, before = f"train-{number}", watched.loop.status.advice
        watched.cluster.add_pod(pod, gpus=1)
        with watched.killing(dice.uniform(0, one_look), dice.choice(ABSENCES_SECONDS)):
            seen = watched.look()
        if not seen:
            lost += 1
            assert watched.loop.status.advice is before
            assert (watched.loop.status.stale, watched.proposed(pod)) == (True, 0)
            assert watched.look() or watched.look()
        assert (watched.advised(), watched.proposed(pod)) == (whole, 1)
        del watched.cluster.objects[f"/api/v1/namespaces/research/pods/{pod}"]
        resident = resident_bytes() if number == WARM else resident
    assert lost >= KILLS / 10
    eventually(lambda: threading.active_count() <= threads, what="no thread is left over")
    assert resident_bytes() - resident < GROWTH_BYTES
