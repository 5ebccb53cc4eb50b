"""Everything that can be set: each field has a unit in its name, bounds, and a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from agentaflow_advisor.acting_settings import ActingSettings, Names
from agentaflow_advisor.analysis_settings import AnalysisSettings
from agentaflow_advisor.analyze import IdleSettings
from agentaflow_advisor.cost_settings import CostSettings, LocalPath
from agentaflow_advisor.durations import DAY, Seconds
from agentaflow_advisor.durations import seconds as seconds
from agentaflow_advisor.place import STRATEGIES, EvidenceSettings, Strategy
from agentaflow_advisor.place.strategies import Priority
from agentaflow_advisor.place.topology import TOPOLOGY_LABELS
from agentaflow_advisor.waste_settings import WasteSettings

PREFIX = "AGENTAFLOW_"


def _known_strategy(name: str) -> str:
    if name not in STRATEGIES:
        raise ValueError(f"should be one of {', '.join(sorted(STRATEGIES))}")
    return name


class Settings(AnalysisSettings, WasteSettings, CostSettings, ActingSettings, BaseSettings):
    """Everything that can be set. A duration is in seconds, or written as in Prometheus: 7d."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid"
    )

    prometheus_url: str = Field(
        "http://127.0.0.1:9090",
        description="Prometheus, Thanos Query or Mimir, with its path prefix if it has one.",
    )
    prometheus_timeout_seconds: Seconds = Field(
        30.0, ge=1, le=600, description="For one query from first to last byte, retries included."
    )
    prometheus_max_bytes: int = Field(
        64 << 20, ge=1 << 16, le=1 << 31, description="A longer answer is refused, not truncated."
    )
    prometheus_max_series: int = Field(
        200_000, ge=100, le=10_000_000, description="An answer with more series is refused."
    )
    prometheus_bearer_token: SecretStr | None = Field(
        None, description="Sent as `Authorization: Bearer`; better given as a file."
    )
    prometheus_bearer_token_file: LocalPath | None = Field(
        None, description="Holds the bearer token; read for each request, so it may rotate."
    )
    prometheus_username: str | None = Field(None, description="For basic authentication.")
    prometheus_password: SecretStr | None = Field(None, description="For basic authentication.")
    prometheus_ca_file: LocalPath | None = Field(
        None, description="PEM file of the authority that signed Prometheus' certificate."
    )
    prometheus_insecure_skip_verify: bool = Field(
        False, description="Accept any certificate of Prometheus: for experiments only."
    )
    kubernetes: Literal["auto", "off"] = Field(
        "auto",
        description="`off`: advice from the metrics alone, even where a cluster is given.",
    )
    kubeconfig: LocalPath | None = Field(
        None,
        description="Which cluster to read, and to act on. Without it: the pod's service account, "
        "then `$KUBECONFIG`, then, for commands that need a cluster, `~/.kube/config`.",
    )
    context: str | None = Field(
        None, description="Context in the kubeconfig, if not the current one."
    )
    kubernetes_cluster: str | None = Field(
        None,
        description="Which `cluster` of the metrics that one is; by default the one whose nodes' "
        "names fit best.",
    )
    dialect: Literal["auto", "agentaflow", "dcgm", "dcgm-4.6", "nvidia_gpu_exporter"] = Field(
        "auto",
        description="Whose metrics to read; `auto`: of every exporter that Prometheus has, ours "
        "before dcgm-exporter's before nvidia_gpu_exporter's where several tell a GPU.",
    )
    window_seconds: Seconds = Field(
        7 * DAY, ge=300, le=90 * DAY, description="How far back the evidence reaches."
    )
    percentile: float = Field(
        0.95, ge=0.5, lt=1, description="Which percentile of utilization counts as its high one."
    )
    idle_maximum_ratio: float = Field(
        0.05, ge=0, le=1, description="A GPU with any sample of utilization above it is not idle."
    )
    idle_high_ratio: float = Field(
        0.02, ge=0, le=1, description="Nor is one whose high percentile is above this."
    )
    idle_min_window_seconds: Seconds = Field(
        3600.0, ge=0, le=90 * DAY, description="A shorter window proves nothing about a GPU."
    )
    idle_min_coverage_ratio: float = Field(
        0.9, ge=0, le=1, description="Part of the window in which a GPU must have been seen."
    )
    idle_max_sample_interval_seconds: Seconds = Field(
        300.0, ge=1, le=DAY, description="Samples further apart on average miss work in between."
    )
    idle_max_age_seconds: Seconds = Field(
        300.0, ge=1, le=DAY, description="With an older newest sample there is no verdict."
    )
    idle_held_memory_bytes: float = Field(
        2.0**30, ge=0, le=2.0**50, description="More memory in use than this is held by somebody."
    )
    strategy: Annotated[str, AfterValidator(_known_strategy)] = Field(
        "best_fit", description="How a node is chosen; see strategies.md."
    )
    priority_aging_seconds: Seconds = Field(
        3600.0,
        ge=60,
        le=90 * DAY,
        description="With the strategy `priority`, waiting that is worth one level of priority.",
    )
    placement_evidence_max_age_seconds: Seconds = Field(
        300.0, ge=1, le=DAY, description="Older samples do not count for a strategy that measures."
    )
    placement_evidence_min_samples: int = Field(
        2, ge=1, le=1_000_000, description="Fewer in the window do not count either."
    )
    placement_topology_labels: Names = Field(
        TOPOLOGY_LABELS,
        description="Labels of nodes that tell what is near each other, finest first: pods of a "
        "gang are kept within a node, then within one of these.",
    )
    journal: LocalPath = Field(
        Path("~/.local/state/agentaflow/journal.db"),
        validate_default=True,
        description="The decisions' journal, an SQLite file on a local disk (not NFS).",
    )
    history: LocalPath | None = Field(
        None,
        description="What became of recommendations, an SQLite file on a local disk (not NFS); by "
        "default `recommendations.db` beside the journal.",
    )
    recommendation_gone_after_seconds: Seconds = Field(
        DAY,
        ge=60,
        le=90 * DAY,
        description="One that could not be judged any more is closed when it was last seen then.",
    )
    metrics_max_recommendations: int = Field(
        200,
        ge=0,
        le=10_000,
        description="So many recommendations at most have metrics of their own, dearest first.",
    )
    listen_address: str = Field(
        "127.0.0.1:9838", description="Where `serve` answers; port 0 takes a free one."
    )
    web_config_file: LocalPath | None = Field(
        None, description="TLS and basic authentication of `serve`, as in the exporter toolkit."
    )
    interval_seconds: Seconds = Field(
        60.0, ge=1, le=DAY, description="From one cycle of `serve` to the next."
    )
    ready_max_age_seconds: Seconds | None = Field(
        None,
        ge=1,
        le=7 * DAY,
        description="`/-/ready` is 503 when the last look is older; by default three intervals.",
    )

    @property
    def history_file(self) -> Path:
        """Where the history is."""
        return self.history or self.journal.with_name("recommendations.db")

    @property
    def ready_within_seconds(self) -> float:
        """How old the last look may be."""
        return self.ready_max_age_seconds or 3 * self.interval_seconds

    def idle(self) -> IdleSettings:
        """When a GPU counts as idle."""
        return IdleSettings(
            maximum_ratio=self.idle_maximum_ratio,
            high_ratio=self.idle_high_ratio,
            min_window_seconds=self.idle_min_window_seconds,
            min_coverage=self.idle_min_coverage_ratio,
            max_sample_interval_seconds=self.idle_max_sample_interval_seconds,
            max_age_seconds=self.idle_max_age_seconds,
            held_memory_bytes=self.idle_held_memory_bytes,
        )

    def placement(self) -> Strategy:
        """The strategy, as it is set."""
        if self.strategy == Priority.name:
            return Priority(self.priority_aging_seconds)
        return STRATEGIES[self.strategy]

    def placement_evidence(self) -> EvidenceSettings:
        """When a measurement counts for a strategy that measures."""
        return EvidenceSettings(
            max_age_seconds=self.placement_evidence_max_age_seconds,
            min_samples=self.placement_evidence_min_samples,
        )


FLAGS = {
    "channels": "channel",
    "defragment_budget_ratio": "budget",
    "defragment_max_moves": "max-moves",
    "defragment_min_age_seconds": "min-age",
    "window_seconds": "window",
    "forecast_history_seconds": "forecast-history",
    "interval_seconds": "interval",
    "prices_file": "prices",
    "ready_max_age_seconds": "ready-max-age",
}
"""Flags that are not called like their setting."""


def flag(name: str) -> str:
    """How a setting is called on the command line."""
    return f"--{FLAGS.get(name, name.replace('_', '-'))}"
