"""Grafana boards as code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentaflow_dashboards.fleet import fleet

BOARDS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "fleet.json": fleet,
}
