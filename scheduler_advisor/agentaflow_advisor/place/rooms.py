"""How many members of each demand a fleet could take: kept by node, and only touched ones counted.

Members of one demand do not get into each other's way beyond what they take, so a gang has room if
and only if the nodes' numbers add up to its members, whatever the order in which they are placed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentaflow_advisor.place.demand import ANY_MODEL, WHOLE, Demand
from agentaflow_advisor.place.fleet import Fleet, Integers

_PLENTY = 1 << 30  # where nothing that a node has is asked for
_ROWS_AT_ONCE = 64


class Rooms:
    """`total` is by demand, in the order in which they were given."""

    def __init__(self, fleet: Fleet, demands: Sequence[Demand]) -> None:
        self._fleet = fleet
        self._asks = _Asks(demands, len(fleet.models))
        self._rooms = np.zeros((len(demands), len(fleet)), dtype=np.int64)
        for first in range(0, len(fleet), _ROWS_AT_ONCE):
            rows = np.arange(first, min(len(fleet), first + _ROWS_AT_ONCE))
            self._rooms[:, rows] = self._asks.rooms(fleet, rows)
        self.total: Integers = self._rooms.sum(axis=1)
        self._seen = len(fleet.touched)

    def refresh(self) -> None:
        """Count again where something was granted or released."""
        touched = self._fleet.touched
        if self._seen == len(touched):
            return
        rows = np.array(sorted(set(touched[self._seen :])), dtype=np.int64)
        self._seen = len(touched)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[first : first + _ROWS_AT_ONCE]
            rooms = self._asks.rooms(self._fleet, some)
            self.total += (rooms - self._rooms[:, some]).sum(axis=1)
            self._rooms[:, some] = rooms


class _Asks:
    """Demands as arrays."""

    def __init__(self, demands: Sequence[Demand], models: int) -> None:
        self._cpu = np.array([one.cpu_millicores for one in demands], dtype=np.int64)
        self._memory = np.array([one.memory_bytes for one in demands], dtype=np.int64)
        self._gpus = np.array([one.gpus for one in demands], dtype=np.int64)
        self._shared = [i for i, one in enumerate(demands) if one.is_shared]
        shares = np.array([demands[i].share for i in self._shared], dtype=np.int64)
        self._shares, self._share = np.unique(shares, return_inverse=True)
        self._allowed = np.array(
            [
                [one.models == ANY_MODEL or bool(one.models >> m & 1) for m in range(models)]
                for one in demands
            ],
            dtype=bool,
        ).reshape(len(demands), models)

    def rooms(self, fleet: Fleet, rows: Integers) -> Integers:
        """By demand and row."""
        left = fleet.left[rows]
        found = _times((left >= WHOLE).sum(axis=1), self._gpus)
        if self._shared:
            by_share = (left // self._shares[:, None, None]).sum(axis=2)
            found[self._shared] = by_share[self._share]
        np.minimum(found, _times(fleet.cpu[rows], self._cpu), out=found)
        np.minimum(found, _times(fleet.memory[rows], self._memory), out=found)
        found[~self._allowed[:, fleet.model[rows]]] = 0
        return found


def _times(there: Integers, asked: Integers) -> Integers:
    """How often what is asked for is there, by ask and row."""
    found: Integers = there // np.maximum(asked, 1)[:, None]
    found[asked == 0] = _PLENTY
    return found


def rooms_by_row(fleet: Fleet, demand: Demand) -> Integers:
    """How many members of one demand each node could take."""
    rooms: Integers = _Asks([demand], len(fleet.models)).rooms(fleet, np.arange(len(fleet)))[0]
    return rooms


def room(fleet: Fleet, demand: Demand) -> int:
    """How many the whole fleet could take."""
    return int(rooms_by_row(fleet, demand).sum())
