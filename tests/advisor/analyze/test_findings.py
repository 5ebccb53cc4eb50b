"""In which order findings are told."""

from __future__ import annotations

from dataclasses import replace

from agentaflow_advisor.analyze.findings import ordered
from tests.support.advice import about, recommendation


def test_what_saves_most_comes_first_then_what_is_surest() -> None:
    """A sick GPU saves nothing, and is not to be lost behind what is merely worth a look."""
    dear, cheap = (replace(about(usd), id=usd) for usd in ("200", "100"))
    free = replace(recommendation(), saves=None)
    sure, unsure = (
        replace(free, id=f"{name}-gpu", confidence=confidence)
        for name, confidence in (("drain", 0.9), ("check", 0.6))
    )
    found = ordered([unsure, cheap, sure, dear], ())
    assert [each.id for each in found.recommendations] == ["200", "100", "drain-gpu", "check-gpu"]
