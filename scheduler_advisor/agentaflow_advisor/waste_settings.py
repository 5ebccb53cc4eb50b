"""What can be set about right-sizing, stranded GPUs, fragmentation and zombies."""

from __future__ import annotations

from pydantic import BaseModel, Field

from agentaflow_advisor.analyze import (
    DefragmentationSettings,
    FragmentationSettings,
    RightsizingSettings,
    StrandedSettings,
    ZombieSettings,
)
from agentaflow_advisor.durations import DAY, Seconds
from agentaflow_advisor.place.movable import MoveSettings


class WasteSettings(BaseModel):
    """The part of the settings that is about GPUs that are too large, or that nobody can use."""

    rightsizing_memory_headroom_ratio: float = Field(
        0.2, ge=0, le=4, description="Memory that a smaller home must have on top of the peak."
    )
    rightsizing_max_activity_ratio: float = Field(
        0.8, ge=0.01, le=1, description="How busy a smaller or shared home may get, at worst."
    )
    rightsizing_min_held_seconds: Seconds = Field(
        DAY,
        ge=0,
        le=90 * DAY,
        description="A pod that has held its GPU for less within the window is not judged. Below "
        "12 h peaks are missed: by an hour of evidence a third of real pods' homes was too small.",
    )
    stranded_min_free_ratio: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Stranded GPUs are told where so many were free for this part of the window.",
    )
    fragmentation_max_ratio: float = Field(
        0.3,
        ge=0,
        le=1,
        description="A cluster is told when this part of its idle GPUs is of no use to typical "
        "pods (FGD's measure).",
    )
    fragmentation_min_gpus: float = Field(
        2.0, ge=0, le=1e6, description="Fewer fragmented GPUs than this are not told."
    )
    defragment_budget_ratio: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Part of the running pods that a plan to defragment may move; one at least.",
    )
    defragment_max_moves: int = Field(
        100, ge=0, le=100_000, description="Nor does a plan for a cluster move more pods than this."
    )
    defragment_min_age_seconds: Seconds = Field(
        3600.0, ge=0, le=90 * DAY, description="A younger pod is not moved."
    )
    defragment_min_waiting_seconds: Seconds = Field(
        600.0,
        ge=0,
        le=90 * DAY,
        description="Moves are recommended once a pod that they help has waited for so long.",
    )
    zombie_min_seconds: Seconds = Field(
        3600.0,
        ge=60,
        le=30 * DAY,
        description="A process without a pod, or a pod past its grace period, for less is not "
        "told.",
    )

    def rightsizing(self) -> RightsizingSettings:
        """How much room a smaller home must leave."""
        return RightsizingSettings(
            memory_headroom_ratio=self.rightsizing_memory_headroom_ratio,
            max_activity_ratio=self.rightsizing_max_activity_ratio,
            min_held_seconds=self.rightsizing_min_held_seconds,
        )

    def stranded(self) -> StrandedSettings:
        """Since when GPUs must have been stranded."""
        return StrandedSettings(min_free_ratio=self.stranded_min_free_ratio)

    def fragmentation(self) -> FragmentationSettings:
        """When fragmentation is worth telling."""
        return FragmentationSettings(
            max_ratio=self.fragmentation_max_ratio, min_gpus=self.fragmentation_min_gpus
        )

    def defragmentation(self) -> DefragmentationSettings:
        """For whom room is made, and at whose cost."""
        moves = MoveSettings(
            budget_ratio=self.defragment_budget_ratio,
            max_moves=self.defragment_max_moves,
            min_age_seconds=self.defragment_min_age_seconds,
        )
        return DefragmentationSettings(self.defragment_min_waiting_seconds, moves)

    def zombies(self) -> ZombieSettings:
        """How long something must have been over."""
        return ZombieSettings(min_seconds=self.zombie_min_seconds)
