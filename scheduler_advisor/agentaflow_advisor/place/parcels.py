"""Parcels: pods that leave a GPU at once, one or two, as arrays over all that may be moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentaflow_advisor.place.board import Board
from agentaflow_advisor.place.fleet import Integers
from agentaflow_advisor.place.scorer import Floats


@dataclass(frozen=True, slots=True)
class Parcels:
    """By parcel: its pods and their kinds (a column for each), the place, and what it takes."""

    pods: Integers
    kinds: Integers
    row: Integers
    slot: Integers  # -1 without a GPU
    share: Integers
    millicores: Integers
    bytes: Integers

    @classmethod
    def of(cls, board: Board, pods: Integers) -> Parcels:
        kinds = board.kind[pods]
        return cls(
            pods,
            kinds,
            board.row[pods[:, 0]],
            board.slot[pods[:, 0]],
            board.share[kinds].sum(axis=1),
            board.millicores[kinds].sum(axis=1),
            board.bytes[kinds].sum(axis=1),
        )


def singles(board: Board, pods: Integers) -> Parcels:
    return Parcels.of(board, pods[:, None])


def pairs(board: Board, pods: Integers) -> Parcels:
    """Any two that share a GPU."""
    sharing = pods[board.slot[pods] >= 0]
    place = board.row[sharing] * board.left.shape[1] + board.slot[sharing]
    order = np.argsort(place, kind="stable")
    sharing, place = sharing[order], place[order]
    found = [np.empty((0, 2), np.int64)]
    for apart in range(1, len(place)):
        at = np.flatnonzero(place[apart:] == place[:-apart])
        if not len(at):
            break
        found.append(np.column_stack([sharing[at], sharing[at + apart]]))
    return Parcels.of(board, np.concatenate(found))


def gained(board: Board, parcels: Parcels) -> Floats:
    """By parcel, what its going is worth."""
    row, slot = parcels.row, parcels.slot
    hole, before, cpu = board.prices.hole, board.hole_worth[row], board.cpu[row]
    left = board.left[row, np.maximum(slot, 0)]
    grown = np.where(slot >= 0, hole[left + parcels.share] - hole[left], 0.0)
    after = board.node_worth(before + grown, cpu + parcels.millicores)
    worth: Floats = after - board.node_worth(before, cpu)
    return worth
