"""How many GPUs there should be, to be held against how many the driver enumerates."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, NodeReader, Reading
from agentaflow_exporter.metric import GPU_PREFIX, declare

GPU_EXPECTED = declare(
    GPU_PREFIX + "expected_devices",
    "GPUs that the kernel driver knows of, or those on the PCI bus if it is not loaded; "
    "more than devices: one fell off the bus.",
    source="/proc/driver/nvidia/gpus; /sys/bus/pci/devices",
    collector="expected",
    highest=1024,
)


def _node(node: NodeReader) -> Iterator[Reading]:
    yield GPU_EXPECTED, (), node.sources.expected()


COLLECTOR = Collector(
    "expected", "number of GPUs that the kernel knows of", (GPU_EXPECTED,), node=_node
)
