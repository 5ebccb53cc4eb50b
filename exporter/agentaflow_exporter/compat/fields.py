"""How a row of DCGM's tables is written, and the conversions that undo our units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from agentaflow_exporter.compat.translation import Field, Source
from agentaflow_exporter.driver import Number

DEVICE, PROFILING = "DCGM_FI_DEV_", "DCGM_FI_PROF_"
NO_FIELD = "DCGM has no such field"


def field(
    names: str,
    meaning: str,
    unit: str,
    *sources: Source,
    convert: Callable[..., Number] | None = None,
    kind: Literal["gauge", "counter"] = "gauge",
    of_instance: tuple[Source, ...] | None = None,
    prefix: str = DEVICE,
) -> Field:
    """`names`: without the prefix; the old one, and 4.6's if it is another."""
    old, _, new = names.partition(" ")
    both = prefix + old, prefix + (new or old)
    return Field(both, kind, meaning, unit, convert or _same, sources, of_instance)


def _same(value: Number) -> Number:
    return value


def whole(factor: float) -> Callable[[Number], int]:
    """So many times the reading, as a whole number."""
    return lambda value: round(value * factor)


def mebibytes(value: Number) -> int:
    """Cut, as DCGM does."""
    return int(value) >> 20
