"""A cluster as arrays, one row a node: what is left of its GPUs, CPU and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentaflow_advisor.place.demand import ANY_MODEL, WHOLE, Demand

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Rows = Integers | slice
ALL: slice = slice(None)
MOST_KINDS = 10  # pods that share a GPU, and pods of 1 … 8 and of more GPUs


class Grant(NamedTuple):
    """Where a demand was put: what is needed to take it away again."""

    demand: Demand
    row: int
    slots: tuple[int, ...]


@dataclass(slots=True)
class Fleet:
    """`left` is in thousandths of a GPU, (nodes x slots); a slot without a GPU has nothing left.

    Only `grant`, `take` and `release` write; each notes its row in `touched`.
    """

    names: tuple[str, ...]
    models: tuple[str, ...]
    model: Integers  # index in `models`, by node
    gpus: Integers
    left: Integers
    cpu: Integers  # millicores
    memory: Integers  # bytes
    kinds: Integers  # pods of each kind of GPU demand, (nodes x kinds)
    free_of_model: Integers  # thousandths of a GPU
    touched: list[int]

    @classmethod
    def empty(
        cls,
        names: Sequence[str],
        models: Sequence[str],
        gpus: Sequence[int],
        cpu_millicores: Sequence[int],
        memory_bytes: Sequence[int],
    ) -> Fleet:
        """Nodes that nothing runs on. `models` is each node's."""
        known = tuple(sorted(set(models)))
        index = {name: number for number, name in enumerate(known)}
        model = np.array([index[name] for name in models], dtype=np.int64)
        count = np.array(gpus, dtype=np.int64)
        slots = np.arange(max(1, int(count.max(initial=0))))
        left = np.where(slots < count[:, None], WHOLE, 0).astype(np.int64)
        free = np.bincount(model, weights=count * WHOLE, minlength=len(known)).astype(np.int64)
        return cls(
            names=tuple(names),
            models=known,
            model=model,
            gpus=count,
            left=left,
            cpu=np.array(cpu_millicores, dtype=np.int64),
            memory=np.array(memory_bytes, dtype=np.int64),
            kinds=np.zeros((len(count), MOST_KINDS), dtype=np.int64),
            free_of_model=free,
            touched=[],
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def capacity_milli(self) -> int:
        return int(self.gpus.sum()) * WHOLE

    @property
    def left_milli(self) -> int:
        return int(self.free_of_model.sum())

    def feasible(self, demand: Demand, rows: Rows = ALL) -> Booleans:
        """Which of the rows have room for it."""
        fits: Booleans = (self.cpu[rows] >= demand.cpu_millicores) & (
            self.memory[rows] >= demand.memory_bytes
        )
        if demand.models != ANY_MODEL:
            allowed = np.array(
                [demand.models >> i & 1 for i in range(len(self.models))], dtype=bool
            )
            fits &= allowed[self.model[rows]]
        if demand.gpus:
            fits &= (self.left[rows] >= demand.share).sum(axis=1) >= demand.gpus
        return fits

    def grant(self, demand: Demand, row: int, slot: int = -1) -> Grant:
        """Take it from the node: a share from `slot`, whole GPUs from the first that are free.

        Raises ValueError where there is no room.
        """
        if not self.feasible(demand, np.array([row]))[0]:
            raise ValueError(f"{self.names[row]} has no room for {demand}")
        left = self.left[row]
        if demand.is_shared:
            slots = (slot if slot >= 0 else int(np.argmax(left >= demand.share)),)
            if left[slots[0]] < demand.share:
                raise ValueError(f"GPU {slot} of {self.names[row]} has no room for {demand}")
        else:
            slots = tuple(np.flatnonzero(left >= WHOLE)[: demand.gpus].tolist())
        self._add(Grant(demand, row, slots), -1)
        return Grant(demand, row, slots)

    def take(self, grant: Grant) -> None:
        """Take it from those very GPUs: the opposite of `release`.

        Raises ValueError where there is no room.
        """
        demand, row, slots = grant
        free = self.left[row, list(slots)] >= demand.share
        if (
            not self.feasible(demand, np.array([row]))[0]
            or len(set(slots)) != demand.gpus
            or not free.all()
        ):
            raise ValueError(f"GPUs {slots} of {self.names[row]} have no room for {demand}")
        self._add(grant, -1)

    def release(self, grant: Grant) -> None:
        """Give it back."""
        self._add(grant, 1)

    def copy(self) -> Fleet:
        """One whose changes are its own."""
        return replace(
            self,
            left=self.left.copy(),
            cpu=self.cpu.copy(),
            memory=self.memory.copy(),
            kinds=self.kinds.copy(),
            free_of_model=self.free_of_model.copy(),
            touched=[],
        )

    def _add(self, grant: Grant, sign: int) -> None:
        demand, row, slots = grant
        for slot in slots:
            self.left[row, slot] += sign * demand.share
        self.cpu[row] += sign * demand.cpu_millicores
        self.memory[row] += sign * demand.memory_bytes
        self.free_of_model[self.model[row]] += sign * demand.milli
        if demand.gpus:
            self.kinds[row, kind(demand)] -= sign
        self.touched.append(row)


def kind(demand: Demand) -> int:
    """0 for a share of a GPU, else the number of GPUs, the large ones as one."""
    return 0 if demand.is_shared else min(demand.gpus, MOST_KINDS - 1)
