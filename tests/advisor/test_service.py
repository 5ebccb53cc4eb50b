"""serve: the loop keeps its advice, acts where it may, tells how it is, and stops in time."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from agentaflow_advisor.advice import load_prices
from agentaflow_advisor.configuration import load
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import State
from agentaflow_advisor.service import Service
from agentaflow_exporter.log import Log
from tests.support.cli import Cli
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.support.fake_prometheus import Card, FakePrometheus, fake_prometheus
from tools.processes import eventually

AGENTAFLOW = Path(sys.executable).parent / "agentaflow"
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
SCHEMA = DOCS.with_name("recommendation.schema.json")
DEADLINE_SECONDS = 20.0
DOWN = (500, "text/plain", b"down")
ONE = "agentaflow_advisor_recommendation_"
CARDS = (Card("node-0", 0, busy=0.0, pod="research/notebook"), Card("node-0", 1, busy=0.8))

LISTENING = r'listening on ([^" ]+)'


@dataclass
class Running:
    """A `serve` process and its address."""

    process: subprocess.Popen[str]
    url: str

    def get(self, path: str) -> tuple[int, str]:
        try:
            with build_opener(ProxyHandler({})).open(self.url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def advice(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.get("/api/v1/recommendations")[1])
        return answer

    def metrics(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Value by name and label values."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in families
            for sample in family.samples
        }

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """The exit code, and how long it took."""
        started = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS), time.monotonic() - started


@dataclass
class Start:
    """Starts `serve` with a short interval on a free port; all are stopped in the end."""

    folder: Path
    running: list[Running] = field(default_factory=list)

    def __call__(self, prometheus_url: str, *options: str) -> Running:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        process = subprocess.Popen(
            [
                AGENTAFLOW, "serve", "--prometheus-url", prometheus_url, "--interval", "1s",
                "--listen-address", "127.0.0.1:0", "--journal", str(self.folder / "journal.db"),
                *options,
            ],
            stderr=subprocess.PIPE, text=True, env={**kept, "HOME": str(self.folder)},
        )  # fmt: skip
        assert process.stderr
        first = process.stderr.readline()
        assert 'msg="listening on ' in first, first
        threading.Thread(target=process.stderr.read, daemon=True).start()
        self.running.append(Running(process, f"http://{re.findall(LISTENING, first)[0]}"))
        return self.running[-1]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """What was started is killed, whatever the test found."""
    made = Start(tmp_path)
    yield made
    for running in made.running:
        running.process.kill()
        running.process.wait()
        assert running.process.stderr
        running.process.stderr.close()


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    """One idle and one busy GPU."""
    with fake_prometheus(*CARDS) as fake:
        yield fake


def test_it_gets_ready_and_answers(start: Start, prometheus: FakePrometheus) -> None:
    """Healthy at once, ready after the first look, and then the advice is there."""
    running = start(prometheus.url)
    assert running.get("/-/healthy") == (200, "healthy\n")
    eventually(lambda: running.get("/-/ready")[0] == 200, what="ready")
    advice = running.advice()
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(advice)
    assert advice["stale"] is False
    assert [each["kind"] for each in advice["recommendations"]] == ["idle-gpu"]
    assert running.get("/")[0] == 200
    assert running.get("/nowhere")[0] == 404


def test_its_metrics_are_valid_documented_and_true(
    start: Start, prometheus: FakePrometheus
) -> None:
    """prometheus_client's parser reads them, docs/cli.md lists them, and they say what was seen."""
    running = start(prometheus.url)
    eventually(lambda: running.get("/-/ready")[0] == 200, what="ready")
    metrics = running.metrics()
    number = "agentaflow_advisor_recommendations"
    assert metrics[number, ("", "idle-gpu", "active")] == 1
    assert metrics[number, ("", "idle-gpu", "dismissed")] == 0
    saving = metrics[f"{ONE}savings_per_month", ("", "USD", "idle-gpu")]
    assert saving == pytest.approx(3759.0, abs=1)
    assert metrics[f"{ONE}savings_together_per_month", ("", "USD")] == saving
    assert [labels for name, labels in metrics if name == f"{ONE}info"]
    (seen,) = (value for (name, _), value in metrics.items() if "first_seen" in name)
    assert time.time() - seen < 60
    assert metrics["agentaflow_advisor_queries_total", ()] >= 11
    assert ("agentaflow_advisor_decisions", ("proposed",)) not in metrics
    documentation = DOCS.read_text()
    for family in text_string_to_metric_families(running.get("/metrics")[1]):
        total = "_total" if family.type == "counter" else ""
        assert f"`{family.name}{total}" in documentation


