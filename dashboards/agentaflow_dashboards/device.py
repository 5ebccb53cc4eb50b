"""The GPU board: everything about one GPU, for whoever wants to know what is wrong with it."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import (
    BUSY_IS_GOOD,
    HOT,
    TEMPERATURES,
    clusters,
    framed,
    gpus,
    nodes,
)
from agentaflow_dashboards.holders import holders_of_gpu, identity
from agentaflow_dashboards.kinds import named_values, states
from agentaflow_dashboards.modern import (
    MISSING,
    Row,
    Viz,
    coloured,
    query,
    stat,
    timeseries,
)
from agentaflow_dashboards.names import DCGM, OURS, Names
from agentaflow_dashboards.node import PERFORMANCE
from agentaflow_dashboards.nodes import line_to_node
from agentaflow_dashboards.promql import gpu
from agentaflow_dashboards.xids import XID_NAMES, XIDS_SAID


def _active(color: str) -> tuple[tuple[float, str, str], ...]:
    return ((0.0, "no", "transparent"), (1.0, "yes", color))


CALM = {
    "^(gpu_idle|applications_clocks_setting|display_clock_setting|sync_boost)$": _active("blue"),
    "^sw_power_cap$": _active("yellow"),
}
"""Reasons that are nobody's fault; all others are heat, power supply or the hardware."""
CHOSEN_GPU = 'gpu=~"$gpu"'


def device() -> dict[str, Any]:
    return _board(OURS)


def device_dcgm() -> dict[str, Any]:
    return _board(DCGM)


def _board(names: Names) -> dict[str, Any]:
    rows = [
        Row("Now", _now(names)),
        Row("Work", (*_work(names), *_memory(names))),
        Row("Heat, power and clocks", _heat(names)),
        Row("States", _states(names)),
        Row("Errors and links", (*_errors(names), *_traffic(names))),
    ]
    if names.ours:
        rows.append(
            Row("What it is, and who holds it", (identity(CHOSEN_GPU), holders_of_gpu(CHOSEN_GPU)))
        )
    return framed(
        "gpu",
        "GPU",
        "One GPU: work, memory, heat, clocks, what slows it down, errors and links.",
        [clusters(names), nodes(names, one=True), gpus(names)],
        rows,
        names=names,
        points=None,
    )


def _now(names: Names) -> tuple[Viz, ...]:
    return (
        stat(
            "Utilisation",
            "Share of time in which a kernel ran. Good: above 60 % while a pod holds it.",
            query(f"avg({names('utilization', CHOSEN_GPU)})", now=True),
            unit="percentunit",
            defaults={"decimals": 0},
            steps=BUSY_IS_GOOD,
        ),
        stat(
            "Memory in use",
            "Share of its memory. Good: it goes with the work.",
            query(f"avg({names('memory_ratio', CHOSEN_GPU)})", now=True),
            unit="percentunit",
            defaults={"decimals": 0},
        ),
        stat(
            "Temperature",
            "Good: below 80 °C; its own threshold is in the chart below.",
            query(f"max({names('temperature', CHOSEN_GPU)})", now=True),
            unit="celsius",
            steps=HOT,
        ),
        stat(
            "Power",
            "Good: near the limit under full load, low when idle.",
            query(f"sum({names('power', CHOSEN_GPU)})", now=True),
            unit="watt",
        ),
        stat(
            "Uncorrected errors",
            "Memory errors in this range that could not be corrected. Good: 0. Missing where the "
            "GPU has no ECC.",
            query(f"sum({names.increase('uncorrected', CHOSEN_GPU)})", now=True),
            steps=(("green", None), ("red", 0.5)),
            defaults={"decimals": 0},
        ),
        stat(
            "Last Xid",
            "The last Xid error since the exporter was started. Good: none.",
            query(f"max({names('last_xid', CHOSEN_GPU)})", now=True),
            steps=(("green", None), ("red", 1.0)),
            defaults={"mappings": [MISSING, named_values(XID_NAMES)]},
        ),
    )


def _work(names: Names) -> tuple[Viz, ...]:
    parts = (
        ("utilization", "any kernel"),
        ("sm_active", "SMs"),
        ("sm_occupancy", "warps"),
        ("tensor_active", "tensor cores"),
        ("dram_active", "memory bandwidth"),
    )
    return (
        timeseries(
            "What works in it",
            "Share of time or of the most possible: kernels, SMs with a warp, resident warps, "
            "tensor cores, memory bandwidth. Good: SMs close to kernels. Kernels at 100 % with few "
            "SMs is work that is too small for this GPU. Only Hopper and newer tell all of them.",
            *(
                query(names(reading, CHOSEN_GPU), text, ref=chr(ord("A") + index))
                for index, (reading, text) in enumerate(parts)
            ),
            unit="percentunit",
            defaults={"min": 0, "max": 1},
        ),
    )


