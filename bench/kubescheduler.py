"""How fast the real kube-scheduler places a list of pods on a list of nodes, and on what it waits.

etcd, kube-apiserver and kube-scheduler are the real ones. The pods are created before the
scheduler starts and the clock runs from the first to the last that is bound, so neither their
creation nor its start counts. kwok and kube-controller-manager are stopped by then; the scheduler's
limit of API calls is lifted.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from urllib3.exceptions import InsecureRequestWarning

from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.demand import Demand
from tools.control_plane import FAKE_NODE, SCHEDULER, ControlPlane
from tools.processes import Program, eventually, free_port

GPU = "nvidia.com/gpu"
PROGRAMS = ("kube-scheduler", "kube-apiserver", "etcd")
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_POLL_SECONDS = 0.2
_QUIET_SECONDS = 5.0
_MOST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Timed:
    """One run. Seconds are of the wall from the first bound pod to the last, if not said."""

    pods: int
    left_waiting: int  # pods for which it found no room
    attempts: int
    seconds: float
    algorithm_seconds_per_pod: float  # filter and score; one pod after the other
    bind_seconds_per_pod: float  # the API call that binds; many at once
    cpu_seconds: Mapping[str, float]  # by program, from its start

    @property
    def per_second(self) -> float:
        return self.pods / self.seconds

    @property
    def algorithm_share(self) -> float:
        """Of the time, how much it was deciding; the rest it waited for the API or its turn."""
        return self.algorithm_seconds_per_pod * self.per_second


def measure(machines: Sequence[Machine], demands: Iterable[Demand]) -> Timed:
    """Raises PartMissing without a control plane."""
    with ControlPlane() as cluster, _session(cluster) as api:
        for machine in machines:
            _create(api, f"{cluster.url}/api/v1/nodes", _node(machine))
        eventually(lambda: not _tainted(api, cluster), 120, what="nodes that are ready")
        for name in ("kwok", "kube-controller-manager", "kube-scheduler"):
            cluster.running[name].stop()
        pods = [_pod(number, demand) for number, demand in enumerate(demands)]
        for pod in pods:
            _create(api, f"{cluster.url}/api/v1/namespaces/default/pods", pod)
        return _timed(cluster, len(pods))


def _timed(cluster: ControlPlane, pods: int) -> Timed:
    port = free_port()
    before = {name: _cpu_seconds(cluster.running[name]) for name in PROGRAMS[1:]}
    scheduler = _scheduler(cluster, port)
    try:
        first, last = _watch(port, pods)
        found = _metrics(port)
        after = {name: _cpu_seconds(cluster.running[name]) for name in PROGRAMS[1:]}
        cpu = {PROGRAMS[0]: _cpu_seconds(scheduler)}
    finally:
        scheduler.stop()
    (started, bound), (ended, all_bound) = first, last
    algorithm = "scheduler_scheduling_algorithm_duration_seconds"
    bind = "scheduler_framework_extension_point_duration_seconds"
    return Timed(
        pods=all_bound - bound,
        left_waiting=pods - all_bound,
        attempts=int(_of(found, "scheduler_schedule_attempts_total")),
        seconds=ended - started,
        algorithm_seconds_per_pod=_of(found, f"{algorithm}_sum") / _of(found, f"{algorithm}_count"),
        bind_seconds_per_pod=_of(found, f"{bind}_sum", 'extension_point="Bind"')
        / _of(found, f"{bind}_count", 'extension_point="Bind"'),
        cpu_seconds={**cpu, **{name: after[name] - before[name] for name in after}},
    )


def _watch(port: int, pods: int) -> tuple[tuple[float, int], tuple[float, int]]:
    """(when, how many were bound) when the first were seen, and when the last was."""
    seen: list[tuple[float, int]] = []

    def settled() -> bool:
        """All are bound, or no more for a while: some may find no room."""
        time.sleep(_POLL_SECONDS)
        try:
            found = _metrics(port)
        except requests.ConnectionError:  # not listening yet
            return False
        bound = int(_of(found, "scheduler_schedule_attempts_total", 'result="scheduled"'))
        if bound and (not seen or bound > seen[-1][1]):
            seen.append((time.monotonic(), bound))
        quiet = time.monotonic() - seen[-1][0] if seen else 0.0
        return bound >= pods or quiet > _QUIET_SECONDS

    eventually(settled, _MOST_SECONDS, what="pods that are bound")
    return seen[0], seen[-1]


def _scheduler(cluster: ControlPlane, port: int) -> Program:
    return Program(
        [
            cluster.programs["kube-scheduler"],
            f"--kubeconfig={cluster.write_kubeconfig('bench', cluster.tokens[SCHEDULER])}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--authorization-always-allow-paths=/metrics",
            f"--cert-dir={cluster.folder}/scheduler-pki",
            "--kube-api-qps=100000",
            "--kube-api-burst=100000",
        ],
        cluster.folder / "bench-scheduler.log",
        environment={"HOME": str(cluster.folder), "CONTROL_PLANE_LIFELINE": "stdin"},
        folder=cluster.folder,
        lifeline=True,
    )


def _session(cluster: ControlPlane) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = str(cluster.ca_file)
    session.headers["Authorization"] = f"Bearer {cluster.token}"
    return session


def _create(api: requests.Session, url: str, body: object) -> None:
    answer = api.post(url, json=body, timeout=30)
    answer.raise_for_status()


def _tainted(api: requests.Session, cluster: ControlPlane) -> int:
    """Nodes that nothing may be put on yet."""
    nodes = api.get(f"{cluster.url}/api/v1/nodes", timeout=30).json()["items"]
    return sum(bool(node["spec"].get("taints")) for node in nodes)


def _node(machine: Machine) -> dict[str, Any]:
    room = {
        "cpu": f"{machine.cpu_millicores}m",
        "memory": str(machine.memory_bytes),
        "pods": "1000",
        GPU: str(machine.gpus),
    }
    return {
        "metadata": {
            "name": machine.name,
            "labels": {"kubernetes.io/hostname": machine.name},
            "annotations": {FAKE_NODE: "fake"},
        },
        "status": {"capacity": room, "allocatable": room},
    }


def _pod(number: int, demand: Demand) -> dict[str, Any]:
    asks = {"cpu": f"{demand.cpu_millicores}m", "memory": str(demand.memory_bytes)}
    if demand.gpus:
        asks[GPU] = str(demand.gpus)
    container = {"name": "main", "image": "none", "resources": {"requests": asks, "limits": asks}}
    return {"metadata": {"name": f"pod-{number}"}, "spec": {"containers": [container]}}


def _metrics(port: int) -> list[tuple[str, str, float]]:
    """(name, labels, value) of each sample; the certificate is one that it made itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureRequestWarning)
        with requests.Session() as session:
            session.trust_env = False
            url = f"https://127.0.0.1:{port}/metrics"
            text = session.get(url, verify=False, timeout=10).text
    return [(name, labels, float(value)) for name, labels, value in _SAMPLE.findall(text)]


def _of(found: Iterable[tuple[str, str, float]], name: str, label: str = "") -> float:
    return sum(value for each, labels, value in found if each == name and label in labels)


def _cpu_seconds(program: Program) -> float:
    """Of user and system, by all its threads."""
    fields = Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
