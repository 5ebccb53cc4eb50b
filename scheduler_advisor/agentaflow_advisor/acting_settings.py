"""What can be set about acting: which channels are on, whose yes counts, and how much at a time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import NoDecode

from agentaflow_advisor.cost_settings import LocalPath
from agentaflow_advisor.decide.policy import SYSTEM_NAMESPACES, Policy
from agentaflow_advisor.decide.standing import StandingApproval
from agentaflow_advisor.durations import DAY, Seconds
from agentaflow_advisor.model import State
from agentaflow_advisor.model.actions import CloseBy, PinBy
from agentaflow_advisor.notices import Notice


def _split(value: object) -> object:
    """Lists come from one environment variable separated by commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


ChannelName = Literal[
    "scheduling-gate",
    "suspended-job",
    "eviction",
    "node-label",
    "cordon",
    "device-taint",
    "admission-check",
    "binding",
]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Channels = Annotated[tuple[ChannelName, ...], NoDecode, BeforeValidator(_split)]


class StandingApprovalSettings(BaseModel):
    """Says yes in advance to a class of decisions, up to a number a day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=63)
    channels: tuple[ChannelName, ...] = Field(min_length=1)
    max_per_day: int = Field(ge=1, le=100_000)
    namespaces: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()


class NoticeSettings(BaseModel):
    """Where decisions are told to people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr
    form: Literal["webhook", "slack", "teams", "alertmanager"] = "webhook"
    states: tuple[State, ...] = Field(
        (State.PROPOSED, State.APPLIED, State.FAILED, State.REVERTED), min_length=1
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("should be an http:// or https:// URL")
        return url


class ActingSettings(BaseModel):
    """The part of the settings that is about acting on a cluster."""

    namespace: str = Field(
        "agentaflow", description="The advisor's own, where the kill switch is looked for."
    )
    channels: Channels = Field(
        (),
        description="Ways to act that are switched on, as docs/acting.md lists them. None: "
        "advice only.",
    )
    protected_namespaces: Names = Field(
        tuple(sorted(SYSTEM_NAMESPACES)), description="Never acted in, whatever has opted in."
    )
    proposal_ttl_seconds: Seconds = Field(
        900.0, ge=1, le=30 * DAY, description="A proposal expires when not approved by then."
    )
    proposal_pause_seconds: Seconds = Field(
        3600.0,
        ge=0,
        le=30 * DAY,
        description="After a decision on a recommendation came to nothing, its object is not "
        "proposed again for so long.",
    )
    approval_ttl_seconds: Seconds = Field(
        900.0, ge=1, le=30 * DAY, description="An approval expires when not carried out by then."
    )
    decision_evidence_max_age_seconds: Seconds = Field(
        1800.0, ge=1, le=30 * DAY, description="Nothing is acted on by older evidence."
    )
    apply_deadline_seconds: Seconds = Field(
        60.0, ge=1, le=3600, description="For carrying out one decision, retries included."
    )
    apply_attempts: int = Field(20, ge=1, le=1000, description="At most, within that deadline.")
    decision_evidence_min_samples: int = Field(
        2,
        ge=1,
        le=10**9,
        description="What rests on metrics is not acted on by fewer samples. A placement by a "
        "strategy that needs no signal rests on requests alone.",
    )
    eviction_min_age_seconds: Seconds = Field(
        900.0, ge=0, le=90 * DAY, description="A younger pod is not evicted."
    )
    eviction_min_replicas: int = Field(
        2,
        ge=0,
        le=1000,
        description="A ReplicaSet or StatefulSet with fewer running pods keeps them all.",
    )
    eviction_cooldown_seconds: Seconds = Field(
        3600.0, ge=0, le=90 * DAY, description="Between two evictions of one controller's pods."
    )
    scheduling_gate_pin_by: PinBy = Field(
        "node-selector",
        description="How the channel `scheduling-gate` sends a pod to its node: by `nodeSelector`, "
        "by required node `affinity`, which both hold, or by a `preference`, which kube-scheduler "
        "may set aside.",
    )
    cordon_close_by: CloseBy = Field(
        "taint",
        description="How the channel `cordon` closes a node: by the `taint` `agentaflow.io/sick`, "
        "which pods may tolerate, or by a `cordon`, which none can.",
    )
    cordon_max_closed_ratio: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Of the nodes with GPUs so many may be closed, by us or by others.",
    )
    max_decisions_per_cycle: int = Field(
        100, ge=0, le=100_000, description="Carried out in one cycle; the others wait."
    )
    max_decisions_per_hour: int = Field(
        1000, ge=0, le=1_000_000, description="Carried out in one hour; the others wait."
    )
    max_decisions_per_node_hour: int = Field(
        100, ge=0, le=1_000_000, description="On one node in one hour; the others wait."
    )
    max_decisions_per_namespace_hour: int = Field(
        500, ge=0, le=1_000_000, description="In one namespace in one hour; the others wait."
    )
    breaker_failures: int = Field(
        5,
        ge=1,
        le=1000,
        description="So many decisions gone wrong in a row, within an hour, and "
        "nothing more is carried out until the hour is over.",
    )
    effect_window_seconds: Seconds = Field(
        3600.0,
        ge=900,
        le=7 * DAY,
        description="What an applied decision saved is measured over so long before and after.",
    )
    harm_window_seconds: Seconds = Field(
        3600.0,
        ge=0,
        le=7 * DAY,
        description="For so long an applied decision is taken back if it does harm.",
    )
    harm_patience_seconds: Seconds = Field(
        300.0, ge=0, le=DAY, description="How long pods may wait because of it before that is harm."
    )
    lease_duration_seconds: Seconds = Field(
        15.0, ge=1, le=3600, description="An advisor that has not renewed its lease is replaced."
    )
    lease_renew_seconds: Seconds = Field(
        10.0,
        ge=0.5,
        le=3600,
        validate_default=True,
        description="One that could not renew it stops to act by then, before it is replaced: "
        "less than `lease_duration_seconds`.",
    )
    lease_retry_seconds: Seconds = Field(
        2.0,
        ge=0.1,
        le=600,
        validate_default=True,
        description="From one renewal, or try, to the next: less than `lease_renew_seconds`.",
    )
    standing_approvals: tuple[StandingApprovalSettings, ...] = Field(
        (),
        description="Classes of decisions that are approved in advance, each with `name`, "
        "`channels`, `max_per_day`, and the `namespaces` and `strategies` that it is limited to.",
    )

    notices: tuple[NoticeSettings, ...] = Field(
        (),
        description="Where decisions are told to people, each with `url`, `form` (webhook, slack, "
        "teams or alertmanager) and `states`.",
    )
    approval_token_file: LocalPath | None = Field(
        None,
        description="Holds the bearer token with which `serve` takes approvals over HTTP; read for "
        "each. Without it there are none.",
    )
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Where spans of decisions' lives go, by OTLP over HTTP: http://collector:4318. "
        "Needs the extra `[otel]`.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Of what `serve` tells on stderr: logfmt, or JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that `serve` tells."
    )

    @field_validator("lease_renew_seconds", "lease_retry_seconds")
    @classmethod
    def _is_in_time(cls, value: float, info: ValidationInfo) -> float:
        """Who could act on without having renewed would act beside its successor."""
        order = ("lease_retry_seconds", "lease_renew_seconds", "lease_duration_seconds")
        longer = order[order.index(str(info.field_name)) + 1]
        if longer in info.data and value >= info.data[longer]:
            raise ValueError(f"should be less than {longer} ({info.data[longer]:g})")
        return value

    def told(self) -> tuple[Notice, ...]:
        """Where decisions are told."""
        return tuple(
            Notice(each.url.get_secret_value(), each.form, tuple(map(str, each.states)))
            for each in self.notices
        )

    def policy(self) -> Policy:
        """The limits within which decisions are made and carried out."""
        return Policy(
            channels=frozenset(self.channels),
            namespace=self.namespace,
            protected_namespaces=frozenset(self.protected_namespaces),
            proposal_ttl_seconds=self.proposal_ttl_seconds,
            approval_ttl_seconds=self.approval_ttl_seconds,
            max_evidence_age_seconds=self.decision_evidence_max_age_seconds,
            min_evidence_samples=self.decision_evidence_min_samples,
            deadline_seconds=self.apply_deadline_seconds,
            attempts=self.apply_attempts,
            min_pod_age_seconds=self.eviction_min_age_seconds,
            min_replicas=self.eviction_min_replicas,
            owner_cooldown_seconds=self.eviction_cooldown_seconds,
            max_closed_ratio=self.cordon_max_closed_ratio,
            max_per_cycle=self.max_decisions_per_cycle,
            max_per_hour=self.max_decisions_per_hour,
            max_per_node_per_hour=self.max_decisions_per_node_hour,
            max_per_namespace_per_hour=self.max_decisions_per_namespace_hour,
            breaker_failures=self.breaker_failures,
            standing=tuple(
                StandingApproval(**dict(approval)) for approval in self.standing_approvals
            ),
        )
