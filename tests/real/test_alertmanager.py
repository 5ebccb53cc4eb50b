"""An alert's way: a hot node, the exporter, Prometheus with our rules, Alertmanager, a webhook."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

from agentaflow_advisor.model import State
from agentaflow_advisor.notices import Notice, send
from agentaflow_exporter.simulated import SimulatedFleet
from tests.support.decisions import decision
from tests.support.loopback import Answer, serve
from tests.support.parts import need
from tools.alertmanager import AlertmanagerServer
from tools.processes import Program, eventually, free_port
from tools.programs import alertmanager_program
from tools.prometheus import OPENER, PrometheusServer

ALERTS = Path(__file__).parents[2] / "alerts"
CONFIG = ALERTS / "alertmanager.yaml"
NODES, GPUS_PER_NODE, SEED = 2, 8, 7
LABELS = {"cluster": "c", "node": "n"}
GPU = {**LABELS, "uuid": "GPU-0", "team": "gpu"}
ANOTHER = {**GPU, "uuid": "GPU-1"}
QUIET = ["active", "suppressed", "active"]  # the source, its target, what it leaves alone


class Webhook:
    """What Alertmanager told of the simulated fleet, by receiver."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.Lock()

    def answer(self, _: str, path: str, body: bytes) -> Answer:
        with self._lock:
            self.told += [(path.strip("/"), alert) for alert in json.loads(body)["alerts"]]
        return 200, "text/plain", b""

    def alerts(self, receiver: str, name: str, status: str = "firing") -> list[dict[str, Any]]:
        with self._lock:
            return [
                alert
                for where, alert in self.told
                if (where, alert["labels"]["alertname"], alert["status"])
                == (receiver, name, status)
                and alert["labels"]["cluster"] == "simulated"
            ]


@pytest.fixture(scope="module")
def amtool() -> Path:
    path = alertmanager_program("amtool")
    need("amtool", path is not None)
    assert path is not None
    return path


@pytest.fixture(scope="module")
def webhook() -> Webhook:
    return Webhook()


@pytest.fixture(scope="module")
def alertmanager(
    webhook: Webhook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AlertmanagerServer]:
    """With the example's routes and inhibitions; only its waits are shorter."""
    need("alertmanager", alertmanager_program("alertmanager") is not None)
    with serve(webhook.answer) as url:
        config = CONFIG.read_text().replace("http://127.0.0.1:9099", url)
        config = re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", config)
        with AlertmanagerServer(tmp_path_factory.mktemp("alertmanager"), config) as server:
            yield server


def test_the_example_is_valid(amtool: Path) -> None:
    """Alertmanager's own tool takes the file as it is."""
    ended = run(amtool, "check-config", CONFIG)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 inhibit rules" in ended.stdout


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("severity=critical team=gpu", "pager"),
        ("severity=warning team=gpu", "tickets"),
        ("severity=info team=gpu", "log"),
        ("severity=warning team=finops", "finops"),
        ("severity=info team=finops", "finops"),
        ("severity=warning team=advisor", "advisor"),
        ("severity=warning", "tickets"),
    ],
)
def test_who_hears_of_what(amtool: Path, labels: str, receiver: str) -> None:
    """Severity and team decide."""
    ended = run(amtool, "config", "routes", "test", f"--config.file={CONFIG}", *labels.split())
    assert ended.stdout.strip() == receiver, ended.stderr


@pytest.mark.parametrize(
    ("source", "target", "free"),
    [
        pytest.param(
            {"alertname": "AgentaflowGpuNearShutdown", "severity": "critical", **GPU},
            {"alertname": "AgentaflowGpuTooHot", "severity": "warning", **GPU},
            {"alertname": "AgentaflowGpuTooHot", "severity": "warning", **ANOTHER},
            id="critical inhibits warning of the same GPU",
        ),
        pytest.param(
            {"alertname": "AgentaflowDriverDown", "severity": "critical", "team": "gpu", **LABELS},
            {"alertname": "AgentaflowGpuLost", "severity": "critical", **GPU},
            {"alertname": "AgentaflowGpuLost", "severity": "critical", **GPU, "node": "m"},
            id="driver down inhibits the GPUs of its node",
        ),
        pytest.param(
            {"alertname": "KubeNodeNotReady", "severity": "warning", **LABELS},
            {"alertname": "AgentaflowExporterDown", "severity": "warning", **GPU},
            {"alertname": "AgentaflowExporterDown", "severity": "warning", **GPU, "node": "m"},
            id="node down inhibits what we tell of it",
        ),
        pytest.param(
            {"alertname": "AgentaflowExporterDown", "severity": "warning", **LABELS, "team": "gpu"},
            {"alertname": "AgentaflowXidContained", "severity": "warning", **GPU},
            {"alertname": "AgentaflowXidContained", "severity": "warning", **GPU, "cluster": "d"},
            id="exporter down inhibits what it told last",
        ),
        pytest.param(
            {"alertname": "AgentaflowExporterDown", "severity": "warning", **LABELS, "team": "gpu"},
            {"alertname": "AgentaflowGpuTooHot", "severity": "warning", **GPU},
            {"alertname": "AgentaflowGpuLost", "severity": "critical", **GPU},
            id="exporter down leaves a page alone",
        ),
    ],
)
def test_what_is_kept_quiet(
    alertmanager: AlertmanagerServer,
    request: pytest.FixtureRequest,
    source: dict[str, str],
    target: dict[str, str],
    free: dict[str, str],
) -> None:
    """One alert silences the lesser one where they belong together, and nowhere else."""
    case = request.node.callspec.id
    ours = [
        {**labels, "cluster": f"{labels['cluster']} {case}"} for labels in (source, target, free)
    ]
    post(f"{alertmanager.url}/api/v2/alerts", [{"labels": labels} for labels in ours])

    found = eventually(
        lambda: told if (told := states(alertmanager, ours))[1:] == QUIET[1:] else None,
        30,
        what=case,
    )
    assert found == QUIET


