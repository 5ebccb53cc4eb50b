"""kube-state-metrics' documented series, made at each scrape from a real API server's objects.

Names and labels: docs/metrics of kube-state-metrics, workload/pod-metrics.md and
cluster/node-metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import GaugeMetricFamily

from agentaflow_advisor.observe.resources import quantity
from tools.control_plane import ControlPlane

POD = ("namespace", "pod", "uid")
PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
INFO = (*POD, "node", "created_by_kind", "created_by_name", "priority_class")
UNITS = {"cpu": "core", "memory": "byte"}


class State:
    """A collector of prometheus_client."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster

    def collect(self) -> Iterable[Metric]:
        pods = self._cluster.must("GET", "/api/v1/pods")["items"]
        nodes = self._cluster.must("GET", "/api/v1/nodes")["items"]
        return (*_pods(pods), _requests(pods), _allocatable(nodes))

    def describe(self) -> Iterable[Metric]:
        return ()


@contextmanager
def kube_state_metrics(cluster: ControlPlane) -> Iterator[str]:
    """Its address, host:port."""
    registry = CollectorRegistry()
    registry.register(State(cluster))
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _family(name: str, labels: Iterable[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, name, labels=tuple(labels))


def _pods(pods: Iterable[dict[str, Any]]) -> tuple[Metric, ...]:
    info = _family("kube_pod_info", INFO)
    phase = _family("kube_pod_status_phase", (*POD, "phase"))
    created = _family("kube_pod_created", POD)
    scheduled = _family("kube_pod_status_scheduled_time", POD)
    completed = _family("kube_pod_completion_time", POD)
    for pod in pods:
        meta, spec, status = pod["metadata"], pod["spec"], pod["status"]
        who = (meta["namespace"], meta["name"], meta["uid"])
        owner = next(iter(meta.get("ownerReferences", ())), {"kind": "", "name": ""})
        place = spec.get("nodeName", "")
        priority = spec.get("priorityClassName", "")
        info.add_metric((*who, place, owner["kind"], owner["name"], priority), 1)
        for name in PHASES:
            phase.add_metric((*who, name), float(status.get("phase") == name))
        created.add_metric(who, _seconds(meta["creationTimestamp"]))
        for condition in status.get("conditions", ()):
            if condition["type"] == "PodScheduled" and condition["status"] == "True":
                when = condition.get("lastTransitionTime")
                if when:
                    scheduled.add_metric(who, _seconds(when))
        ends = [
            container["state"]["terminated"]["finishedAt"]
            for container in status.get("containerStatuses", ())
            if "terminated" in container.get("state", {})
        ]
        if ends:
            completed.add_metric(who, max(map(_seconds, ends)))
    return info, phase, created, scheduled, completed


def _requests(pods: Iterable[dict[str, Any]]) -> Metric:
    labels = (*POD, "container", "node", "resource", "unit")
    found = _family("kube_pod_container_resource_requests", labels)
    for pod in pods:
        meta, spec = pod["metadata"], pod["spec"]
        who = (meta["namespace"], meta["name"], meta["uid"])
        for container in spec["containers"]:
            for name, amount in container.get("resources", {}).get("requests", {}).items():
                where = (container["name"], spec.get("nodeName", ""))
                found.add_metric((*who, *where, *_resource(name)), float(quantity(str(amount))))
    return found


def _allocatable(nodes: Iterable[dict[str, Any]]) -> Metric:
    found = _family("kube_node_status_allocatable", ("node", "resource", "unit"))
    for node in nodes:
        for name, amount in node["status"].get("allocatable", {}).items():
            found.add_metric((node["metadata"]["name"], *_resource(name)), float(quantity(amount)))
    return found


def _resource(name: str) -> tuple[str, str]:
    """Its name as a label, and its unit."""
    return name.translate(str.maketrans("./-", "___")), UNITS.get(name, "integer")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
