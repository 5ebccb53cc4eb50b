"""Which pod holds which GPU, as one join metric, so that a shared GPU is never counted twice."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, NodeReader, Reading
from agentaflow_exporter.metric import declare_gpu

POD_INFO = declare_gpu(
    *("pods", "pod_info", "A container that holds the GPU; join it on uuid."),
    *("namespace", "pod", "container"),
    source="--attribution.pods-file",
)


def _node(node: NodeReader) -> Iterator[Reading]:
    """A lost GPU keeps its pod: the assignment is not the GPU's to tell."""
    gpus = node.gpus
    for pod in node.sources.pods():
        for index, uuid in gpus:
            if pod.device in (index, uuid):
                yield POD_INFO, (index, uuid, pod.namespace, pod.pod, pod.container), 1


COLLECTOR = Collector("pods", "the pods' join metric", (POD_INFO,), node=_node)
