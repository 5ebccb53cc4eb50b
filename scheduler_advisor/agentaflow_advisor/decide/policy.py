"""The limits within which decisions are made and carried out, as an admin sets them."""

from __future__ import annotations

from dataclasses import dataclass

from agentaflow_advisor.decide.standing import StandingApproval

SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
DISTURBING = frozenset({"eviction"})
"""Channels that end what runs."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Default is advice only: no channel is on."""

    channels: frozenset[str] = frozenset()
    namespace: str = "agentaflow"  # the advisor's own, where the kill switch is looked for
    protected_namespaces: frozenset[str] = SYSTEM_NAMESPACES  # never acted in
    proposal_ttl_seconds: float = 900.0  # a proposal not approved by then expires
    approval_ttl_seconds: float = 900.0  # an approval not carried out by then expires
    max_evidence_age_seconds: float = 1800.0  # by Prometheus' clock
    min_evidence_samples: int = 2  # of what rests on metrics
    deadline_seconds: float = 60.0  # for one decision to be carried out, retries included
    attempts: int = 20  # at one decision, within the deadline
    min_pod_age_seconds: float = 900.0  # before it is evicted
    min_replicas: int = 2  # that run, for one of them to be evicted
    owner_cooldown_seconds: float = 3600.0  # between two evictions of one controller's pods
    max_per_cycle: int = 100
    max_per_hour: int = 1000
    max_per_node_per_hour: int = 100
    max_per_namespace_per_hour: int = 500
    max_closed_ratio: float = 0.25  # of the nodes with GPUs, by us or by others
    breaker_failures: int = 5  # in a row, within an hour, and nothing more is carried out
    cycle_began_at: float = 0.0  # seconds since the epoch
    disturbing: frozenset[str] = DISTURBING
    standing: tuple[StandingApproval, ...] = ()  # approvals given in advance