def test_the_last_advice_stays_while_prometheus_is_down(
    start: Start, prometheus: FakePrometheus
) -> None:
    """Marked as stale with the reason, counted as failures, and renewed once it answers again."""
    running = start(prometheus.url, "--ready-max-age", "1h")
    eventually(lambda: running.get("/-/ready")[0] == 200, what="ready")
    prometheus.broken = DOWN
    eventually(lambda: bool(running.advice()["stale"]), what="stale")
    advice = running.advice()
    assert advice["error"]
    assert len(advice["recommendations"]) == 1
    assert running.get("/-/ready")[0] == 200
    metrics = running.metrics()
    assert metrics["agentaflow_advisor_advice_stale", ()] == 1
    assert metrics["agentaflow_advisor_cycle_failures_total", ("observe",)] >= 1
    prometheus.broken = None
    eventually(lambda: not running.advice()["stale"], what="renewed")


def test_it_is_not_ready_before_it_has_seen_anything(start: Start) -> None:
    """A load balancer must not send anybody to an advisor that knows nothing."""
    running = start("http://127.0.0.1:9")
    eventually(lambda: "cannot reach" in running.get("/-/ready")[1], what="the reason")
    assert running.get("/-/ready")[0] == 503
    assert running.get("/api/v1/recommendations")[0] == 503
    assert running.get("/-/healthy")[0] == 200


def test_what_a_person_hid_is_left_out_at_the_next_look(
    start: Start, prometheus: FakePrometheus, cli: Cli
) -> None:
    """Over HTTP and in the sums; `?all=true` has it, and the metrics count it as dismissed."""
    running = start(prometheus.url)
    eventually(lambda: running.get("/-/ready")[0] == 200, what="ready")
    (found,) = running.advice()["recommendations"]
    assert cli("recommendations", "dismiss", found["id"], "--reason", "meant so").code == 0
    eventually(lambda: running.advice()["recommendations"] == [], what="hidden")
    assert running.advice()["hidden"] == {"dismissed": 1, "snoozed": 0}
    assert running.advice()["saves_per_month"] == []
    (shown,) = json.loads(running.get("/api/v1/recommendations?all=true")[1])["recommendations"]
    assert (shown["state"], shown["history"]["reason"]) == ("dismissed", "meant so")
    metrics = running.metrics()
    assert metrics["agentaflow_advisor_recommendations", ("", "idle-gpu", "dismissed")] == 1
    assert not [name for name, _ in metrics if name == f"{ONE}info"]


def test_a_history_that_cannot_be_written_costs_the_age_and_not_the_advice(
    start: Start, prometheus: FakePrometheus, tmp_path: Path
) -> None:
    """The loop goes on, and a counter says that something is wrong."""
    (tmp_path / "file").touch()
    running = start(prometheus.url, "--history", str(tmp_path / "file" / "history.db"))
    eventually(lambda: running.get("/-/ready")[0] == 200, what="ready")
    assert [each["history"] for each in running.advice()["recommendations"]] == [None]
    failures = "agentaflow_advisor_cycle_failures_total"
    assert running.metrics()[failures, ("record",)] >= 1


def test_silent_clients_do_not_matter(start: Start, prometheus: FakePrometheus) -> None:
    """Forty connections that never ask anything hold nobody up."""
    running = start(prometheus.url)
    address = running.url.removeprefix("http://").split(":")
    silent = [socket.create_connection((address[0], int(address[1]))) for _ in range(40)]
    try:
        started = time.monotonic()
        assert running.get("/-/healthy")[0] == 200
        assert time.monotonic() - started < 2
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_code_0(
    start: Start, prometheus: FakePrometheus, number: signal.Signals
) -> None:
    """Well within the ten seconds that are promised."""
    running = start(prometheus.url)
    eventually(lambda: running.get("/-/ready")[0] == 200, what="ready")
    code, seconds = running.stop(number)
    assert code == 0
    assert seconds < 10


def test_a_signal_ends_it_even_while_prometheus_does_not_answer(start: Start) -> None:
    """A look that hangs is given up."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        running = start(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        connection, _ = deaf.accept()
        with connection:
            code, seconds = running.stop()
    assert code == 0
    assert seconds < 10


def test_an_address_that_is_taken_is_told(cli: Cli, prometheus: FakePrometheus) -> None:
    """One line and code 2, before the loop begins."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = cli("serve", "--listen-address", address, "--prometheus-url", prometheus.url)
    assert ran.code == 2
    assert address in ran.error


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeKubernetes]:
    """One node of four GPUs, and a pod that waits for two."""
    with fake_kubernetes(tmp_path, {"node-0": 4}) as fake:
        fake.add_pod("train", gpus=2)
        yield fake


