"""What somebody else does to what is acted on: edits, opting out, replacing under the same name."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from agentaflow_advisor.model import Action, EvictPod
from agentaflow_advisor.model.names import MANAGED
from bench.chaos.world import RULES, World
from tests.support.applying import pod_manifest
from tools.control_plane import MERGE_PATCH

SUBRESOURCES = ("/eviction", "/binding", "/status")


class People:
    """`meddle` right before a request arrives; `refill` after a worker's life."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)
        self.replaced: set[str] = set()  # uids of pods and Jobs that took the place of others
        self.removed: set[str] = set()  # uids of those whose place they took
        self.edits = 0

    def meddle(self, path: str) -> None:
        """What they do to the object of that request."""
        path = path.partition("?")[0]
        for suffix in SUBRESOURCES:
            path = path.removesuffix(suffix)
        folder, _, name = path.rpartition("/")
        world = self.world
        if folder not in (world.pods, world.jobs, world.workloads, RULES, "/api/v1/nodes"):
            return
        chance = self.random.random()
        if chance < 0.15 and folder in (world.pods, world.jobs):
            self._replace(path, folder, name)
        elif chance < 0.2 and folder == world.pods:
            self._edit(path, {"metadata": {"labels": {MANAGED: "false"}}})
        else:
            self.edits += 1
            self._edit(path, {"metadata": {"labels": {"touched": str(self.edits)}}})

    def _edit(self, path: str, body: object) -> None:
        self.world.cluster.request("PATCH", path, body, content_type=MERGE_PATCH)

    def _replace(self, path: str, folder: str, name: str) -> None:
        """As controllers do: the same name, another object, which nobody decided about."""
        cluster = self.world.cluster
        status, old = cluster.request("GET", path)
        if status != 200:
            return
        self.removed.add(old["metadata"]["uid"])
        cluster.request("DELETE", f"{path}?gracePeriodSeconds=0&propagationPolicy=Background")
        if folder == self.world.jobs:
            body = {key: old["metadata"][key] for key in ("name", "labels")}
            spec: dict[str, Any] = {"suspend": True, "template": {"spec": self._template(old)}}
            kind = {"apiVersion": "batch/v1", "kind": "Job"}
            self._add(folder, {**kind, "metadata": body, "spec": spec})
            return
        gates = tuple(gate["name"] for gate in old["spec"].get("schedulingGates", ()))
        self._add_pod(name, gates, "" if gates else old["spec"].get("nodeName", ""))

    @staticmethod
    def _template(job: Any) -> Any:
        return job["spec"]["template"]["spec"]

    def _add_pod(self, name: str, gates: tuple[str, ...], node: str) -> None:
        manifest = pod_manifest(name, namespace=self.world.namespace, gates=gates, gpus=0)
        manifest["spec"] |= {"nodeName": node} if node else {}
        self._add(self.world.pods, manifest)

    def _add(self, folder: str, body: object) -> None:
        status, new = self.world.cluster.request("POST", folder, body)
        if status == 201:
            self.replaced.add(new["metadata"]["uid"])

    def refill(self, actions: Iterable[Action]) -> None:
        """Pods that were evicted come back under their names, as their controllers would see to."""
        evicted = [each for each in actions if isinstance(each, EvictPod)]
        there = self.world.cluster.must("GET", self.world.pods)["items"] if evicted else ()
        names = {pod["metadata"]["name"] for pod in there}
        for action in evicted:
            if action.name not in names:
                self._add_pod(action.name, (), action.node)
