"""How many GPUs there should be, to be held against how many the driver enumerates."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, NodeReader, Reading
from agentaflow_exporter.metrics import GPU_EXPECTED


def _node(node: NodeReader) -> Iterator[Reading]:
    yield GPU_EXPECTED, (), node.expected()


COLLECTOR = Collector("expected", "number of GPUs that the kernel knows of", node=_node)
