"""The accounts and policies of the manifests on a real cluster, and a stage where they act."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from agentaflow_advisor.decide.journal import Journal
from tests.support.line import AGENTAFLOW, Line
from tests.support.stage import EVERYTHING, Stage, install_kueue
from tools.control_plane import ControlPlane
from tools.processes import Program, eventually

MANIFESTS = Path(__file__).parents[2] / "scheduler_advisor" / "manifests"
APPLIED = (
    "crds",
    "workload-limits",
    "approvals",
    "namespace",
    "advisor",
    "applier",
    "channels",
    "applier-limits",
    "opt-in-nodes",
    "kueue",
)
"""All but the pulled kill switch and the example of a namespace."""
NAMESPACED = ("scheduling-gate", "suspended-job", "eviction", "admission-check", "binding")
"""Channels whose role is bound in a namespace."""


def apply_manifests(cluster: ControlPlane) -> None:
    """With Kueue's kinds; until the API server serves what they add."""
    install_kueue(cluster)
    for name in APPLIED:
        applied = cluster.kubectl("apply", "-f", str(MANIFESTS / f"{name}.yaml"))
        assert applied.returncode == 0, applied.stderr
    for plural in ("gpurecommendations", "gpunodes", "gpuworkloads"):
        path = f"/apis/agentaflow.io/v1alpha1/{plural}"
        eventually(partial(_served, cluster, path), what=path)


def _served(cluster: ControlPlane, path: str) -> bool:
    return cluster.request("GET", path)[0] == 200


def token(cluster: ControlPlane, account: str) -> str:
    """A token of that account: advisor or applier."""
    name = f"agentaflow-{account}"
    made = cluster.kubectl("create", "token", name, "--namespace=agentaflow", "--duration=1h")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def bind(cluster: ControlPlane, namespace: str) -> None:
    """Every channel's role, there."""
    for channel in NAMESPACED:
        made = cluster.kubectl(
            "create",
            "rolebinding",
            f"agentaflow-{channel}",
            f"--clusterrole=agentaflow-{channel}",
            "--serviceaccount=agentaflow:agentaflow-applier",
            f"--namespace={namespace}",
        )
        assert made.returncode == 0, made.stderr


@contextlib.contextmanager
def serving(line: Line, kubeconfig: Path, channels: Sequence[str]) -> Iterator[Journal]:
    """`agentaflow serve` in a hurry, with standing approvals of its channels; its journal."""
    path = line.folder / f"{kubeconfig.stem}.db"
    standing = [{"name": "all", "channels": channels, "max_per_day": 100}] if channels else []
    program = Program(
        [
            AGENTAFLOW,
            "serve",
            f"--prometheus-url={line.prometheus.url}",
            f"--kubeconfig={kubeconfig}",
            f"--journal={path}",
        ],
        line.folder / f"{kubeconfig.stem}.log",
        environment=line.environment(
            AGENTAFLOW_NAMESPACE="agentaflow",
            AGENTAFLOW_CHANNELS=",".join(channels),
            AGENTAFLOW_STANDING_APPROVALS=json.dumps(standing),
            AGENTAFLOW_INTERVAL_SECONDS="1",
            AGENTAFLOW_LEASE_RETRY_SECONDS="0.5",
            AGENTAFLOW_LISTEN_ADDRESS="127.0.0.1:0",
        ),
    )
    try:
        with Journal(path) as journal:
            yield journal
        assert program.stop(gently_for=15) == 0, program.log.read_text()
    except BaseException:
        print(program.log.read_text()[-4000:])  # pytest shows it beside the failure
        raise
    finally:
        program.stop()


class Bound(Stage):
    """Where the applier's account is bound to every channel's role, and acts."""

    def __init__(self, cluster: ControlPlane, journal: Journal) -> None:
        super().__init__(cluster, journal)
        self.policy = replace(EVERYTHING)  # the kill switch of the manifests
        bind(cluster, self.namespace)
        self.token = token(cluster, "applier")
        self.actor_kubeconfig = cluster.write_kubeconfig("applier", self.token)
