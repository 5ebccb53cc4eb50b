"""Decisions as JSON and back, in one canonical form, so that what is hashed can be compared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from agentaflow_advisor.model import ACTIONS, Action, Decision, Evidence, State


def canonical(value: object) -> str:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def columns(decision: Decision) -> dict[str, Any]:
    """What the journal's table holds of a decision, except the state it is in."""
    action = decision.action
    return {
        "id": decision.id,
        "proposed_at": float(decision.proposed_at),
        "strategy": decision.strategy,
        "why": decision.why,
        "namespace": action.namespace,
        "pod": action.name,
        "uid": action.uid,
        "node": action.node,
        "action": canonical({"channel": action.channel, **asdict(action)}),
        "evidence": canonical(_evidence_fields(decision.evidence)),
    }


def decision(row: Mapping[str, Any]) -> Decision:
    """Raises ValueError, KeyError or TypeError where the row is none of ours."""
    return Decision(
        id=row["id"],
        proposed_at=row["proposed_at"],
        strategy=row["strategy"],
        why=row["why"],
        action=_action(json.loads(row["action"])),
        evidence=_evidence(json.loads(row["evidence"])),
        state=State(row["state"]),
        state_at=row["state_at"],
        actor=row["actor"],
        reason=row["reason"],
    )


def _evidence_fields(evidence: Evidence) -> dict[str, Any]:
    """JSON has no infinity: the age of a sample that Prometheus holds for stale is null."""
    age = evidence.newest_age_seconds
    return {**asdict(evidence), "newest_age_seconds": age if math.isfinite(age) else None}


def _evidence(fields: dict[str, Any]) -> Evidence:
    age = fields["newest_age_seconds"]
    known = {
        "promql": tuple(fields["promql"]),
        "newest_age_seconds": math.inf if age is None else age,
    }
    return Evidence(**{**fields, **known})


def _action(fields: dict[str, Any]) -> Action:
    try:
        return msgspec.convert(fields, ACTIONS[fields.pop("channel")])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
