"""The limits within which decisions are made and carried out, as an admin sets them."""

from __future__ import annotations

from dataclasses import dataclass

SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})


@dataclass(frozen=True, slots=True)
class Policy:
    """Default is advice only: no channel is on."""

    channels: frozenset[str] = frozenset()
    namespace: str = "agentaflow"  # the advisor's own, where the kill switch is looked for
    protected_namespaces: frozenset[str] = SYSTEM_NAMESPACES  # never acted in
    proposal_ttl_seconds: float = 900.0  # a proposal not approved by then expires
    approval_ttl_seconds: float = 900.0  # an approval not carried out by then expires
    max_evidence_age_seconds: float = 1800.0  # by Prometheus' clock
    deadline_seconds: float = 60.0  # for one decision to be carried out, retries included
    attempts: int = 20  # at one decision, within the deadline
