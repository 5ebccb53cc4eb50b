"""Which pod holds which GPU, as one join metric, so that a shared GPU is never counted twice."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, NodeReader, Reading
from agentaflow_exporter.metrics import POD_INFO


def _node(node: NodeReader) -> Iterator[Reading]:
    """A lost GPU keeps its pod: the assignment is not the GPU's to tell."""
    gpus = node.gpus
    for pod in node.pods():
        for index, uuid in gpus:
            if pod.device in (index, uuid):
                yield POD_INFO, (index, uuid, pod.namespace, pod.pod, pod.container), 1


COLLECTOR = Collector("pods", "the pods' join metric", node=_node)
