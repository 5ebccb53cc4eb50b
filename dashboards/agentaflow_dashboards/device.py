"""The GPU board: everything about one GPU, for whoever wants to know what is wrong with it."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import BUSY_IS_GOOD, HOT, clusters, framed, gpus, nodes
from agentaflow_dashboards.kinds import Column, states, wide_table
from agentaflow_dashboards.modern import Row, Viz, override, query, stat, timeseries
from agentaflow_dashboards.names import DCGM, OURS, Names
from agentaflow_dashboards.node import FASTEST
from agentaflow_dashboards.promql import gpu

ACTIVE = ((0.0, "no", "transparent"), (1.0, "yes", "orange"))
NO_XID = ((0.0, "none", "green"),)
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
        rows.append(Row("What it is, and who holds it", (_identity(), _holders())))
    return framed(
        "gpu",
        "GPU",
        "One GPU: work, memory, heat, clocks, what slows it down, errors and links.",
        [clusters(names), nodes(names, one=True), gpus(names)],
        rows,
        names=names,
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
            "Code of the last Xid error since the exporter was started. Good: 0, there was none.",
            query(f"max({names('last_xid', CHOSEN_GPU)})", now=True),
            steps=(("green", None), ("red", 1.0)),
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
            unit="bytes",
            defaults={"min": 0},
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
            size=(8, 8),
        ),
        timeseries(
            "Power and its limit",
            "Good: below the limit. At the limit the clocks give way: normal under full load.",
            query(names("power", CHOSEN_GPU), "drawn"),
            query(names("power_limit", CHOSEN_GPU), "limit", ref="B"),
            unit="watt",
            defaults={"min": 0},
            size=(8, 8),
        ),
        timeseries(
            "SM clock",
            "Good: near the highest under load; low when idle.",
            query(names("sm_clock", CHOSEN_GPU), "now"),
            query(names("sm_clock_max", CHOSEN_GPU), "highest", ref="B"),
            unit="hertz",
            defaults={"min": 0},
            size=(8, 8),
        ),
    )


def _states(names: Names) -> tuple[Viz, ...]:
    return (
        states(
            "What holds the clocks down",
            "One bar for each reason. Good: only gpu_idle, or sw_power_cap under full load. Any "
            "thermal or hw reason is heat, power supply or cooling.",
            *_reasons(names),
            mappings=ACTIVE,
            size=(24, 8),
        ),
        states(
            "Performance state over time",
            "From 0, the fastest, to 15. Good: 0 under load, 8 or more when idle.",
            query(names("performance_state", CHOSEN_GPU), "state"),
            steps=FASTEST,
            size=(12, 4),
        ),
        states(
            "Xid errors over time",
            "The last Xid's code as it changes. Good: none. 48, 63, 64, 79, 94 and 95 are the "
            "hardware's: drain the node; 13, 31 and 43 are mostly the application's.",
            query(names("last_xid", CHOSEN_GPU), "last Xid"),
            mappings=NO_XID,
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
            "Errors a second",
            "Memory errors, corrected and not, and PCIe packets sent again. Good: all 0. Corrected "
            "errors that keep coming become uncorrected ones.",
            query(names.rate("corrected", CHOSEN_GPU), "corrected"),
            query(names.rate("uncorrected", CHOSEN_GPU), "uncorrected", ref="B"),
            query(names.rate("pcie_replays", CHOSEN_GPU), "PCIe replays", ref="C"),
            unit="cps",
            defaults={"min": 0},
            custom={"axisSoftMax": 1},
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


def _identity() -> Viz:
    labels = {
        "uuid": "UUID",
        "name": "Model",
        "serial": "Serial",
        "pci_bus_id": "PCI bus",
        "vbios_version": "VBIOS",
        "architecture": "Architecture",
    }
    return wide_table(
        "Identity",
        "What the driver says it is; the vendor asks for the serial. Good: what was bought.",
        labels,
        [Column("GPU", f"max by ({', '.join(labels)}) ({gpu('info', CHOSEN_GPU)})")],
        hidden={"Value": True},
        overrides=[override("UUID", {"custom.width": 340})],
        size=(24, 5),
    )


def _holders() -> Viz:
    labels = {"namespace": "Namespace", "pod": "Pod", "container": "Container"}
    return wide_table(
        "Held by",
        "The containers that hold it, as the kubelet says; several share it. Good: one that works. "
        "Missing where the exporter does not know the pods.",
        labels,
        [
            Column(
                "GPU works", f"avg by ({', '.join(labels)}) ({_busy_while_held()})", "percentunit"
            )
        ],
        size=(24, 5),
    )


def _busy_while_held() -> str:
    each = "max by (cluster, node, gpu, uuid, namespace, pod, container)"
    return (
        f"{each} ({gpu('pod_info', CHOSEN_GPU)})"
        f" * on (cluster, node, gpu, uuid) group_left () {OURS('utilization', CHOSEN_GPU)}"
    )
