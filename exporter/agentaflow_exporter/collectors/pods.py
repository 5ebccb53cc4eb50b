"""Which pod holds which GPU, as one join metric, so that a shared GPU is never counted twice."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.attribution.devices import Inventory
from agentaflow_exporter.collector import Collector, GpuReader, NodeReader, Reading
from agentaflow_exporter.instances import placements
from agentaflow_exporter.metric import declare_gpu

POD_INFO = declare_gpu(
    *("pods", "pod_info", "A container that holds the GPU or a MIG instance; join it on uuid."),
    *("namespace", "pod", "container", "gpu_instance"),
    source="--attribution.kubelet-socket, --attribution.pods-file",
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Device ids may name a GPU by its minor number, or a MIG device of it: its node must know
    both, also when the GPU is lost.
    """
    gpu.constant("nvmlDeviceGetMinorNumber")
    gpu.once(placements)
    return iter(())


def _node(node: NodeReader) -> Iterator[Reading]:
    """A lost GPU keeps its pod: the assignment is not the GPU's to tell."""
    inventory = Inventory(node.gpus, node.minors, node.mig)
    for pod in node.answer:
        place = inventory.find(pod.device)
        if place is not None:
            holder = pod.namespace, pod.pod, pod.container
            yield POD_INFO, (place.gpu, place.uuid, *holder, place.gpu_instance), 1


COLLECTOR = Collector(
    "pods",
    "the pods' join metric",
    (POD_INFO,),
    gpu=_gpu,
    node=_node,
    ask=lambda sources: sources.pods(),
)
