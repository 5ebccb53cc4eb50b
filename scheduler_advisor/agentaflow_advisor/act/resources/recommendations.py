"""GPURecommendations: the journal's open decisions in the API, and the approvals given there.

The journal leads: what is written here follows from it, but for the annotation of an approver.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.types import PatchType

from agentaflow_advisor.act.api import read, write
from agentaflow_advisor.act.errors import Conflict, Unprotected
from agentaflow_advisor.act.resources.approvals import guarded_since
from agentaflow_advisor.act.resources.kinds import API_VERSION, RECOMMENDATION
from agentaflow_advisor.decide import codec
from agentaflow_advisor.decide.approval import approve
from agentaflow_advisor.decide.errors import WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.model.names import APPROVED, APPROVED_BY, FIELD_MANAGER

LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Approval:
    """What an annotation says: who said yes to which state of things."""

    decision_id: str
    hash: str
    by: str
    possible_since: float  # when the object was made, seconds since the epoch


def plan_hash(decision: Decision) -> str:
    """Of the action and of its object's state: another plan, or another object, has another."""
    columns = codec.columns(decision)
    return hashlib.sha256((columns["id"] + columns["action"]).encode()).hexdigest()


def publish(client: Client, namespace: str, decisions: Iterable[Decision], policy: Policy) -> None:
    """Each decision as an object of its own, with its newest state. Raises ApiTrouble."""
    there = _there(client, namespace)
    for decision in decisions:
        seen = there.get(decision.id)
        if seen is None:
            _create(client, namespace, decision, policy)
        if seen is None or (seen.get("status") or {}) != _status(decision):
            _tell(client, namespace, decision)


def _create(client: Client, namespace: str, decision: Decision, policy: Policy) -> None:
    body = RECOMMENDATION(
        apiVersion=API_VERSION,
        kind="GPURecommendation",
        metadata=ObjectMeta(name=decision.id, namespace=namespace),
        spec=_spec(decision, policy),
    )
    with suppress(Conflict):  # another process was first
        write(lambda: client.create(body, field_manager=FIELD_MANAGER))


def _tell(client: Client, namespace: str, decision: Decision) -> None:
    write(
        lambda: client.patch(
            RECOMMENDATION.Status,
            decision.id,
            {"status": _status(decision)},
            namespace=namespace,
            patch_type=PatchType.MERGE,
            field_manager=FIELD_MANAGER,
        )
    )


def forget(client: Client, namespace: str, keep: Iterable[str]) -> None:
    """Delete the objects of decisions that are not among these. Raises ApiTrouble."""
    for name in _there(client, namespace).keys() - set(keep):
        _delete(client, namespace, name)


def _delete(client: Client, namespace: str, name: str) -> None:
    with suppress(Conflict):
        write(lambda: client.delete(RECOMMENDATION, name, namespace=namespace))


def adopt(
    client: Client, namespace: str, journal: Journal, policy: Policy, *, now: float
) -> tuple[Decision, ...]:
    """Say yes in the journal to what was approved in the API. Raises ApiTrouble, JournalError.

    Only where the approval repeats the hash of the plan that the journal holds: a yes to another
    plan is none. And only where the admission policy has seen to who wrote it, all the time that
    the object was there; raises Unprotected of those where it has not, after the others.
    """
    plans = {each.id: plan_hash(each) for each in journal.list((State.PROPOSED,))}
    found = [
        approval
        for approval in _approvals(_there(client, namespace))
        if plans.get(approval.decision_id) == approval.hash
    ]
    guarded = guarded_since(client) if found else ""
    adopted, refused = [], []
    for approval in found:
        if why := _unguarded(approval, guarded):
            refused.append(
                f"the approval of GPURecommendation {namespace}/{approval.decision_id} is not "
                f"taken: {why}, or use `agentaflow approve`"
            )
            continue
        with suppress(WrongState):  # somebody else was first
            adopted.append(
                approve(journal, approval.decision_id, actor=approval.by, now=now, policy=policy)
            )
    if refused:
        raise Unprotected(refused[0])
    return tuple(adopted)


def _unguarded(approval: Approval, guarded: float | str) -> str | None:
    """Why anybody could have written it; None where only who may approve could."""
    if isinstance(guarded, str):
        return f"{guarded}; apply manifests/approvals.yaml"
    if approval.possible_since < guarded:
        return "it is older than the policy on approvals; approve the next one"
    return None


def _approvals(there: Mapping[str, Any]) -> Iterable[Approval]:
    for name, seen in there.items():
        meta = seen.metadata
        notes, made = meta.annotations or {}, meta.creationTimestamp
        if notes.get(APPROVED):
            since = made.timestamp() if made else 0.0
            yield Approval(name, notes[APPROVED], notes.get(APPROVED_BY, ""), since)


def _there(client: Client, namespace: str) -> dict[str, Any]:
    """All that there are, by name."""
    found = read(lambda: tuple(client.list(RECOMMENDATION, namespace=namespace)))
    return {one.metadata.name: one for one in found or () if one.metadata and one.metadata.name}


def _spec(decision: Decision, policy: Policy) -> dict[str, Any]:
    action = decision.action
    expires = datetime.fromtimestamp(decision.proposed_at + policy.proposal_ttl_seconds, UTC)
    return {
        "decision": decision.id,
        "channel": action.channel,
        "kind": action.kind,
        "target": action.ref,
        "node": action.node,
        "hash": plan_hash(decision),
        "expiresAt": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "strategy": decision.strategy,
        "why": decision.why[:LONGEST],
    }


def _status(decision: Decision) -> dict[str, str]:
    return {
        "state": str(decision.state),
        "reason": decision.reason[:LONGEST],
        "actor": decision.actor[:512],
    }
