"""The cluster as watches keep it, for a loop that looks again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

import msgspec
from lightkube import Client
from lightkube.resources.core_v1 import Node as KubernetesNode
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.model import ClusterState, Node, Workload
from agentaflow_advisor.observe import kubernetes
from agentaflow_advisor.observe.cluster import read_beside, read_cluster
from agentaflow_advisor.observe.watch import Watch

T = TypeVar("T")


class ClusterView:
    """`with ClusterView(client) as view: view.state(client)`. Pods and nodes are followed."""

    def __init__(self, client: Client) -> None:
        config = client.config
        self.pods: Watch[Workload] = Watch(config, "/api/v1/pods", _converter(Pod, _pod))
        self.nodes: Watch[Node] = Watch(
            config, "/api/v1/nodes", _converter(KubernetesNode, kubernetes.node)
        )

    def __enter__(self) -> Self:
        self.pods.start()
        self.nodes.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pods.stop()
        self.nodes.stop()

    @property
    def fresh(self) -> bool:
        """Both are followed at this moment."""
        return self.pods.following and self.nodes.following

    def state(self, client: Client) -> ClusterState:
        """As followed; as listed now where that is not fresh. Raises ClusterUnreachable."""
        if not self.fresh:
            return read_cluster(client)
        return read_beside(client, self.nodes.items(), self.pods.items())


def _converter(kind: Any, convert: Callable[[Any], T | None]) -> Callable[[bytes], T | None]:
    decoder = msgspec.json.Decoder(kind)
    return lambda raw: convert(decoder.decode(raw))


def _pod(seen: Pod) -> Workload | None:
    return kubernetes.workload(seen) if kubernetes.matters(seen) else None
