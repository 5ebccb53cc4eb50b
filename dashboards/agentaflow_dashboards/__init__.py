"""Grafana boards as code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentaflow_dashboards.capacity import capacity
from agentaflow_dashboards.cluster import cluster
from agentaflow_dashboards.costs import costs
from agentaflow_dashboards.device import device, device_dcgm
from agentaflow_dashboards.fleet import fleet, fleet_dcgm
from agentaflow_dashboards.health import health
from agentaflow_dashboards.internals import internals
from agentaflow_dashboards.node import node, node_dcgm
from agentaflow_dashboards.waste import waste
from agentaflow_dashboards.workload import workload

BOARDS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "fleet.json": fleet,
    "cluster.json": cluster,
    "node.json": node,
    "gpu.json": device,
    "workload.json": workload,
    "cost.json": costs,
    "waste.json": waste,
    "health.json": health,
    "capacity.json": capacity,
    "internals.json": internals,
    "dcgm-fleet.json": fleet_dcgm,
    "dcgm-node.json": node_dcgm,
    "dcgm-gpu.json": device_dcgm,
}
