"""The JSON answers that both a command and the HTTP API give; their shape is a promise."""

from __future__ import annotations

from agentaflow_advisor.advice import Advice, saved, totals
from agentaflow_advisor.price import NodePrice


def advice_document(advice: Advice, price_warning: str | None) -> dict[str, object]:
    """`agentaflow recommend -o json` and /api/v1/recommendations; docs/cli.md describes it."""
    snapshot, table = advice.snapshot, advice.table
    priced = [price for price in advice.prices.values() if isinstance(price, NodePrice)]
    return {
        "evidence": {
            "taken_at": snapshot.taken_at,
            "window_seconds": snapshot.window_seconds,
            "percentile": snapshot.percentile,
            "gpus": len(snapshot.gpus),
            "nodes": len(snapshot.nodes),
            "has_cluster": snapshot.has_cluster,
        },
        "queries": snapshot.queries,
        "prices": {
            "table": table.title,
            "dated": table.dated.isoformat(),
            "age_days": table.age_days(snapshot.taken_at),
            "warning": price_warning,
            "basis": "residual",
            "priced_nodes": len(priced),
            "assumed_nodes": sum(price.assumed for price in priced),
        },
        "totals": totals(advice.recommendations),
        "saves_per_month": saved(advice.recommendations),
        "recommendations": advice.recommendations,
        "refusals": advice.refusals,
    }
