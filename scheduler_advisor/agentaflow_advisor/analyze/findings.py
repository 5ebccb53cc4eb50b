"""What every analysis returns: recommendations, and refusals that say why there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from agentaflow_advisor.model import Evidence, Recommendation, Refusal, Snapshot, Usage


@dataclass(frozen=True, slots=True)
class Findings:
    """Both in a fixed order: what saves most first, then what is surest, refusals by subject."""

    recommendations: tuple[Recommendation, ...]
    refusals: tuple[Refusal, ...]


def ordered(recommendations: Iterable[Recommendation], refusals: Iterable[Refusal]) -> Findings:
    """The same findings in the same order, whatever order the fleet came in."""
    return Findings(
        tuple(sorted(recommendations, key=_rank)),
        tuple(sorted(set(refusals), key=lambda refusal: (refusal.subject, refusal.reason))),
    )


def _rank(found: Recommendation) -> tuple[Decimal, float, str]:
    saving = found.saves.per_month.amount if found.saves else Decimal(0)
    return (-saving, -found.confidence, found.id)


def stable_id(kind: str, *what: str) -> str:
    """The same finding has the same id tomorrow: it hangs on names, never on figures."""
    text = "\0".join((kind, *what))
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def evidence(
    snapshot: Snapshot, usage: Usage, signals: Iterable[str], dialect: str = ""
) -> Evidence:
    """The queries behind those signals, and how much they rest on.

    Of several exporters' queries only those of `dialect`, which told the GPU in question.
    """
    wanted = frozenset(signals)
    return Evidence(
        promql=tuple(
            query.promql
            for query in snapshot.queries
            if query.signal in wanted and (not dialect or query.dialect in ("", dialect))
        ),
        evaluated_at=snapshot.taken_at,
        newest_age_seconds=usage.newest_age_seconds,
        samples=usage.samples,
    )
