"""Our own exporter's metrics: the canonical signals as PromQL.

Every query is aggregated to one series per GPU as one target sees it: the join metric and a second
job on the same target cannot multiply it. `instance` is kept as the stand-in for a missing `node`
label; snapshot.py then reconciles targets that see the same GPU. What is summed over the `gpu`
index is a GPU whose index changed within the window.
"""

from __future__ import annotations

from agentaflow_advisor.observe.dialects import Dialect

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

DIALECT: Dialect = {
    "info": f"max by ({TARGET}, gpu, uuid, name) (agentaflow_gpu_info)",
    "up": f"min by ({TARGET}, gpu, uuid) (agentaflow_gpu_up)",
    "present": _presence("agentaflow_gpu_up"),
    "utilization_max": _over("max_over_time", UTILIZATION),
    "utilization_high": f"max by ({GPU}) (quantile_over_time({{percentile}}, "
    f"{UTILIZATION}[{{window}}]))",
    "utilization_mean": _over("avg_over_time", UTILIZATION),
    "utilization_samples": _over("count_over_time", UTILIZATION),
    "utilization_age": f"min by ({GPU}) (time() - timestamp({UTILIZATION}))",
    "utilization_present": _presence("agentaflow_gpu_utilization_ratio", 'engine="gpu"'),
    "memory_total": f"max by ({GPU}) (agentaflow_gpu_memory_total_bytes)",
    "memory_used_max": _over("max_over_time", "agentaflow_gpu_memory_used_bytes"),
    "power_mean": _over("avg_over_time", "agentaflow_gpu_power_watts"),
    "energy": f"sum by ({GPU}) (max by ({TARGET}, gpu, uuid) "
    "(increase(agentaflow_gpu_energy_joules_total[{window}])))",
    "temperature_max": _over("max_over_time", 'agentaflow_gpu_temperature_celsius{sensor="gpu"}'),
    "processes": f"sum by ({GPU}) (max by ({GPU}, type) (agentaflow_gpu_processes))",
    "pods": _PODS,
    "held": f"sum_over_time((count by ({_HELD_BY}) ({_PODS}) / on ({GPU}) group_left () "
    f"count by ({GPU}) ({_PODS}))[{{window}}:{{step}}])",
}
"""`held` counts the steps of the grid in which a namespace's pods held the GPU; where n pods share
it at a step, each has 1/n of that step."""
