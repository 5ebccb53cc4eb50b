"""nvidia_gpu_exporter's metrics (utkuozdemir, over nvidia-smi or NVML) as the canonical signals.

It knows no pods. Its uuid label lacks the GPU- that everyone else writes. Its units are ours.
"""

from __future__ import annotations

from agentaflow_advisor.observe.dialects.dialect import AHEAD, Dialect, Labels, Table

TARGET = "cluster, node, instance"
GPU = f"{TARGET}, uuid"
P = "nvidia_smi_"
USE = f"{P}utilization_gpu_ratio"
INFO = f"({P}gpu_info unless on (cluster, job, instance) ({P}last_collect_success == 0))"
"""Nothing of the GPUs counts as there now while their exporter fails to read them."""
REASONS = (
    "sw_power_cap",
    "sync_boost",
    "sw_thermal_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
)


def _now(name: str) -> str:
    return f"max by ({GPU}) ({P}{name})"


def _over(function: str, name: str) -> str:
    return f"max by ({GPU}) ({function}({P}{name}[{{window}}]))"


def _high(name: str) -> str:
    return f"max by ({GPU}) (quantile_over_time({{percentile}}, {P}{name}[{{window}}]))"


def _grown(name: str) -> str:
    return f"max by ({GPU}) (increase({P}{name}[{{window}}]))"


def _present(metric: str) -> str:
    """At how many steps of the grid the GPU had a sample, whoever scraped it."""
    return (
        f'count_over_time((max by (cluster, node, uuid) ({metric}{{node!=""}}) or '
        f'max by (cluster, instance, uuid) ({metric}{{node=""}}))[{{window}}:{{step}}])'
    )


_FLEET: Table = {
    "info": f"max by ({TARGET}, index, uuid, name) {INFO}",
    "up": f"max by ({TARGET}, index, uuid) {INFO}",
    "present": _present(f"{P}gpu_info"),
    "utilization_max": _over("max_over_time", "utilization_gpu_ratio"),
    "utilization_high": _high("utilization_gpu_ratio"),
    "utilization_mean": _over("avg_over_time", "utilization_gpu_ratio"),
    "utilization_broken": f"group by ({GPU}) (avg_over_time({USE}[{{window}}]) * 0 != 0)",
    "utilization_samples": _over("count_over_time", "utilization_gpu_ratio"),
    "utilization_age": f"min by ({GPU}) (time() - timestamp({USE}))",
    "utilization_present": _present(USE),
    "utilization_ahead": f"max by ({GPU}) (count_over_time({USE}{AHEAD}))",
    "memory_total": _now("memory_total_bytes"),
    "memory_used_max": _over("max_over_time", "memory_used_bytes"),
    "power_mean": _over("avg_over_time", "power_draw_watts"),
    "energy": _grown("energy_joules_total"),
    "temperature_max": _over("max_over_time", "temperature_gpu"),
    "processes": _now("compute_apps"),
}

_ACTIVITY: Table = {
    "power_limit_watts": _now("enforced_power_limit_watts"),
    "power_limit_default_watts": _now("power_default_limit_watts"),
    "throttled_seconds": " or ".join(
        f"label_replace({_grown(f'clocks_event_reasons_counters_{reason}_seconds')}, "
        f'"reason", "{reason}", "", "")'
        for reason in REASONS
    ),
    "mig_enabled": _now("mig_mode_current"),
}

_XIDS = f"{P}xid_errors_total"
_ROWS = f"{P}remapped_rows_uncorrectable"
_HEALTH: Table = {
    "ecc_uncorrected": f"round({_grown('ecc_errors_uncorrected_volatile_total')})",
    "ecc_corrected": f"round({_grown('ecc_errors_corrected_volatile_total')})",
    "remapped_rows_uncorrectable": _now("remapped_rows_uncorrectable"),
    "remapped_rows_uncorrectable_new": f"max by ({GPU}) (max_over_time({_ROWS}[{{window}}]) - "
    f"min_over_time({_ROWS}[{{window}}]))",
    "row_remap_pending": _now("remapped_rows_pending"),
    "row_remap_failure": _now("remapped_rows_failure"),
    "pcie_width": _over("max_over_time", "pcie_link_width_current"),
    "pcie_width_max": _now("pcie_link_width_max"),
    "recovery_action": _now("gpu_recovery_action"),
    "xids": f"round(max by ({GPU}, xid) ((max_over_time({_XIDS}[{{window}}]) unless "
    f"{_XIDS} offset {{window}}) or increase({_XIDS}[{{window}}])))",
    "xid_last": f"max by ({GPU}, xid) (max_over_time({P}xid_last_timestamp_seconds[{{window}}])) "
    "> time() - {window_seconds}",
}

DIALECT = Dialect(
    name="nvidia_gpu_exporter",
    exporter="nvidia_gpu_exporter",
    probes=(f"{P}gpu_info", USE),
    table={**_FLEET, **_ACTIVITY, **_HEALTH},
    labels=Labels("uuid", "GPU-", ("node",), "index", "name"),
)
