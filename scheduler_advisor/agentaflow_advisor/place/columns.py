"""What nodes have left as columns, a row each; and which of them lack something for a pod."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from agentaflow_advisor.model import Node
from agentaflow_advisor.place.capacity import GPUS, STANDARD, Capacity, Occupancy, short
from agentaflow_advisor.place.fleet import Booleans, Integers


@dataclass(slots=True)
class Columns:
    """`left` is by resource, as `Capacity.amounts` names them; GPUs that are free and of no use
    (`broken`) are left out. `promised` are GPUs of pods that do not run yet.
    """

    left: dict[str, Integers]
    broken: Integers
    promised: Integers

    @classmethod
    def of(cls, nodes: Sequence[Node], taken: Occupancy, broken: Sequence[int]) -> Columns:
        """Of known nodes, beside what is taken."""
        promised = [taken.promised_gpus[node.name] for node in nodes]
        return cls._made([taken.free[node.name] for node in nodes], promised, broken)

    @classmethod
    def offered(cls, nodes: Sequence[Node], broken: Sequence[int]) -> Columns:
        """Of known nodes, if nothing ran there."""
        return cls._made([Capacity.of_node(node) for node in nodes], [0] * len(nodes), broken)

    @classmethod
    def _made(
        cls, free: Sequence[Capacity], promised: Sequence[int], broken: Sequence[int]
    ) -> Columns:
        useless = np.array(broken, dtype=np.int64)
        amounts = [each.amounts() for each in free]
        names = dict.fromkeys((*STANDARD, *chain(*amounts)))
        left = {
            name: np.array([each.get(name, 0) for each in amounts], dtype=np.int64)
            for name in names
        }
        left[GPUS] -= useless
        return cls(left, useless, np.array(promised, dtype=np.int64))

    def take(self, row: int, ask: Capacity, *, promised: int = 0, sign: int = 1) -> None:
        """Deduct what a pod asks for, and promise it GPUs; with sign -1 give both back."""
        for name, amount in ask.amounts().items():
            if amount:
                self.left[name][row] -= sign * amount
        self.promised[row] += sign * promised

    def at(self, row: int) -> Capacity:
        """What one node has left."""
        return Capacity.of_amounts({name: int(left[row]) for name, left in self.left.items()})

    def after(self, ask: Capacity) -> dict[str, Integers]:
        """What every node would have left with the pod on it."""
        return {name: self.of_resource(name) - amount for name, amount in ask.amounts().items()}

    def narrow(self, able: Booleans, ask: Capacity) -> tuple[Booleans, Counter[str]]:
        """Those of the able rows that have room, and why the others have none."""
        refused: Counter[str] = Counter()
        for name, bad in self._lacking(ask):
            bad &= able
            if bad.any():
                refused.update(self._why(name, ask, bad))
                able = able & ~bad
        return able, refused

    def _lacking(self, ask: Capacity) -> Iterator[tuple[str, Booleans]]:
        for name, amount in ask.amounts().items():
            if amount:
                yield name, self.of_resource(name) < amount

    def of_resource(self, name: str) -> Integers:
        """What is left of it; nothing where no node offers it."""
        found = self.left.get(name)
        return np.zeros_like(self.broken) if found is None else found

    def _why(self, name: str, ask: Capacity, bad: Booleans) -> dict[str, int]:
        """The same words with the number of broken GPUs, where that may be the cause."""
        if not ask.gpus:
            return {short(name): int(bad.sum())}
        counts = np.bincount(self.broken[bad]).tolist()
        return {_said(name, broken): many for broken, many in enumerate(counts) if many}


def _said(name: str, broken: int) -> str:
    lost = f" ({broken} lost or held by a process without a pod)" if broken else ""
    return f"{short(name)}{lost}"