def _memory(names: Names) -> tuple[Viz, ...]:
    return (
        timeseries(
            "Memory",
            "What processes have allocated. Good: it ends with the job. A slow rise until the job "
            "dies is a leak.",
            query(names("memory_used", CHOSEN_GPU), "in use"),
            query(names("memory_total", CHOSEN_GPU), "all", ref="B"),
            unit="bytes",
            defaults={"min": 0},
            overrides=[coloured("all", "text", dashed=True)],
        ),
    )


def _heat(names: Names) -> tuple[Viz, ...]:
    return (
        timeseries(
            "Temperature over time",
            "Core and memory, and where the GPU begins to slow down. Good: ten degrees of room.",
            query(names("temperature", CHOSEN_GPU), "core"),
            query(names("memory_temperature", CHOSEN_GPU), "memory", ref="B"),
            query(names("slowdown_temperature", CHOSEN_GPU), "slows down at", ref="C"),
            unit="celsius",
            defaults={"links": [line_to_node(names)]},
            custom=TEMPERATURES,
            overrides=[coloured("slows down at", "red", dashed=True)],
            size=(8, 8),
        ),
        timeseries(
            "Power and its limit",
            "Good: below the limit. At the limit the clocks give way: normal under full load.",
            query(names("power", CHOSEN_GPU), "drawn"),
            query(names("power_limit", CHOSEN_GPU), "limit", ref="B"),
            unit="watt",
            defaults={"min": 0},
            overrides=[coloured("limit", "text", dashed=True)],
            size=(8, 8),
        ),
        timeseries(
            "SM clock",
            "Good: near the highest under load; low when idle.",
            query(names("sm_clock", CHOSEN_GPU), "now"),
            query(names("sm_clock_max", CHOSEN_GPU), "highest", ref="B"),
            unit="hertz",
            defaults={"min": 0},
            overrides=[coloured("highest", "text", dashed=True)],
            size=(8, 8),
        ),
    )


def _states(names: Names) -> tuple[Viz, ...]:
    return (
        states(
            "What holds the clocks down",
            "One bar for each reason. Good: only blue ones, or sw_power_cap under full load. Red "
            "is heat, power supply or cooling.",
            *_reasons(names),
            mappings=_active("red"),
            others=CALM,
            size=(24, 8),
        ),
        states(
            "Performance state over time",
            "From P0, the fastest, to P15. Good: P0 under load, P8 or more when idle.",
            query(names("performance_state", CHOSEN_GPU), "state"),
            mappings=PERFORMANCE,
            size=(12, 4),
        ),
        states(
            "Xid errors over time",
            f"The last Xid as it changes. Good: none. {XIDS_SAID}",
            query(names("last_xid", CHOSEN_GPU), "last Xid"),
            mappings=XID_NAMES,
            steps=(("green", None), ("red", 1.0)),
            size=(12, 4),
        ),
    )


def _reasons(names: Names) -> tuple[Any, ...]:
    if not names.reasons:
        return (query(gpu("clock_event_active", CHOSEN_GPU), "{{reason}}"),)
    chosen = f"{CHOSEN_GPU},{names.chosen}"
    return tuple(
        query(expr.replace("CHOSEN", chosen), reason, ref=chr(ord("A") + index))
        for index, (reason, expr) in enumerate(names.reasons.items())
    )


def _errors(names: Names) -> tuple[Viz, ...]:
    return (
        timeseries(
            "New errors",
            "Memory errors, corrected and not, and PCIe packets sent again, at each point those "
            "since the one before, or about so many. Good: all 0. Corrected errors that keep "
            "coming become uncorrected ones.",
            query(names.new("corrected", CHOSEN_GPU), "corrected"),
            query(names.new("uncorrected", CHOSEN_GPU), "uncorrected", ref="B"),
            query(names.new("pcie_replays", CHOSEN_GPU), "PCIe replays", ref="C"),
            defaults={"min": 0},
            custom={"axisSoftMax": 1},
            overrides=[coloured("uncorrected", "red")],
        ),
    )


def _traffic(names: Names) -> tuple[Viz, ...]:
    return (
        timeseries(
            "Traffic of its links",
            "Bytes a second over PCIe and NVLink, where the GPU measures it. Good: PCIe low while "
            "NVLink works: the data is there already.",
            query(names("pcie_transmit", CHOSEN_GPU), "PCIe sent"),
            query(names("pcie_receive", CHOSEN_GPU), "PCIe received", ref="B"),
            query(names("nvlink_transmit", CHOSEN_GPU), "NVLink sent", ref="C"),
            query(names("nvlink_receive", CHOSEN_GPU), "NVLink received", ref="D"),
            unit="Bps",
            defaults={"min": 0},
        ),
    )
