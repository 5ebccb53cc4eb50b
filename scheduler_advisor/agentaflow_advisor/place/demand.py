"""What a pod asks for, in whole units; pods that ask for the same are placed alike."""

from __future__ import annotations

from typing import NamedTuple

WHOLE = 1000
"""Thousandths in a GPU."""
ANY_MODEL = -1


class Demand(NamedTuple):
    """`share` is the thousandths that it takes of each of its `gpus`; below 1000 it is one GPU's.

    `models` is a bit mask of the models that will do, by their index in the fleet.
    """

    cpu_millicores: int
    memory_bytes: int
    gpus: int = 0
    share: int = WHOLE
    models: int = ANY_MODEL

    @property
    def is_shared(self) -> bool:
        return self.gpus > 0 and self.share < WHOLE

    @property
    def milli(self) -> int:
        """Thousandths of a GPU that it takes in all."""
        return self.gpus * self.share
