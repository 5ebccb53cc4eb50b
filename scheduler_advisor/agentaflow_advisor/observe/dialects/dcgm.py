"""dcgm-exporter's metrics, under the names that it has had for years, as the canonical signals.

A series has the labels of the container that holds the GPU (none: nobody, or not known). So it
ends when the holder changes, and a GPU that several share has one for each: nothing may be summed
over them. Maxima and ages are those of all its series; means weigh each series by its samples;
the samples are those of all, by how many there were at a time on average; counters are followed on
the grid, where one series stands for all; a high percentile is that of the series with the highest,
which is never less than the GPU's.

On a GPU with MIG the series are of instances (GPU_I_ID). DCGM has no utilization of the whole of
it, so there is none here: no verdict. That it is there, and who holds it, is taken from them.
"""

from __future__ import annotations

from collections.abc import Mapping

from agentaflow_advisor.observe.dialects.dialect import AHEAD, Dialect, Labels, Table

PLACE = "cluster, node, Hostname, hostname"
"""`node` is a target label; the other two are dcgm-exporter's, the last one since 2026."""
GPU = f"{PLACE}, UUID"
HOLDER = "namespace, pod, container"
MEBIBYTE = 2**20
WHOLE = 'GPU_I_ID=""'
REASONS: Mapping[str, str] = {
    "POWER": "sw_power_cap",
    "SYNC_BOOST": "sync_boost",
    "THERMAL": "thermal",
}
"""Of its counters of held-down clocks, those that mean what a reason of NVML's means, and the one
that is by any of the thermal reasons (nvml.h, NVML_PERF_POLICY_THERMAL). No analysis asks for
BOARD_LIMIT, LOW_UTIL and RELIABILITY: they are no loss, or nobody says whose."""

OLD: Mapping[str, str] = {
    "utilization": "DCGM_FI_DEV_GPU_UTIL",
    "temperature": "DCGM_FI_DEV_GPU_TEMP",
    "temperature_slowdown": "DCGM_FI_DEV_SLOWDOWN_TEMP",
    "power": "DCGM_FI_DEV_POWER_USAGE",
    "power_limit": "DCGM_FI_DEV_ENFORCED_POWER_LIMIT",
    "power_limit_default": "DCGM_FI_DEV_POWER_MGMT_LIMIT_DEF",
    "sm_active": "DCGM_FI_PROF_SM_ACTIVE",
    "tensor_active": "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
    "dram_active": "DCGM_FI_PROF_DRAM_ACTIVE",
    "remapped_rows": "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
    "row_remap_failure": "DCGM_FI_DEV_ROW_REMAP_FAILURE",
    "retired_pending": "DCGM_FI_DEV_RETIRED_PENDING",
    "pcie_replays": "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
    "recovery_action": "DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION",
    "xid": "DCGM_FI_DEV_XID_ERRORS",
    "nvlink_errors": "DCGM_FI_DEV_NVLINK_(ERROR_DL_CRC|CRC_FLIT_ERROR_COUNT_TOTAL"
    "|CRC_DATA_ERROR_COUNT_TOTAL|REPLAY_ERROR_COUNT_TOTAL|RECOVERY_ERROR_COUNT_TOTAL)",
}
"""Those of the metrics here that DCGM 4.6 calls otherwise."""


def dialect(name: str, exporter: str, names: Mapping[str, str]) -> Dialect:
    """dcgm-exporter under these names."""
    probes = tuple(names[each] for each in ("utilization", "temperature", "power"))
    return Dialect(
        name=name,
        exporter=exporter,
        probes=probes,
        table={**_fleet(names, probes), **_activity(names), **_health(names)},
        labels=Labels(
            "UUID", "", ("node", "Hostname", "hostname"), "gpu", "modelName", "GPU_I_PROFILE"
        ),
    )