@pytest.mark.parametrize("source", ["AgentaflowDriverDown", "NodeDown", "AgentaflowExporterDown"])
def test_an_alert_without_a_node_silences_no_cluster(
    alertmanager: AlertmanagerServer, source: str
) -> None:
    """Labels that both lack are equal to Alertmanager; a fleet without `node` is still heard."""
    here = {"cluster": f"nameless {source}", "team": "gpu"}
    down = {"alertname": source, "severity": "warning", "instance": "a", **here}
    page = {"alertname": "AgentaflowGpuNearShutdown", "severity": "critical", "uuid": "GPU-1"}
    hot = {"alertname": "AgentaflowGpuTooHot", "severity": "warning", "uuid": "GPU-1"}
    other = {"alertname": "AgentaflowGpuTooHot", "severity": "warning", "uuid": "GPU-2"}
    # The pair of one GPU shows that inhibition has been reckoned at all.
    ours = [{**labels, **here} for labels in (down, page, hot, other)]
    post(f"{alertmanager.url}/api/v2/alerts", [{"labels": labels} for labels in ours])
    found = eventually(
        lambda: told if (told := states(alertmanager, ours))[2] == "suppressed" else None,
        30,
        what=source,
    )
    assert found == ["active", "active", "suppressed", "active"]


def test_a_hot_node_reaches_the_webhook(
    alertmanager: AlertmanagerServer,
    webhook: Webhook,
    prometheus_binary: Path,  # noqa: ARG001 it skips where there is none
    tmp_path: Path,
) -> None:
    """GPUs of the badly cooled node, and no others, are told as too hot; stopped, as resolved."""
    rules = tmp_path / "agentaflow-thermal.yaml"
    text = (ALERTS / "rules" / rules.name).read_text()
    rules.write_text(re.sub(r"(for|keep_firing_for): 5m", r"\1: 2s", text))  # a test cannot wait
    address = f"127.0.0.1:{free_port()}"
    shape = [f"--nodes={NODES}", f"--gpus-per-node={GPUS_PER_NODE}", f"--seed={SEED}"]
    program = Path(sys.executable).parent / "agentaflow-exporter"
    command: list[str | Path] = [program, "simulate", *shape, f"--web.listen-address={address}"]
    simulator = Program(command, tmp_path / "simulator.log")
    try:
        simulator.wait_until(lambda: answers(f"http://{address}/sd"), seconds=30)
        with PrometheusServer(
            tmp_path / "prometheus",
            http_sd=f"http://{address}/sd",
            rule_files=[rules],
            alertmanager=alertmanager.address,
        ):
            told = eventually(
                lambda: webhook.alerts("tickets", "AgentaflowGpuTooHot"), 90, what="a message"
            )
            hot = {story.node for story in hot_ones()}
            assert {alert["labels"]["node"] for alert in told} <= hot
            assert told[0]["annotations"]["summary"].endswith("°C")
            assert told[0]["annotations"]["runbook_url"].endswith("/AgentaflowGpuTooHot.md")
            simulator.stop()
            eventually(
                lambda: webhook.alerts("tickets", "AgentaflowGpuTooHot", "resolved"),
                90,
                what="the end",
            )
    finally:
        simulator.stop()


def test_a_decision_is_an_alert_there(alertmanager: AlertmanagerServer) -> None:
    """What the form `alertmanager` posts is shown with labels to route by and why it was made."""
    made = replace(decision(), state=State.APPLIED, reason="so", state_at=time.time())
    assert send([Notice(f"{alertmanager.url}/api/v2/alerts", "alertmanager")], made) == ()

    def shown() -> list[dict[str, Any]]:
        with OPENER.open(f"{alertmanager.url}/api/v2/alerts", timeout=5) as answer:
            return [one for one in json.load(answer) if one["labels"].get("decision") == made.id]

    (alert,) = eventually(shown, 30, what="the alert")
    assert alert["labels"]["alertname"] == "AgentaFlowDecision"
    assert (alert["labels"]["state"], alert["labels"]["namespace"]) == ("applied", "research")
    assert alert["annotations"]["description"] == made.why
    assert alert["status"]["state"] == "active"


def states(alertmanager: AlertmanagerServer, ours: list[dict[str, str]]) -> list[str]:
    """`active` or `suppressed`, for each of these alerts; empty where it is not there yet."""
    shown = json.load(OPENER.open(f"{alertmanager.url}/api/v2/alerts", timeout=5))
    found = {json.dumps(each["labels"], sort_keys=True): each["status"]["state"] for each in shown}
    return [found.get(json.dumps(labels, sort_keys=True), "") for labels in ours]


def hot_ones() -> list[Any]:
    stories = SimulatedFleet(NODES, GPUS_PER_NODE, SEED).stories()
    return [story for story in stories if story.name == "hot_node"]


def answers(url: str) -> bool:
    try:
        with OPENER.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def post(url: str, said: object) -> None:
    body = json.dumps(said).encode()
    OPENER.open(Request(url, body, {"Content-Type": "application/json"}), timeout=10).close()


def run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
