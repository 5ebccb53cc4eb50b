"""A plan's steps gone through again: which of them it could do without, and in what order."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Sequence

from agentaflow_advisor.place.board import Pod, Step
from agentaflow_advisor.place.fleet import Fleet


class Ledger:
    """Replays steps from the fleet as it is."""

    def __init__(self, fleet: Fleet, pods: Sequence[Pod]) -> None:
        self._fleet, self._pods = fleet, pods

    def replay(self, steps: Sequence[Step], without: Collection[int]) -> list[int]:
        """The steps, by index, that cannot be taken without those and the ones after them."""
        fleet, pods = self._fleet, self._pods
        touched = {step.row for step in steps} | {pods[step.pod].row for step in steps}
        left = {row: fleet.left[row].tolist() for row in touched if row >= 0}
        cpu = {row: int(fleet.cpu[row]) for row in left}
        memory = {row: int(fleet.memory[row]) for row in left}
        places = {step.pod: (pods[step.pod].row, pods[step.pod].slots) for step in steps}
        failed: list[int] = []
        for index, (pod, row, slots) in enumerate(steps):
            if index in without or places[pod] == (row, slots):
                continue
            demand, (own, held) = pods[pod].demand, places[pod]
            room = left[row]
            if (
                cpu[row] < demand.cpu_millicores
                or memory[row] < demand.memory_bytes
                or any(room[slot] < demand.share for slot in slots)
            ):
                failed.append(index)
                continue
            for slot in slots:
                room[slot] -= demand.share
            cpu[row] -= demand.cpu_millicores
            memory[row] -= demand.memory_bytes
            if own >= 0:
                for slot in held:
                    left[own][slot] += demand.share
                cpu[own] += demand.cpu_millicores
                memory[own] += demand.memory_bytes
            places[pod] = (row, slots)
        return failed

    def needed(self, steps: Sequence[Step]) -> list[Step]:
        """Without the moves that nobody needs who waits; the last ones are looked at first."""
        kept = list(steps)
        for group in reversed(self._groups(steps)):
            indices = {kept.index(steps[one]) for one in group}
            if not self.replay(kept, indices):
                kept = [step for index, step in enumerate(kept) if index not in indices]
        return kept

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
