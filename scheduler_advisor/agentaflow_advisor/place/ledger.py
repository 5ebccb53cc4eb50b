"""A plan's steps gone through again: which of them it could do without, and in what order."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from agentaflow_advisor.place.board import Pod, Step
from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.fleet import Fleet


@dataclass(slots=True)
class _Node:
    """What is left on a node, by GPU and in all."""

    left: list[int]
    cpu: int
    memory: int

    def fits(self, demand: Demand, slots: tuple[int, ...]) -> bool:
        return (
            self.cpu >= demand.cpu_millicores
            and self.memory >= demand.memory_bytes
            and all(self.left[slot] >= demand.share for slot in slots)
        )

    def add(self, demand: Demand, slots: tuple[int, ...], sign: int) -> None:
        self.cpu += sign * demand.cpu_millicores
        self.memory += sign * demand.memory_bytes
        for slot in slots:
            self.left[slot] += sign * demand.share


class Ledger:
    """Replays steps from the fleet as it is."""

    def __init__(self, fleet: Fleet, pods: Sequence[Pod]) -> None:
        self._pods = pods
        self._left: list[list[int]] = fleet.left.tolist()
        self._cpu: list[int] = fleet.cpu.tolist()
        self._memory: list[int] = fleet.memory.tolist()

    def replay(self, steps: Sequence[Step], without: Collection[int]) -> list[int]:
        """The steps, by index, that cannot be taken without those and the ones after them."""
        return list(self._failing(steps, without))

    def possible(self, steps: Sequence[Step], without: Collection[int] = ()) -> bool:
        """Whether all the others can be taken without those."""
        return next(self._failing(steps, without), None) is None

    def _failing(self, steps: Sequence[Step], without: Collection[int]) -> Iterator[int]:
        pods = self._pods
        nodes: dict[int, _Node] = {}
        places: dict[int, tuple[int, tuple[int, ...]]] = {}
        for index, (pod, row, slots) in enumerate(steps):
            own, held = places.get(pod) or (pods[pod].row, pods[pod].slots)
            if index in without or (own, held) == (row, slots):
                continue
            demand = pods[pod].demand
            node = nodes.get(row) or nodes.setdefault(row, self._node(row))
            if not node.fits(demand, slots):
                yield index
                continue
            node.add(demand, slots, -1)
            if own >= 0:
                (nodes.get(own) or nodes.setdefault(own, self._node(own))).add(demand, held, 1)
            places[pod] = (row, slots)

    def _node(self, row: int) -> _Node:
        return _Node(self._left[row].copy(), self._cpu[row], self._memory[row])

    def needed(self, steps: Sequence[Step]) -> list[Step]:
        """Without the moves that nobody needs who waits; the last ones are looked at first."""
        gone: set[int] = set()
        for group in reversed(self._groups(steps)):
            if self.possible(steps, gone | set(group)):
                gone.update(group)
        return [step for index, step in enumerate(steps) if index not in gone]

    def lost(self, steps: Sequence[Step], index: int) -> tuple[int, ...]:
        """The pods that wait, and would still if this move (or that of its gang) were not made."""
        group = next(group for group in self._groups(steps) if index in group)
        failed = self.replay(steps, set(group))
        return tuple(steps[one].pod for one in failed if self._pods[steps[one].pod].row < 0)

    def order(self, steps: Sequence[Step], worth: Sequence[float]) -> list[int]:
        """Indices in an order in which each is possible: what is worth most as early as it can be.

        Steps that touch the same node keep their order.
        """
        after: defaultdict[int, list[int]] = defaultdict(list)
        before = [0] * len(steps)
        last: dict[tuple[str, int], int] = {}
        place = {step.pod: self._pods[step.pod].row for step in steps}
        for index, step in enumerate(steps):
            touched = {("row", step.row), ("row", place[step.pod]), ("pod", step.pod)}
            for one in {last[key] for key in touched if key in last and key != ("row", -1)}:
                after[one].append(index)
                before[index] += 1
            last.update(dict.fromkeys(touched, index))
            place[step.pod] = step.row
        ready = [(-worth[index], index) for index, count in enumerate(before) if not count]
        heapq.heapify(ready)
        found: list[int] = []
        while ready:
            _, index = heapq.heappop(ready)
            found.append(index)
            for one in after[index]:
                before[one] -= 1
                if not before[one]:
                    heapq.heappush(ready, (-worth[one], one))
        return found

    def _groups(self, steps: Sequence[Step]) -> list[tuple[int, ...]]:
        """Moves that are made together or not at all, by index."""
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for index, step in enumerate(steps):
            pod = self._pods[step.pod]
            if pod.row >= 0:
                groups[f"gang {pod.gang}" if pod.gang else f"step {index}"].append(index)
        return [tuple(group) for group in groups.values()]
