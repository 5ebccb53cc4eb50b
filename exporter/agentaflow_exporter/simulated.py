"""A made-up fleet that answers NVML's calls: whatever it says follows from (seed, place, time).

No state is kept between reads, so that two processes, a scrape and a backfill agree on every
value, and a counter is the integral of its gauge at whatever moments it is read (signals.py).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from agentaflow_exporter import stories
from agentaflow_exporter.boards import A100, H100, L4, Board
from agentaflow_exporter.collector import Pod, Sources
from agentaflow_exporter.driver import Number
from agentaflow_exporter.silicon import BOOT, Silicon
from agentaflow_exporter.stories import Story

CLUSTER = "simulated"
_DRIVER = {
    "nvmlSystemGetDriverVersion": "550.90.07",
    "nvmlSystemGetNVMLVersion": "12.550.90.07",
    "nvmlSystemGetCudaDriverVersion_v2": 12040,
}


class SimulatedFleet:
    """`node-0` … `node-N`, their GPUs, and what is true of each."""

    def __init__(
        self,
        nodes: int,
        gpus_per_node: int,
        seed: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` answers Unix seconds."""
        self.nodes = tuple(f"node-{index}" for index in range(nodes))
        self.gpus_per_node = gpus_per_node
        self._indexes = {name: index for index, name in enumerate(self.nodes)}
        self._seed = seed
        self.clock = clock
        self._roles = lru_cache(maxsize=64)(self._draw_roles)

    def driver(self, node: str) -> SimulatedDriver:
        """A driver of its own for each caller. Raises KeyError for a node that does not exist."""
        return SimulatedDriver(self, node)

    def gpus(self, node: str) -> tuple[SimulatedGpu, ...]:
        index = self._indexes[node]
        board = self._board(index)
        return tuple(self._gpu(index, gpu, board) for gpu in range(self.gpus_per_node))

    def pods(self, node: str) -> tuple[Pod, ...]:
        """The pods that hold the node's GPUs, by uuid."""
        index = self._indexes[node]
        return tuple(pod for gpu in range(self.gpus_per_node) for pod in self._pods(index, gpu))

    def truth(self, node: str, gpu: int) -> Story:
        """What is true of this GPU, of a named story or of ordinary use."""
        index = self._indexes[node]
        role = self._role(index, gpu)
        uuid = self._identity(index, gpu)[1]
        return Story(role, node, gpu, uuid, stories.TRUTHS[role], self._pods(index, gpu))

    def stories(self) -> tuple[Story, ...]:
        """The named stories, by node and GPU."""
        return tuple(
            self.truth(node, gpu)
            for index, node in enumerate(self.nodes)
            for gpu in range(self.gpus_per_node)
            if self._role(index, gpu) not in stories.ORDINARY
        )

    def _gpu(self, node: int, gpu: int, board: Board) -> SimulatedGpu:
        key, uuid = self._identity(node, gpu)
        behaviour = stories.behaviour(self._role(node, gpu), key)
        return SimulatedGpu(gpu, uuid, Silicon(board, behaviour, key, gpu, uuid), self.clock)

    def _pods(self, node: int, gpu: int) -> tuple[Pod, ...]:
        uuid = self._identity(node, gpu)[1]
        return stories.pods(self._role(node, gpu), node, gpu, uuid)

    def _role(self, node: int, gpu: int) -> str:
        return self._roles(node // stories.NODES_PER_CAST)[node, gpu]

    def _draw_roles(self, cast: int) -> dict[tuple[int, int], str]:
        first = cast * stories.NODES_PER_CAST
        last = min(first + stories.NODES_PER_CAST, len(self.nodes))
        return stories.roles(self._seed, range(first, last), self.gpus_per_node)

    def _board(self, node: int) -> Board:
        chance = random.Random(f"{self._seed}/board/{node}")  # noqa: S311
        return H100 if node == 0 else chance.choices((H100, A100, L4), (7, 2, 1))[0]

    def _identity(self, node: int, gpu: int) -> tuple[int, str]:
        """A GPU's random key and its uuid."""
        chance = random.Random(f"{self._seed}/gpu/{node}/{gpu}")  # noqa: S311
        key, digits = chance.getrandbits(64), f"{chance.getrandbits(128):032x}"
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        return key, "GPU-" + "-".join(parts)


class SimulatedDriver:
    """The driver of one node of a fleet."""

    def __init__(self, fleet: SimulatedFleet, node: str) -> None:
        self._gpus = fleet.gpus(node)
        self._pods = fleet.pods(node)
        self._clock = fleet.clock

    def open(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Nothing to give back."""

    def read(self, function: str, *arguments: int) -> Any:  # noqa: ARG002
        return _DRIVER.get(function)

    def gpus(self) -> Sequence[SimulatedGpu]:
        return self._gpus

    @property
    def sources(self) -> Sources:
        """Who holds the GPUs: NVML itself does not know."""
        return Sources(pods=lambda: self._pods, clock=self._clock)


class SimulatedGpu:
    """One GPU of the fleet; it measures ten times a second, as a board does."""

    def __init__(self, index: int, uuid: str, silicon: Silicon, clock: Callable[[], float]) -> None:
        self.index = index
        self.uuid = uuid
        self._silicon = silicon
        self._clock = clock

    def read(self, function: str, *arguments: int) -> Any:
        return self._silicon.read(function, arguments, self._now())

    def read_mig(self, device: int, function: str, *arguments: int) -> Any:
        """No board of the simulation is cut into instances."""
        del device, function, arguments

    def fields(self, *ids: int) -> Mapping[int, Number]:
        known = self._silicon.fields(self._now())
        return {i: known[i] for i in ids if i in known}

    def _now(self) -> float:
        return int((self._clock() - BOOT) * 10) / 10
