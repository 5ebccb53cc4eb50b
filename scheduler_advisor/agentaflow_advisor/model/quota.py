"""What a namespace's quota leaves of one resource."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuotaLeft:
    """Of `hard` of that resource, so many may still be asked for."""

    namespace: str
    name: str
    resource: str
    hard: int
    left: int