def _fleet(names: Mapping[str, str], probes: tuple[str, ...]) -> Table:
    there = f'__name__=~"{"|".join(probes)}"'
    use = names["utilization"]
    power = names["power"]
    return {
        "info": f"group by ({PLACE}, gpu, UUID, modelName) ({{{there}}})",
        "up": f"group by ({PLACE}, gpu, UUID) ({{{there}}})",
        "present": _steps(f"max by ({GPU}) ({{{there}}})"),
        "utilization_max": f"{_over('max_over_time', use)} / 100",
        "utilization_high": f"{_high(use)} / 100",
        "utilization_mean": f"{_mean(use)} / 100",
        "utilization_broken": f"group by ({GPU}) "
        f"(avg_over_time({_whole(use)}[{{window}}]) * 0 != 0)",
        "utilization_samples": f"sum by ({GPU}) (count_over_time({_whole(use)}[{{window}}])) / "
        f"avg_over_time((count by ({GPU}) ({_whole(use)}))[{{window}}:{{step}}])",
        "utilization_age": f"min by ({GPU}) (time() - timestamp({_whole(use)}))",
        "utilization_present": _steps(_now(use)),
        "utilization_ahead": f"max by ({GPU}) (count_over_time({_whole(use)}{AHEAD}))",
        "memory_total": _memory_total(),
        "memory_used_max": f"{_over('max_over_time', 'DCGM_FI_DEV_FB_USED')} * {MEBIBYTE}",
        "power_mean": _mean(power),
        "energy": f"{_grown('DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION')} / 1000",
        "temperature_max": _over("max_over_time", names["temperature"]),
        "pods": _pods(there),
        "held": f"sum_over_time(({held(there)})[{{window}}:{{step}}])",
        "held_pods": f"sum_over_time((count by ({GPU}, namespace, pod) ({_pods(there)}) "
        f"/ on ({GPU}) group_left () count by ({GPU}) ({_pods(there)}))[{{window}}:{{step}}])",
        "held_slices": _held_slices(there),
    }


def _activity(names: Mapping[str, str]) -> Table:
    return {
        "sm_active_mean": _mean(names["sm_active"]),
        "sm_active_high": _high(names["sm_active"]),
        "tensor_active_mean": _mean(names["tensor_active"]),
        "dram_active_mean": _mean(names["dram_active"]),
        "power_limit_watts": _now(names["power_limit"]),
        "power_limit_default_watts": _now(names["power_limit_default"]),
        "temperature_slowdown_celsius": _now(names["temperature_slowdown"]),
        "throttled_seconds": " or ".join(
            f"label_replace({_grown(f'DCGM_FI_DEV_{violation}_VIOLATION')} / 1e9, "
            f'"reason", "{reason}", "", "")'
            for violation, reason in REASONS.items()
        ),
        "mig_enabled": f"{_now('DCGM_FI_DEV_MIG_MODE')} or group by ({GPU}) "
        f'({{__name__=~"{names["temperature"]}|DCGM_FI_DEV_FB_USED", GPU_I_ID!=""}})',
    }


def _health(names: Mapping[str, str]) -> Table:
    rows, xid = names["remapped_rows"], names["xid"]
    links = f'{{__name__=~"{names["nvlink_errors"]}", {WHOLE}}}'
    errors = f'max by ({GPU}, kind) (label_replace({links}, "kind", "$1", "__name__", "(.+)"))'
    return {
        "ecc_uncorrected": f"round({_grown('DCGM_FI_DEV_ECC_DBE_VOL_TOTAL')})",
        "ecc_corrected": f"round({_grown('DCGM_FI_DEV_ECC_SBE_VOL_TOTAL')})",
        "remapped_rows_uncorrectable": _now(rows),
        "remapped_rows_uncorrectable_new": f"{_over('max_over_time', rows)} - "
        f"min by ({GPU}) (min_over_time({_whole(rows)}[{{window}}]))",
        "row_remap_pending": _now("DCGM_FI_DEV_ROW_REMAP_PENDING"),
        "row_remap_failure": _now(names["row_remap_failure"]),
        "retired_pages_pending": _now(names["retired_pending"]),
        "pcie_width": _over("max_over_time", "DCGM_FI_DEV_PCIE_LINK_WIDTH"),
        "pcie_width_max": _now("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH"),
        "pcie_replays": f"round({_grown(names['pcie_replays'])})",
        "nvlink_errors": f"round(sum by ({GPU}) (increase(({errors})[{{window}}:{{step}}])))",
        "recovery_action": _now(names["recovery_action"]),
        "xids": f'sum_over_time((count_values by ({GPU}) ("xid", ({_now(xid)} > 0) != '
        f"max by ({GPU}) ({_whole(xid)} offset {{step}})))[{{window}}:{{step}}]) or "
        f'label_replace({_now(xid)} * 0, "xid", "none", "", "")',
    }


