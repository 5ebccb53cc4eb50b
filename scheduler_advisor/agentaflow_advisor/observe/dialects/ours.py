"""Our own exporter's metrics: the canonical signals as PromQL.

Every query is aggregated to one series per GPU as one target sees it: the join metric and a second
job on the same target cannot multiply it. `instance` is kept as the stand-in for a missing `node`
label; readings.py and merge.py then reconcile targets that see the same GPU. What is summed over
the `gpu` index is a GPU whose index changed within the window.
"""

from __future__ import annotations

from agentaflow_advisor.observe.dialects.dialect import AHEAD, Dialect, Table

TARGET = "cluster, node, instance"
GPU = f"{TARGET}, uuid"
POD = "namespace, pod, container, exported_namespace, exported_pod, exported_container"
"""Prometheus renames our labels to exported_… where the target has labels of these names."""

UTILIZATION = 'agentaflow_gpu_utilization_ratio{engine="gpu"}'


def _over(function: str, metric: str) -> str:
    return f"max by ({GPU}) ({function}({metric}[{{window}}]))"


def _presence(metric: str, *matchers: str) -> str:
    """At how many steps of the grid the GPU had a sample, whoever scraped it."""
    named = ", ".join((*matchers, 'node!=""'))
    nameless = ", ".join((*matchers, 'node=""'))
    return (
        f"count_over_time((max by (cluster, node, uuid) ({metric}{{{named}}})"
        f" or max by (cluster, instance, uuid) ({metric}{{{nameless}}}))[{{window}}:{{step}}])"
    )


_HELD_BY = f"{GPU}, namespace, exported_namespace"
_PODS = f"max by ({GPU}, {POD}) (agentaflow_gpu_pod_info)"
HELD = f"count by ({_HELD_BY}) ({_PODS}) / on ({GPU}) group_left () count by ({GPU}) ({_PODS})"
"""The part of each GPU that the pods of a namespace hold."""
_SLICE = f"{GPU}, gpu_instance"
_PROFILES = (
    f"topk by ({_SLICE}) (1, max by ({_SLICE}, profile) (label_replace(agentaflow_gpu_mig_info, "
    '"profile", "$1", "profile", "(?:[0-9]+c[.])?(.+)")))'
)
"""Of each GPU instance. A compute instance in it has the same behind its own part and a c."""


def _held_slices() -> str:
    """By pod and MIG profile; and whole, on GPUs that were cut within the window."""
    sliced, whole = (
        f"max by ({_SLICE}, {POD}) (agentaflow_gpu_pod_info{{gpu_instance{matcher}}})"
        for matcher in ('!=""', '=""')
    )
    by = f"{_HELD_BY}, pod, exported_pod"
    parts = (
        f"sum by ({by}, profile) (count by ({by}, gpu_instance) ({sliced}) / on ({_SLICE}) "
        f"group_left () count by ({_SLICE}) ({sliced}) "
        f"* on ({_SLICE}) group_left (profile) {_PROFILES})"
    )
    rest = f"count by ({by}) ({whole}) / on ({GPU}) group_left () count by ({GPU}) ({whole})"
    cut = "last_over_time(agentaflow_gpu_mig_info[{window}] @ end())"
    return f"sum_over_time(({parts} or ({rest} and on ({GPU}) {cut}))[{{window}}:{{step}}])"


def _now(metric: str) -> str:
    return f"max by ({GPU}) ({metric})"


def _high(metric: str) -> str:
    return f"max by ({GPU}) (quantile_over_time({{percentile}}, {metric}[{{window}}]))"


def _grown(metric: str, *labels: str) -> str:
    """A counter's increase, through resets; over the indices that the GPU had."""
    by = ", ".join((GPU, *labels))
    inner = ", ".join((TARGET, "gpu, uuid", *labels))
    return f"sum by ({by}) (max by ({inner}) (increase({metric}[{{window}}])))"


def _events(metric: str, *labels: str) -> str:
    """A counter of rare events, in whole numbers."""
    return f"round({_grown(metric, *labels)})"


_XIDS = "agentaflow_gpu_xid_errors_total"

