"""The MIG slices that GPUs can be cut into, and what part of its GPU each is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from agentaflow_advisor.price.models import plain


@dataclass(frozen=True, slots=True)
class Slice:
    """A profile, and the parts of the GPU's multiprocessors and memory that it has (0 to 1)."""

    profile: str
    compute: Decimal
    memory: Decimal

    @property
    def share(self) -> Decimal:
        """What it takes of the GPU: the larger part, since the rest of the other is of no use."""
        return max(self.compute, self.memory)


def _cut(sevenths: Iterable[tuple[str, int, int]]) -> tuple[Slice, ...]:
    return tuple(Slice(name, Decimal(c) / 7, Decimal(m) / 8) for name, c, m in sevenths)


def _quarters(*names: str) -> tuple[Slice, ...]:
    return tuple(
        Slice(name, part, part)
        for name, part in zip(names, map(Decimal, (".25", ".5")), strict=True)
    )


def _sevenths(small: int, double: int, half: int) -> tuple[Slice, ...]:
    """By the gigabytes in the names of an eighth, two eighths and a half of the memory."""
    return _cut(
        (
            (f"1g.{small}gb", 1, 1),
            (f"1g.{double}gb", 1, 2),
            (f"2g.{double}gb", 2, 2),
            (f"3g.{half}gb", 3, 4),
            (f"4g.{half}gb", 4, 4),
        )
    )


_40 = _sevenths(5, 10, 20)
_80 = _sevenths(10, 20, 40)
_94 = _sevenths(12, 24, 47)
_141 = _sevenths(18, 35, 71)

SLICES: Mapping[str, tuple[Slice, ...]] = {
    "a30": _quarters("1g.6gb", "2g.12gb"),
    "a100 sxm4 40gb": _40,
    "a100 pcie 40gb": _40,
    "a100 sxm4 80gb": _80,
    "a100 80gb pcie": _80,
    "h100 80gb hbm3": _80,
    "h100 pcie": _80,
    "h100 nvl": _94,
    "h200": _141,
    "h200 nvl": _141,
    "b200": _sevenths(23, 45, 90),
    "b300": _sevenths(34, 67, 135),
    "b300 sxm6 ac": _sevenths(34, 67, 135),
    "rtx pro 6000 blackwell server edition": _quarters("1g.24gb", "2g.48gb"),
}
"""By nvmlDeviceGetName as `plain` has it; the whole GPU as a slice saves nothing and is left out.

NVIDIA MIG User Guide, "Supported MIG Profiles".
"""


@lru_cache(maxsize=256)
def slices_of(model: str) -> tuple[Slice, ...]:
    """From the smallest; none where the GPU cannot be cut, or is not known."""
    return tuple(sorted(SLICES.get(plain(model), ()), key=lambda one: (one.share, one.profile)))


_PROFILE = re.compile(r"(?:\d+c\.)?((\d+)g\.(\d+)gb)(?:\+\S+|-\S+)?", re.IGNORECASE)
"""A compute instance's part of it before a c, attributes such as +me behind."""


def share(profile: str, model: str | None, memory_total_bytes: float | None) -> Decimal | None:
    """What a slice takes of its GPU; None where that cannot be told.

    Of a product without a row: sevenths of the compute and eighths of the memory, in which MIG cuts
    most GPUs (NVIDIA MIG User Guide, partitioning). A profile's gigabytes are rounded.
    """
    found = _PROFILE.fullmatch(profile.strip())
    if not found:
        return None
    known = slices_of(model) if model else ()
    for each in known:
        if each.profile == found[1].lower():
            return each.share
    if known:
        return Decimal(1)  # the one that is all of it
    if not memory_total_bytes:
        return None
    eighths = max(1, round(float(found[3]) * 1e9 / memory_total_bytes * 8))
    return min(Decimal(1), max(Decimal(found[2]) / 7, Decimal(eighths) / 8))
