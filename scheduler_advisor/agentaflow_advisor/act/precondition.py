"""What makes a write happen once: its preconditions, and the marker that it leaves behind."""

from __future__ import annotations

from typing import Any

from agentaflow_advisor.model import Action, Decision, Settled, State, Target
from agentaflow_advisor.model.names import DECISION, REVERTED


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
        return Settled(State.SUPERSEDED, reason, gone=True)
    if marker == decision.id:
        return Settled(State.APPLIED, f"{target.described} carries this decision's id")
    if marker != action.marker:
        reason = f"{target.described} was changed by decision {marker}"
        return Settled(State.SUPERSEDED, reason)
    return None


def unmarked(decision: Decision, target: Target) -> dict[str, Any]:
    """The beginning of the patch that takes a decision back, once."""
    patch = marked(decision, target)
    patch["metadata"]["annotations"] = {DECISION: None, REVERTED: decision.id}
    return patch


def undone(decision: Decision, target: Target) -> Settled | None:
    """Whether it was taken back already, or cannot be any more; None where it still stands."""
    if target.annotations.get(REVERTED) == decision.id:
        return Settled(State.REVERTED, f"{target.described} is as it was before")
    if target.uid != decision.action.uid or target.annotations.get(DECISION) != decision.id:
        reason = f"{target.described} was changed by someone else since"
        return Settled(State.SUPERSEDED, reason)
    return None
