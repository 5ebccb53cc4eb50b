"""What part of a GPU a MIG slice is: its compute or its memory, whichever is more."""

from __future__ import annotations

import re
from decimal import Decimal

COMPUTE_SLICES = 7
MEMORY_SLICES = 8
_PROFILE = re.compile(r"(?:\d+c\.)?(\d+)g\.(\d+)gb(?:\+\S+|-\S+)?", re.IGNORECASE)


def share(profile: str, memory_total_bytes: float | None) -> Decimal | None:
    """`3g.40gb` of a GPU with that memory: max(3/7, 4/8); None where it cannot be told.

    A profile's gigabytes are rounded, so its memory is counted in eighths of the GPU's, as MIG
    cuts it (NVIDIA MIG User Guide, partitioning).
    """
    found = _PROFILE.fullmatch(profile.strip())
    if not found or not memory_total_bytes:
        return None
    compute = Decimal(found[1]) / COMPUTE_SLICES
    eighths = round(float(found[2]) * 1e9 / memory_total_bytes * MEMORY_SLICES)
    memory = Decimal(max(1, eighths)) / MEMORY_SLICES
    return min(Decimal(1), max(compute, memory))
