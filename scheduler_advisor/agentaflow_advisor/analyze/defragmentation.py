"""Defragmentation: which pods, moved, would make room for pods that wait for GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from agentaflow_advisor.analyze import room
from agentaflow_advisor.analyze.findings import Findings, ordered, stable_id
from agentaflow_advisor.analyze.settings import bounded
from agentaflow_advisor.model import (
    HOURS_PER_MONTH,
    Money,
    Recommendation,
    Refusal,
    Saving,
    Snapshot,
    Where,
)
from agentaflow_advisor.place.consolidation import Proposal, propose
from agentaflow_advisor.place.movable import MoveSettings
from agentaflow_advisor.price import NodeKey, NodePrice

SIGNALS = room.SIGNALS
KIND = "defragmentation"
NAMED = 3
CONFIDENCE = 0.8  # not measured: kube-scheduler may choose other nodes than the plan
FORMULA = (
    "per_hour x 730 h; per_hour: GPUs that waiting pods get x per_gpu_hour_residual of their node"
)
RISK = (
    "Every move restarts a pod: what it did since its last checkpoint is lost. Move one at a time, "
    "in this order, and wait until it runs; kube-scheduler may choose another node, so cordon the "
    "nodes that must stay free meanwhile. `agentaflow defragment` lists the moves; it makes none."
)


@dataclass(frozen=True, slots=True)
class DefragmentationSettings:
    """For whom room is made, and at whose cost."""

    min_waiting_seconds: float = 600.0
    """A pod that waits for less may yet get its place by itself."""
    moves: MoveSettings = field(default_factory=MoveSettings)

    def __post_init__(self) -> None:
        bounded("min_waiting_seconds", self.min_waiting_seconds, 0, 1e9, "seconds")


def analyze(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    settings: DefragmentationSettings,
) -> Findings:
    """A recommendation for the Kubernetes cluster, if moves make room for any pod that waits."""
    proposal = propose(snapshot, settings.moves)
    if isinstance(proposal, Refusal):
        return Findings((), (room.BLIND if not snapshot.has_cluster else proposal,))
    refused = list(proposal.refusals)
    since = {pod.ref: snapshot.taken_at - pod.created_at for pod in proposal.waiting}
    helped = [
        each.pod
        for each in proposal.plan.admissions
        if since.get(each.pod, 0.0) >= settings.min_waiting_seconds
    ]
    left = [
        ref
        for ref, seconds in since.items()
        if ref not in {each.pod for each in proposal.plan.admissions}
        and seconds >= settings.min_waiting_seconds
    ]
    refused += [Refusal(ref, why_not(proposal)) for ref in left]
    if not helped:
        return ordered((), refused)
    saving, unpriced = _saving(proposal, prices)
    refused += unpriced
    if saving is None:
        return ordered((), refused)
    return ordered((_recommend(snapshot, proposal, saving),), refused)


def why_not(proposal: Proposal) -> str:
    """For a pod that waits on: what keeps pods where they are, the most frequent reason first."""
    told = "no allowed moves of pods make room for it"
    if not proposal.protected:
        return told
    reasons = sorted(proposal.protected.items(), key=lambda item: (-item[1], item[0]))
    said = "; ".join(f"{count} with GPUs stay: {reason}" for reason, count in reasons[:NAMED])
    return f"{told} ({said})"


def _saving(
    proposal: Proposal, prices: Mapping[NodeKey, NodePrice | Refusal]
) -> tuple[Saving | None, list[Refusal]]:
    """GPUs at the price of the node on which they get of use; others are not in the sum."""
    costs: list[Money] = []
    priced = Decimal(0)
    refused: list[Refusal] = []
    for each in proposal.plan.admissions:
        price = prices.get((proposal.cluster, each.node))
        if isinstance(price, NodePrice):
            gpus = Decimal(repr(each.gpu_count))
            priced += gpus
            costs.append(price.per_gpu_hour_residual * gpus)
        else:
            refused.append(price or Refusal(f"node {each.node}", "no price"))
    if not costs:
        return None, refused
    hourly = sum(costs, Money(Decimal(0), costs[0].currency))
    inputs = {
        "gpus_of_use": f"{proposal.plan.gained_gpus:.2f}",
        "priced_gpus": f"{priced:.2f}",
        "moves": str(len(proposal.plan.moves)),
        "moves_allowed": str(proposal.plan.budget),
        "waiting_pods": str(len(proposal.waiting)),
        "pods_that_get_room": str(len(proposal.plan.admissions)),
        "per_hour": str(hourly.exact),
        "hours_per_month": str(HOURS_PER_MONTH),
    }
    return Saving(hourly * HOURS_PER_MONTH, FORMULA, inputs), refused


def _recommend(snapshot: Snapshot, proposal: Proposal, saving: Saving) -> Recommendation:
    plan = proposal.plan
    moves = [f"{move.pod} from {move.from_node} to {move.to_node}" for move in plan.moves]
    pods = [f"{each.pod} ({each.gpu_count:g} on {each.node})" for each in plan.admissions]
    return Recommendation(
        id=stable_id(KIND, proposal.cluster),
        kind=KIND,
        what=(
            f"moving {_pods(len(moves))} would make room for {len(pods)} of "
            f"{_pods(len(proposal.waiting))} that wait, {plan.gained_gpus:g} GPUs: "
            f"move {_some(moves)}; room for {_some(pods)}"
        ),
        where=Where(proposal.cluster),
        saves=saving,
        confidence=CONFIDENCE,
        evidence=room.evidence(snapshot, len(proposal.waiting)),
        enforceable="node",
        risk=RISK,
    )


def _pods(number: int) -> str:
    return "1 pod" if number == 1 else f"{number} pods"


def _some(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - NAMED
    return ", ".join(every[:NAMED]) + (f" and {more} more" if more > 0 else "")
