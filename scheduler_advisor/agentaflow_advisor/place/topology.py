"""Domains of nodes, finest first, and where a gang would be together in one of them.

The first domain of a node is the node itself, the others are what its labels say: an NVLink domain,
a rack, a layer of the network. A node without a label is a domain of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentaflow_advisor.model import Node
from agentaflow_advisor.place.filters import numbered
from agentaflow_advisor.place.fleet import Booleans, Integers
from agentaflow_advisor.place.strategy import Ranks

TOPOLOGY_LABELS = (
    "nvidia.com/gpu.clique",
    "topology.k8s.aws/ultraserver-id",
    "cloud.google.com/gce-topology-host",
    "topology.k8s.aws/network-node-layer-4",
    "topology.k8s.aws/network-node-layer-3",
    "cloud.google.com/gce-topology-subblock",
    "topology.kubernetes.io/rack",
    "topology.k8s.aws/network-node-layer-2",
    "cloud.google.com/gce-topology-block",
    "topology.k8s.aws/network-node-layer-1",
)
"""Finest first. Of GPU feature discovery, EKS (its last layer is next to the node), GKE."""
_NOUNS = {
    "": "node",
    "nvidia.com/gpu.clique": "NVLink domain",
    "topology.k8s.aws/ultraserver-id": "NVLink domain",
    "topology.kubernetes.io/rack": "rack",
}


@dataclass(frozen=True, slots=True)
class Level:
    """One way to divide the nodes; `domain` is by row. The label of the finest is empty."""

    label: str
    domain: Integers

    @property
    def noun(self) -> str:
        return _NOUNS.get(self.label) or self.label.rpartition("/")[2]


class Topology:
    """Of one list of nodes, by those of the labels that they have."""

    def __init__(self, nodes: Sequence[Node], labels: Sequence[str] = TOPOLOGY_LABELS) -> None:
        rows = np.arange(len(nodes))
        self.levels = [Level("", rows)]
        for label in labels:
            values, column = numbered(node.labels.get(label) for node in nodes)
            if values:
                alone = rows + len(values)
                self.levels.append(Level(label, np.where(column < 0, alone, column)))

    def ranks(self, there: Sequence[int], rooms: Integers, coming: int) -> Ranks:
        """How near its members a gang's next pod would be on each row: first where all of the gang
        would be in one domain, the finest first, then with how many of them.

        `there` are the rows of members that have a node, `rooms` how many of those that are
        `coming` each row could take.
        """
        together = {
            level.label or "node": _together(level.domain, there, rooms, coming)
            for level in self.levels
        }
        most = len(there) + coming
        whole = {
            f"gang_whole_in_{label}": (each >= most).astype(np.int64)
            for label, each in together.items()
        }
        return {**whole, **{f"gang_pods_in_{label}": each for label, each in together.items()}}

    def nearest(self, row: int, others: Sequence[int]) -> tuple[str, int]:
        """The finest domain that a row shares with most of the others, and with how many."""
        shared = [
            (level.noun, sum(int(level.domain[other] == level.domain[row]) for other in others))
            for level in self.levels
        ]
        return max(shared, key=lambda each: each[1])


def _together(domain: Integers, there: Sequence[int], rooms: Integers, coming: int) -> Integers:
    """By row, how many of the gang its domain could hold."""
    size = int(domain.max(initial=-1)) + 1
    held = np.bincount(domain[list(there)], minlength=size) if there else np.zeros(size, np.int64)
    room = np.zeros(size, dtype=np.int64)
    np.add.at(room, domain, rooms)
    found: Integers = (held + np.minimum(room, coming))[domain]
    return found


def rooms(able: Booleans, left: Sequence[Integers], asked: Sequence[int], most: int) -> Integers:
    """How many pods of one ask each row could take, up to `most`."""
    found = np.where(able, most, 0)
    for there, amount in zip(left, asked, strict=True):
        found = np.minimum(found, there // amount)
    return np.maximum(found, 0)
