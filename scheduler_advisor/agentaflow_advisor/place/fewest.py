"""The cheapest that would have to go so that something fits, without those that could stay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")
C = TypeVar("C", contravariant=True)


class Trial(Protocol[C]):
    """What would be if some went; nothing really goes."""

    def fits(self) -> bool:
        """Whether there is room as it stands."""

    def may_go(self, one: C, /) -> bool:
        """Whether this one may go beside those that are gone."""

    def remove(self, one: C, /) -> None: ...

    def keep(self, one: C, /) -> None:
        """Bring back one that was removed."""


def fewest(trial: Trial[T], cheapest_first: Iterable[T]) -> list[T] | None:
    """None where even all who may go would not be enough. The trial is left with them gone."""
    going: list[T] = []
    for each in cheapest_first:
        if trial.fits():
            break
        if trial.may_go(each):
            trial.remove(each)
            going.append(each)
    if not trial.fits():
        return None
    for each in reversed(tuple(going)):
        trial.keep(each)
        if trial.fits():
            going.remove(each)
        else:
            trial.remove(each)
    return going
