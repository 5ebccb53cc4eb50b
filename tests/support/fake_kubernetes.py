"""The fake cluster behind a loopback socket and a kubeconfig, with a scheduler of one rule."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx2
import yaml

from agentaflow_advisor.model.names import HOSTNAME, LEASE, MANAGED
from tests.support.applying import pod_manifest
from tests.support.fake_cluster import FakeCluster
from tests.support.loopback import Answer, serve

LISTS = {f"/api/v1/{kind}": kind for kind in ("nodes", "namespaces", "pods")}


class FakeKubernetes(FakeCluster):
    """Lists what FakeCluster holds, and binds an ungated pod to the host that it selects."""

    kubeconfig: Path
    schedules = True

    @cached_property
    def leases(self) -> dict[str, Any]:
        return {}

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The Events that were written."""
        return []

    def handle(self, method: str, path: str, body: bytes) -> Answer:
        if path.partition("?")[0].endswith("/events"):
            self.events.append(json.loads(body))
            return 201, "application/json", body
        if "/leases" in path:
            return self._lease(method, path.partition("?")[0], body)
        answer = self.answer(httpx2.Request(method, f"http://fake{path}", content=body))
        if self.schedules:
            self.bind()
        return answer.status_code, "application/json", answer.content

    def _lease(self, method: str, path: str, body: bytes) -> Answer:
        """One advisor asks for it: nobody is in its way."""
        if method != "GET":
            lease = json.loads(body)
            lease["metadata"]["resourceVersion"] = str(len(self.requests))
            self.leases[lease["metadata"]["name"]] = lease
        lease = self.leases.get(path.rpartition("/")[2] if method != "POST" else LEASE)
        status = 404 if lease is None else 200
        return status, "application/json", json.dumps(lease or {"kind": "Status"}).encode()

    def add_pod(self, name: str, **manifest: Any) -> None:
        pod = pod_manifest(name, **manifest)
        pod["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "1"}
        self.objects[f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{name}"] = pod

    def _get(self, request: httpx2.Request) -> httpx2.Response:
        part = LISTS.get(request.url.path)
        if part is None or "spec.nodeName" in request.url.params.get("fieldSelector", ""):
            return super()._get(request)
        bodies = [body for path, body in self.objects.items() if _kind(path) == part]
        return httpx2.Response(200, json={"metadata": {}, "items": bodies})

    def bind(self) -> None:
        """What a scheduler does, with one rule."""
        for path, body in self.objects.items():
            host = body.get("spec", {}).get("nodeSelector", {}).get(HOSTNAME)
            if "/pods/" in path and host and not body["spec"].get("schedulingGates"):
                body["spec"]["nodeName"] = host


def _kind(path: str) -> str:
    """Of an object's path, the last folder: /api/v1/namespaces/research/pods/train → pods."""
    return path.rsplit("/", 2)[1]


def node_manifest(name: str, gpus: int) -> dict[str, Any]:
    room = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
    return {
        "metadata": {"name": name, "labels": {HOSTNAME: name}},
        "status": {"allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]},
    }


@contextlib.contextmanager
def fake_kubernetes(folder: Path, nodes: Mapping[str, int]) -> Iterator[FakeKubernetes]:
    """Nodes by name with their GPUs, the namespace `research` opted in, and a kubeconfig."""
    fake = FakeKubernetes(
        {
            **{f"/api/v1/nodes/{name}": node_manifest(name, gpus) for name, gpus in nodes.items()},
            "/api/v1/namespaces/research": {
                "metadata": {"name": "research", "labels": {MANAGED: "true"}}
            },
        }
    )
    with serve(fake.handle) as url:
        fake.kubeconfig = folder / "kubeconfig"
        fake.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(url)))
        yield fake


def _kubeconfig(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }
