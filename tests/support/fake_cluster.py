"""A Kubernetes API in memory that loses answers and dies on demand; stands beside the real one.

It speaks through lightkube's transport, keeps resourceVersions and merge patches as the API server
does, and strikes each request that changes something or asks for something with the next fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import httpx2
from lightkube import Client
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster, User

FAULTS = (
    "none",
    "lost before",
    "lost after",
    "killed before",
    "killed after",
    "edited",
    "truncated",
    "429",
    "500 before",
    "500 after",
)


class Killed(BaseException):
    """The process ends here: nothing after it runs."""


class FakeCluster:
    """Objects by path; `faults` befall patches that are no dry runs, one after the other."""

    def __init__(self, objects: Mapping[str, dict[str, Any]]) -> None:
        self.objects = {path: json.loads(json.dumps(body)) for path, body in objects.items()}
        self.version = 100
        self.faults: Iterator[str] = iter(())
        self.get_faults: Iterator[str] = iter(())
        self.accepted: list[dict[str, Any]] = []  # patches that changed something
        self.requests: list[httpx2.Request] = []
        self.watch: Callable[[httpx2.Request], None] = lambda _: None

    @cached_property
    def client(self) -> Client:
        config = KubeConfig.from_one(cluster=Cluster(server="http://fake"), user=User())
        return Client(config=config, transport=httpx2.MockTransport(self.answer), trust_env=False)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        self.watch(request)
        dry_run = "dryRun" in request.url.params
        if request.method == "GET":
            return self._strike(next(self.get_faults, "none"), request, lambda: self._get(request))
        if dry_run:
            return self._patch(request, dry_run=True)
        return self._strike(
            next(self.faults, "none"), request, lambda: self._patch(request, dry_run=False)
        )

    def edit(self, path: str) -> None:
        """Someone else writes: a new resourceVersion and nothing that matters."""
        self.version += 1
        self.objects[path]["metadata"]["resourceVersion"] = str(self.version)

    def _strike(self, fault: str, request: httpx2.Request, act: Any) -> httpx2.Response:
        if fault == "lost before":
            raise httpx2.ReadTimeout("timed out", request=request)
        if fault == "killed before":
            raise Killed
        if fault == "edited" and request.url.path in self.objects:
            self.edit(request.url.path)
        if fault[0].isdigit() and "after" not in fault:
            return failure(int(fault[:3]))
        response: httpx2.Response = act()
        if fault == "lost after":
            raise httpx2.RemoteProtocolError("peer closed", request=request)
        if fault == "killed after":
            raise Killed
        if fault == "truncated":
            return httpx2.Response(response.status_code, content=response.content[:40])
        return failure(int(fault[:3])) if fault.endswith("after") else response

    def _get(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path.endswith("/pods"):
            node = request.url.params.get("fieldSelector", "").partition("=")[2]
            anywhere = "fieldSelector" not in request.url.params
            items = [
                body
                for at, body in self.objects.items()
                if "/pods/" in at and (anywhere or body["spec"].get("nodeName", "") == node)
            ]
            return httpx2.Response(200, json={"metadata": {}, "items": items})
        if path not in self.objects:
            return failure(404)
        return httpx2.Response(200, json=self.objects[path])

    def _patch(self, request: httpx2.Request, *, dry_run: bool) -> httpx2.Response:
        patch, now = json.loads(request.content), self.objects.get(request.url.path)
        if now is None:
            return failure(404)
        for name in ("uid", "resourceVersion"):
            if patch["metadata"].get(name, now["metadata"][name]) != now["metadata"][name]:
                return failure(409)
        if not dry_run:
            self.version += 1
            patch["metadata"]["resourceVersion"] = str(self.version)
            self.objects[request.url.path] = merged(now, patch)
            self.accepted.append(patch)
        return httpx2.Response(200, json=self.objects[request.url.path])


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def failure(code: int) -> httpx2.Response:
    status = {"kind": "Status", "status": "Failure", "code": code, "message": f"injected {code}"}
    return httpx2.Response(code, json=status)