def _whole(metric: str) -> str:
    """Of whole GPUs, not of MIG instances."""
    return f"{metric}{{{WHOLE}}}"


def _now(metric: str) -> str:
    return f"max by ({GPU}) ({_whole(metric)})"


def _over(function: str, metric: str) -> str:
    return f"max by ({GPU}) ({function}({_whole(metric)}[{{window}}]))"


def _high(metric: str) -> str:
    return f"max by ({GPU}) (quantile_over_time({{percentile}}, {_whole(metric)}[{{window}}]))"


def _mean(metric: str) -> str:
    """Of all samples of all series: each holder's time weighs as long as it was."""
    return (
        f"sum by ({GPU}) (sum_over_time({_whole(metric)}[{{window}}])) / "
        f"sum by ({GPU}) (count_over_time({_whole(metric)}[{{window}}]))"
    )


def _grown(metric: str) -> str:
    """A counter's increase through resets and changes of holder, seen at the steps of the grid."""
    return f"increase(({_now(metric)})[{{window}}:{{step}}])"


def _steps(expression: str) -> str:
    """At how many steps of the grid it was there."""
    return f"count_over_time(({expression})[{{window}}:{{step}}])"


def _memory_total() -> str:
    """FB_TOTAL is not in dcgm-exporter's default list; its parts are."""
    used, free = _now("DCGM_FI_DEV_FB_USED"), _now("DCGM_FI_DEV_FB_FREE")
    reserved = f"({_now('DCGM_FI_DEV_FB_RESERVED')} or {used} * 0)"
    return f"({_now('DCGM_FI_DEV_FB_TOTAL')} or {used} + {free} + {reserved}) * {MEBIBYTE}"


def held(there: str) -> str:
    """The part of each GPU that the pods of a namespace hold."""
    pods = _pods(there)
    return (
        f"count by ({GPU}, namespace) ({pods}) / on ({GPU}) group_left () count by ({GPU}) ({pods})"
    )


def _held_slices(there: str) -> str:
    """By pod and MIG profile; and whole, on GPUs that were cut within the window."""
    cut, by, its = f'{there}, GPU_I_ID!=""', "namespace, pod", f"{GPU}, GPU_I_ID"
    sliced, whole = _pods(cut, f"{its}, GPU_I_PROFILE"), _pods(f"{there}, {WHOLE}")
    parts = (
        f"sum by ({GPU}, {by}, GPU_I_PROFILE) (count by ({its}, {by}, GPU_I_PROFILE) ({sliced}) "
        f"/ on ({its}) group_left () count by ({its}) ({sliced}))"
    )
    rest = f"count by ({GPU}, {by}) ({whole}) / on ({GPU}) group_left () count by ({GPU}) ({whole})"
    ever = f"group by ({GPU}) (last_over_time({{{cut}}}[{{window}}] @ end()))"
    return f"sum_over_time(({parts} or ({rest} and on ({GPU}) {ever}))[{{window}}:{{step}}])"


def _pods(there: str, by: str = GPU) -> str:
    """Who holds each GPU.

    Where Prometheus renamed the exporter's labels (honor_labels is off), the plain ones are of the
    exporter's own pod, on every series that nobody holds: those that `up` has too, and all those
    of a target that has renamed ones.
    """
    renamed = f'{{{there}, exported_pod!=""}}'
    for label in HOLDER.split(", "):
        renamed = f'label_replace({renamed}, "{label}", "$1", "exported_{label}", "(.+)")'
    plain = (
        f'({{{there}, exported_pod="", pod!=""}} unless on (cluster, job, instance, namespace, pod)'
        f' up unless on (cluster, job, instance) {{{there}, exported_pod!=""}})'
    )
    return f"max by ({by}, {HOLDER}) ({renamed} or {plain})"


DIALECT = dialect("dcgm", "dcgm-exporter", OLD)