def test_with_a_channel_it_proposes_and_carries_out_what_is_approved(
    start: Start, prometheus: FakePrometheus, cluster: FakeKubernetes, cli: Cli
) -> None:
    """An approval by hand is all that a waiting pod needs; the loop does the rest."""
    running = start(
        prometheus.url, "--channel", "scheduling-gate", "--kubeconfig", str(cluster.kubeconfig)
    )
    state = "agentaflow_advisor_decisions"
    eventually(lambda: running.metrics().get((state, ("proposed",))) == 1, what="proposed")
    (decision,) = cli("journal", "list", "-o", "json").json["decisions"]
    assert decision["actor"].endswith("(serve)")
    assert cluster.accepted == []
    assert cli("approve", decision["id"]).code == 0
    eventually(lambda: running.metrics()[state, ("verified",)] == 1, what="verified")
    assert len(cluster.accepted) == 1


def service(folder: Path, url: str, cluster: FakeKubernetes, notes: io.StringIO) -> Service:
    """The loop's body without its thread."""
    settings = load(
        None,
        {
            "prometheus_url": url,
            "kubeconfig": cluster.kubeconfig,
            "journal": folder / "journal.db",
            "channels": ["scheduling-gate"],
            "interval_seconds": "60s",
        },
    )
    stop = threading.Event()
    return Service(settings, load_prices(settings), stop, actor="test", log=Log(stream=notes))


def test_nothing_is_decided_on_what_was_not_seen(
    tmp_path: Path, prometheus: FakePrometheus, cluster: FakeKubernetes
) -> None:
    """While Prometheus is down there is no proposal, and an approval waits."""
    prometheus.broken = DOWN
    notes = io.StringIO()
    service(tmp_path, prometheus.url, cluster, notes).cycle()
    assert notes.getvalue()
    assert not (tmp_path / "journal.db").exists()


def test_failures_are_tried_again_sooner_and_then_later(
    tmp_path: Path, prometheus: FakePrometheus, cluster: FakeKubernetes
) -> None:
    """From a second upwards with jitter, never beyond the interval, and reset by a success."""
    loop = service(tmp_path, prometheus.url, cluster, io.StringIO())
    assert loop.pause_seconds() == 60
    prometheus.broken = DOWN
    pauses = []
    for _ in range(8):
        loop.cycle()
        pauses.append(loop.pause_seconds())
    assert pauses[0] <= 1
    assert all(0.5 * 2**n <= pause <= 2**n for n, pause in enumerate(pauses[:6]))
    assert 30 <= pauses[-1] <= 60
    prometheus.broken = None
    loop.cycle()
    assert loop.pause_seconds() == 60


def test_a_journal_that_is_busy_costs_the_acting_and_not_the_advice(
    tmp_path: Path, prometheus: FakePrometheus, cluster: FakeKubernetes
) -> None:
    """Another process carries decisions out: the advice is fresh all the same."""
    loop = service(tmp_path, prometheus.url, cluster, io.StringIO())
    with Journal(tmp_path / "journal.db") as journal, journal.acting():
        loop.cycle()
    assert loop.status.failures == {"act": 1}
    assert loop.status.advice is not None
    assert not loop.status.stale


def test_a_stop_while_the_api_is_silent_leaves_the_decision_to_the_next_start(
    tmp_path: Path, prometheus: FakePrometheus, cluster: FakeKubernetes
) -> None:
    """The journal says intended; the next start settles it exactly once."""
    loop = service(tmp_path, prometheus.url, cluster, io.StringIO())
    loop.cycle()
    with Journal(tmp_path / "journal.db") as journal:
        (proposed,) = journal.list()
        journal.transition(proposed.id, State.APPROVED, actor="alice", at=time.time())
        cluster.faults = iter(["500 before"])
        loop.stop.set()
        loop.cycle()
        assert journal.get(proposed.id).state is State.INTENDED
        service(tmp_path, prometheus.url, cluster, io.StringIO()).cycle()
        assert journal.get(proposed.id).state is State.VERIFIED
    assert len(cluster.accepted) == 1


def test_a_cycle_by_itself_leaves_no_thread_behind(
    tmp_path: Path, prometheus: FakePrometheus, cluster: FakeKubernetes
) -> None:
    """Only the loop follows the cluster, and it ends what it began."""
    before = set(threading.enumerate())
    service(tmp_path, prometheus.url, cluster, io.StringIO()).cycle()
    left = set(threading.enumerate()) - before
    assert not [thread.name for thread in left if thread.name.startswith("watch")]
