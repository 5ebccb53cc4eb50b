"""A view of the cluster, kept through everything that befalls lists and watches, held against both.

The advisor's own ClusterView, which reaches the API server through the proxy; what a list without
the proxy tells is what is so.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from lightkube import Client

from agentaflow_advisor.model import Node, Workload
from agentaflow_advisor.observe.cluster import connect, read_cluster
from agentaflow_advisor.observe.view import ClusterView
from bench.chaos.faults import ChaosProxy
from tools.processes import NotInTime, eventually

SILENT_SECONDS = 3.0
AGREE_SECONDS = 60.0


class Follower:
    """`with Follower(through, straight, proxy) as follower:` then `follower.compare()`."""

    def __init__(self, through: Path, straight: Path, proxy: ChaosProxy) -> None:
        self.proxy = proxy
        self.lost: list[str] = []
        self.compared = 0
        self._through, self._straight = connect(through, None), connect(straight, None)
        self.view = ClusterView(self._through)
        for watch in (self.view.pods, self.view.nodes):
            watch.silent_seconds = SILENT_SECONDS

    def __enter__(self) -> Self:
        self.view.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.view.__exit__()
        self._through.close()
        self._straight.close()

    @property
    def relists(self) -> int:
        return self.view.pods.relists + self.view.nodes.relists

    @property
    def events(self) -> int:
        return self.view.pods.events + self.view.nodes.events

    def compare(self) -> None:
        """What still differs after a time in which nothing is struck was lost."""
        self.proxy.follower_calm = True
        differing: list[str] = []

        def agrees() -> bool:
            differing[:] = self._differences()
            return not differing

        with suppress(NotInTime):
            eventually(agrees, AGREE_SECONDS, what="the view agrees")
        self.lost += differing
        self.compared += 1
        self.proxy.follower_calm = False

    def _differences(self) -> list[str]:
        there = _all(self._straight)
        followed = _by_uid((*self.view.pods.items(), *self.view.nodes.items()))
        return [
            f"{(there.get(uid) or followed[uid]).name} is not in the view as it is"
            for uid in there.keys() | followed.keys()
            if there.get(uid) != followed.get(uid)
        ]


def _all(client: Client) -> dict[str, Workload | Node]:
    state = read_cluster(client)
    pods = (each for each in state.workloads if each.kind == "Pod")
    return _by_uid((*pods, *state.nodes))


def _by_uid(objects: Iterable[Workload | Node]) -> dict[str, Workload | Node]:
    return {each.uid: each for each in objects}