_FLEET: Table = {
    "info": f"max by ({TARGET}, gpu, uuid, name) (agentaflow_gpu_info)",
    "up": f"min by ({TARGET}, gpu, uuid) (agentaflow_gpu_up)",
    "present": _presence("agentaflow_gpu_up"),
    "utilization_max": _over("max_over_time", UTILIZATION),
    "utilization_high": _high(UTILIZATION),
    "utilization_mean": _over("avg_over_time", UTILIZATION),
    "utilization_broken": f"group by ({GPU}) (avg_over_time({UTILIZATION}[{{window}}]) * 0 != 0)",
    "utilization_samples": _over("count_over_time", UTILIZATION),
    "utilization_age": f"min by ({GPU}) (time() - timestamp({UTILIZATION}))",
    "utilization_present": _presence("agentaflow_gpu_utilization_ratio", 'engine="gpu"'),
    "utilization_ahead": f"max by ({GPU}) (count_over_time({UTILIZATION}{AHEAD}))",
    "memory_total": f"max by ({GPU}) (agentaflow_gpu_memory_total_bytes)",
    "memory_used_max": _over("max_over_time", "agentaflow_gpu_memory_used_bytes"),
    "power_mean": _over("avg_over_time", "agentaflow_gpu_power_watts"),
    "energy": _grown("agentaflow_gpu_energy_joules_total"),
    "temperature_max": _over("max_over_time", 'agentaflow_gpu_temperature_celsius{sensor="gpu"}'),
    "processes": f"sum by ({GPU}) (max by ({GPU}, type) (agentaflow_gpu_processes))",
    "pods": _PODS,
    "held": f"sum_over_time(({HELD})[{{window}}:{{step}}])",
    "held_pods": f"sum_over_time((count by ({_HELD_BY}, pod, exported_pod) ({_PODS}) / on ({GPU}) "
    f"group_left () count by ({GPU}) ({_PODS}))[{{window}}:{{step}}])",
    "held_slices": _held_slices(),
}
"""`held` counts the steps of the grid in which a namespace's pods held the GPU; where n pods share
it at a step, each has 1/n of that step. `held_pods` has a series for each pod of the window, and is
asked for only where pods are told apart. `held_slices` counts the steps of each slice, so that one
of seven counts as much as a whole GPU: what part of it that is, is for prices to say."""


_ACTIVITY: Table = {
    "sm_active_mean": _over("avg_over_time", "agentaflow_gpu_sm_active_ratio"),
    "sm_active_high": _high("agentaflow_gpu_sm_active_ratio"),
    "tensor_active_mean": _over("avg_over_time", 'agentaflow_gpu_pipe_active_ratio{pipe="tensor"}'),
    "dram_active_mean": _over("avg_over_time", "agentaflow_gpu_dram_active_ratio"),
    "power_limit_watts": _now('agentaflow_gpu_power_limit_watts{limit="enforced"}'),
    "power_limit_default_watts": _now('agentaflow_gpu_power_limit_watts{limit="default"}'),
    "temperature_slowdown_celsius": _now(
        'agentaflow_gpu_temperature_threshold_celsius{threshold="slowdown"}'
    ),
    "throttled_seconds": _grown("agentaflow_gpu_clock_event_seconds_total", "reason"),
    "mig_enabled": _now('agentaflow_gpu_mig_mode_enabled{mode="current"}'),
}

_HEALTH: Table = {
    "ecc_uncorrected": _events('agentaflow_gpu_ecc_errors_total{type="uncorrected"}'),
    "ecc_corrected": _events('agentaflow_gpu_ecc_errors_total{type="corrected"}'),
    "remapped_rows_uncorrectable": _now('agentaflow_gpu_remapped_rows{type="uncorrectable"}'),
    "remapped_rows_uncorrectable_new": f"max by ({GPU}) ("
    'max_over_time(agentaflow_gpu_remapped_rows{type="uncorrectable"}[{window}]) - '
    'min_over_time(agentaflow_gpu_remapped_rows{type="uncorrectable"}[{window}]))',
    "row_remap_pending": _now("agentaflow_gpu_row_remap_pending"),
    "row_remap_failure": _now("agentaflow_gpu_row_remap_failure"),
    "retired_pages_pending": _now("agentaflow_gpu_retired_pages_pending"),
    "pcie_width": _over("max_over_time", "agentaflow_gpu_pcie_link_width"),
    "pcie_width_max": _now("agentaflow_gpu_pcie_link_width_max"),
    "pcie_replays": _events("agentaflow_gpu_pcie_replays_total"),
    "nvlink_links_down": f"sum by ({GPU}) (1 - max by ({GPU}, link) (agentaflow_gpu_nvlink_up))",
    "nvlink_errors": f"sum by ({GPU}) ({_events('agentaflow_gpu_nvlink_errors_total', 'type')})",
    "recovery_action": _now("agentaflow_gpu_recovery_action"),
    "lost_seconds": f"max by ({GPU}) ((1 - avg_over_time(agentaflow_gpu_up[{{window}}])) * "
    "count_over_time(agentaflow_gpu_up[{window}:{step}])) * {step_seconds}",
    "xids": f"round(max by ({GPU}, xid) ((max_over_time({_XIDS}[{{window}}]) unless "
    f"{_XIDS} offset {{window}}) or increase({_XIDS}[{{window}}])))",
    "xid_last": f"max by ({GPU}, xid) "
    "(max_over_time(agentaflow_gpu_xid_last_timestamp_seconds[{window}])) "
    "> time() - {window_seconds}",
}
"""A link is down where no target sees it up. A code whose series began within the window counts
from its beginning: the first Xid makes the series, and `increase` does not see it."""

DIALECT = Dialect(
    name="agentaflow",
    exporter="agentaflow-exporter",
    probes=("agentaflow_gpu_up",),
    table={**_FLEET, **_ACTIVITY, **_HEALTH},
    lost=f"min by ({TARGET}, gpu, uuid) (agentaflow_gpu_up == 0)",
)
