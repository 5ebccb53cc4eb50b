"""The eviction channel: asks the API server to let a pod go, by its uid; budgets may refuse (429).

Pods that are gone do not come back: what it does cannot be undone.
"""

from __future__ import annotations

from dataclasses import replace

from lightkube import Client
from lightkube.models.meta_v1 import DeleteOptions, ObjectMeta, Preconditions
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.act import api
from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.facts import disruptions, pods, read_pod
from agentaflow_advisor.act.precondition import marker_settles
from agentaflow_advisor.decide.guards import Context
from agentaflow_advisor.decide.guards.pods import (
    budget_allows,
    gang_leaves_whole,
    pod_of_its_own,
    pod_old_enough,
    replicas_enough,
)
from agentaflow_advisor.model import Decision, EvictPod, Settled, State, Target, Verification
from agentaflow_advisor.model.names import FIELD_MANAGER


def settled(action: EvictPod, decision: Decision, target: Target) -> Settled | None:
    if found := marker_settles(action, decision, target):
        return found
    if target.deleting and decision.state is State.INTENDED:
        return Settled(State.APPLIED, f"{target.described} is being deleted")
    return None


def gone_after_intent(action: EvictPod, settled: Settled) -> Settled:
    """The pod of that uid is gone: that is what was wanted, whoever did it."""
    if not settled.gone:
        return settled
    return replace(settled, state=State.APPLIED, reason=f"pod {action.ref} of that uid is gone")


def write(client: Client, action: EvictPod, _: Decision, target: Target, dry_run: bool) -> None:
    options = DeleteOptions(preconditions=Preconditions(uid=action.uid))
    eviction = Pod.Eviction(
        metadata=ObjectMeta(name=target.name, namespace=target.namespace), deleteOptions=options
    )
    api.write(
        lambda: client.create(
            eviction,
            target.name,
            namespace=target.namespace,
            field_manager=FIELD_MANAGER,
            dry_run=dry_run,
        )
    )


def gather(client: Client, action: EvictPod, _: Target, context: Context) -> Context:
    return replace(
        context,
        siblings=pods(client, namespace=action.namespace),
        disruptions=disruptions(client, action.namespace),
    )


def verify(client: Client, action: EvictPod, decision: Decision) -> Verification:
    found = read_pod(client, action)
    if isinstance(found, Settled) or found.uid != action.uid:
        return Verification(State.VERIFIED, f"pod {action.ref} is gone")
    if found.deleting:
        return Verification(decision.state, f"pod {action.ref} is still stopping")
    return Verification(State.FAILED, f"pod {action.ref} is still there")


EVICTION = Channel(
    action=EvictPod,
    does="asks for the eviction of a pod of this very uid; its PodDisruptionBudgets may refuse",
    needs=("get pods", "list pods", "list poddisruptionbudgets", "create pods/eviction"),
    guards=(pod_of_its_own, pod_old_enough, replicas_enough, budget_allows, gang_leaves_whole),
    read=read_pod,
    settled=settled,
    write=write,
    awaits="to be gone",
    verify=verify,
    gather=gather,
    gone_after_intent=gone_after_intent,
)
