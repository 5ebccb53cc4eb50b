"""What makes a write happen once: its preconditions, and the marker that it leaves behind."""

from __future__ import annotations

from typing import Any

from agentaflow_advisor.model import Action, Decision, Settled, State, Target
from agentaflow_advisor.model.names import DECISION


def marked(decision: Decision, target: Target) -> dict[str, Any]:
    """The beginning of a merge patch: refused unless the object is still the one that was read."""
    return {
        "metadata": {
            "uid": target.uid,
            "resourceVersion": target.resource_version,
            "annotations": {DECISION: decision.id},
        }
    }


def marker_settles(action: Action, decision: Decision, target: Target) -> Settled | None:
    """What the object's identity and its marker say; None where the decision is still open."""
    marker = target.annotations.get(DECISION)
    if target.uid != action.uid:
        reason = f"{target.described} was replaced by another of its name"
        return Settled(State.SUPERSEDED, reason)
    if marker == decision.id:
        return Settled(State.APPLIED, f"{target.described} carries this decision's id")
    if marker != action.marker:
        reason = f"{target.described} was changed by decision {marker}"
        return Settled(State.SUPERSEDED, reason)
    return None
