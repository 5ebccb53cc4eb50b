"""Dialects: one table per exporter that says how each signal of a GPU is asked for in PromQL."""

from __future__ import annotations

from agentaflow_advisor.observe.dialects import dcgm, dcgm46, nvidia_gpu_exporter, ours
from agentaflow_advisor.observe.dialects.dialect import (
    GRID,
    Dialect,
    Labels,
    Table,
    grid_points,
    render,
    step_seconds,
)

DIALECTS: tuple[Dialect, ...] = (
    ours.DIALECT,
    dcgm46.DIALECT,
    dcgm.DIALECT,
    nvidia_gpu_exporter.DIALECT,
)
"""The one that comes first tells a GPU that several tell."""

__all__ = [
    "DIALECTS",
    "GRID",
    "Dialect",
    "Labels",
    "Table",
    "grid_points",
    "ours",
    "render",
    "step_seconds",
]
