"""Kubernetes Events about decisions, for whoever looks at the object with kubectl describe.

They are notices, not an audit trail: the API server forgets them after an hour.
"""

from __future__ import annotations

from datetime import UTC, datetime

from lightkube import Client
from lightkube.models.core_v1 import ObjectReference
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.events_v1 import Event

from agentaflow_advisor.act.api import write
from agentaflow_advisor.act.errors import ApiTrouble
from agentaflow_advisor.model import Action, Decision, State
from agentaflow_advisor.model.names import DECISION, FIELD_MANAGER

CONTROLLER = "agentaflow.io/applier"
HOME = "default"  # namespace of Events about objects that have none
LONGEST_NOTE = 1024
TOLD = {
    State.APPLIED: ("Normal", "Applied"),
    State.VERIFIED: ("Normal", "Verified"),
    State.REVERTED: ("Warning", "Reverted"),
    State.FAILED: ("Warning", "Failed"),
    State.VETOED: ("Warning", "Vetoed"),
    State.EXPIRED: ("Normal", "Expired"),
    State.SUPERSEDED: ("Normal", "Superseded"),
}
"""States that a user of the object would want to know of: the Event's type and reason."""
API_VERSIONS = {
    "Pod": "v1",
    "Node": "v1",
    "Job": "batch/v1",
    "Workload": "kueue.x-k8s.io/v1beta2",
    "DeviceTaintRule": "resource.k8s.io/v1",
}


def tell(client: Client, decision: Decision) -> str | None:
    """Write the Event of its newest state; why not, where the API server did not take it.

    Its name is the decision's id and state: told twice, it is there once.
    """
    told = TOLD.get(decision.state)
    if told is None:
        return None
    kind, reason = told
    action = decision.action
    event = Event(
        metadata=ObjectMeta(
            name=f"agentaflow.{decision.id}.{decision.state}",
            namespace=action.namespace or HOME,
            annotations={DECISION: decision.id},
        ),
        eventTime=datetime.now(UTC),
        action=action.channel,
        reason=reason,
        type=kind,
        note=(decision.reason or decision.why)[:LONGEST_NOTE],
        regarding=_reference(action),
        reportingController=CONTROLLER,
        reportingInstance=decision.actor[:128] or FIELD_MANAGER,
    )
    try:
        write(lambda: client.create(event, field_manager=FIELD_MANAGER))
    except ApiTrouble as trouble:
        return None if "already exists" in str(trouble) else str(trouble)
    return None


def _reference(action: Action) -> ObjectReference:
    return ObjectReference(
        apiVersion=API_VERSIONS[action.kind],
        kind=action.kind,
        name=action.name,
        namespace=action.namespace or None,
        uid=action.uid or None,
    )
