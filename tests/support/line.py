"""The whole line on one machine: stub drivers, exporters, Prometheus, Kubernetes, the command."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import exporter_process
from tests.support.nvml_stub import NvmlStub
from tests.support.scene import Scene
from tools.control_plane import ControlPlane
from tools.processes import Program
from tools.prometheus import PrometheusServer

AGENTAFLOW = Path(sys.executable).parent / "agentaflow"
GPUS = 8


@dataclass
class Line:
    """A user's view of it: commands, and what `kubectl` would show."""

    scene: Scene
    prometheus: PrometheusServer
    folder: Path
    busy_node: str
    idle_node: str

    @property
    def journal(self) -> Path:
        return self.folder / "journal.db"

    def command(self, *arguments: str, server: str | None = None) -> list[str | Path]:
        """`agentaflow` on this fleet; `server` is a way round to the API server."""
        kubeconfig = self.scene.kubeconfig(server) if server else self.scene.cluster.kubeconfig
        return [
            AGENTAFLOW,
            *arguments,
            f"--prometheus-url={self.prometheus.url}",
            f"--kubeconfig={kubeconfig}",
            f"--journal={self.journal}",
            "--output=json",
        ]

    def environment(self, **settings: str) -> dict[str, str]:
        """One that lets seconds of evidence count, as no user should."""
        mine = {name: value for name, value in os.environ.items() if "AGENTAFLOW" not in name}
        thin = {
            "AGENTAFLOW_NAMESPACE": self.scene.namespace,
            "AGENTAFLOW_WINDOW_SECONDS": "300",
            "AGENTAFLOW_IDLE_MIN_WINDOW_SECONDS": "0",
            "AGENTAFLOW_IDLE_MIN_COVERAGE_RATIO": "0",
        }
        return {**mine, **thin, **settings}

    def run(self, *arguments: str, **settings: str) -> Any:
        """The command's JSON. It must succeed."""
        ended = subprocess.run(
            self.command(*arguments),
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def start(self, *arguments: str, server: str) -> Program:
        """The command as a process that can be killed, reaching Kubernetes through `server`."""
        return Program(
            self.command(*arguments, server=server),
            self.folder / "advisor.log",
            environment=self.environment(),
        )


@contextlib.contextmanager
def running_line(cluster: ControlPlane, name: str, folder: Path) -> Iterator[Line]:
    """Two nodes of eight GPUs, one busy and one idle as its driver says, scraped each second."""
    scene = Scene(cluster, name)
    nodes = {f"{name}-busy": 90, f"{name}-idle": 0}
    with contextlib.ExitStack() as stack:
        targets = []
        for node, utilization in nodes.items():
            instance = {"node.kubernetes.io/instance-type": "p5.48xlarge"}
            cluster.add_node(node, gpus=GPUS, labels=instance)
            home = folder / node
            home.mkdir()
            stub = NvmlStub(home)
            uuids = [
                f"{gpu} nvmlDeviceGetUUID value GPU-{secrets.token_hex(4)}-{node}"
                for gpu in range(GPUS)
            ]
            stub.script(f"* nvmlDeviceGetUtilizationRates value {utilization}", *uuids)
            exporter = stack.enter_context(
                exporter_process.running(home, environment=stub.environment())
            )
            targets.append((exporter.url.removeprefix("http://"), {"node": node}))
        prometheus = stack.enter_context(PrometheusServer(folder / "prometheus", targets=targets))
        # longer than a step of the grid on which coverage is counted, 5 min / 48
        enough = 'min(count_over_time(agentaflow_gpu_utilization_ratio{engine="gpu"}[5m])) >= 8'
        prometheus.wait_for(enough)
        prometheus.wait_for(
            f'count(agentaflow_gpu_utilization_ratio{{engine="gpu"}}) == {2 * GPUS}'
        )
        yield Line(scene, prometheus, folder, *nodes)
