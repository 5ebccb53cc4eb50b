"""Two `agentaflow serve` processes that want the same lease, each reaching the API its own way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision
from agentaflow_advisor.model.names import LEASE
from tests.support.fault_proxy import FaultProxy, is_dry_run
from tests.support.line import AGENTAFLOW, Line
from tools.processes import Program, eventually

EVERYTHING_OF_A_GATE = [{"name": "all", "channels": ["scheduling-gate"], "max_per_day": 100}]
QUICK = {
    "AGENTAFLOW_CHANNELS": "scheduling-gate",
    "AGENTAFLOW_STANDING_APPROVALS": json.dumps(EVERYTHING_OF_A_GATE),
    "AGENTAFLOW_INTERVAL_SECONDS": "1",
    "AGENTAFLOW_LEASE_DURATION_SECONDS": "2",
    "AGENTAFLOW_LEASE_RENEW_SECONDS": "1.5",
    "AGENTAFLOW_LEASE_RETRY_SECONDS": "0.2",
    "AGENTAFLOW_LISTEN_ADDRESS": "127.0.0.1:0",
}


@dataclass
class Advisor:
    """One of them; its journal is its own, as that of a replica is."""

    line: Line
    program: Program
    proxy: FaultProxy
    journal: Path

    @property
    def leads(self) -> bool:
        scene = self.line.scene
        path = f"/apis/coordination.k8s.io/v1/namespaces/{scene.namespace}/leases/{LEASE}"
        status, seen = scene.cluster.request("GET", path)
        holder = seen["spec"].get("holderIdentity", "") if status == 200 else ""
        return bool(holder.endswith(f"-{self.program.pid}"))

    def pause(self) -> None:
        """As a machine that is starved, or suspended, does it."""
        os.kill(self.program.pid, signal.SIGSTOP)
        stat = Path(f"/proc/{self.program.pid}/stat")
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", what="stopped")

    def resume(self) -> None:
        os.kill(self.program.pid, signal.SIGCONT)

    def said(self) -> str:
        return self.program.log.read_text()

    def writes(self, pod: str) -> list[int | None]:
        """What the API server answered to its PATCHes of that pod that were no rehearsal."""
        return [
            seen.status
            for seen in self.proxy.seen
            if seen.method == "PATCH" and f"/pods/{pod}?" in seen.path and not is_dry_run(seen.path)
        ]

    def decisions(self, pod: str) -> list[Decision]:
        with Journal(self.journal) as journal:
            return [each for each in journal.list() if each.action.name == pod]


@contextlib.contextmanager
def advisor(line: Line, name: str) -> Iterator[Advisor]:
    """Until the block ends."""
    journal = line.folder / f"{name}.db"
    cluster = line.scene.cluster
    with FaultProxy(cluster.url, cluster.ca_file) as proxy:
        kubeconfig = cluster.write_kubeconfig(name, cluster.token, server=proxy.url)
        program = Program(
            [
                AGENTAFLOW,
                "serve",
                f"--prometheus-url={line.prometheus.url}",
                f"--kubeconfig={kubeconfig}",
                f"--journal={journal}",
            ],
            line.folder / f"{name}.log",
            environment=line.environment(**QUICK),
        )
        try:
            yield Advisor(line, program, proxy, journal)
        finally:
            program.stop()
