"""PromQL that boards share: the chosen series, and what counts as idle or as held by nobody."""

from __future__ import annotations

CHOSEN = 'cluster=~"$cluster",node=~"$node"'
EACH_NODE = "by (cluster, node)"
EACH_GPU = "by (cluster, node, gpu, uuid)"
SAME_GPU = "on (cluster, node, gpu, uuid)"
UNCORRECTED = 'type="uncorrected"'
SLOWED_DOWN = 'reason=~"sw_power_cap|.+_slowdown"'


PODS_KNOWN = 'and on (cluster) agentaflow_gpu_pod_info{cluster=~"$cluster"}'
"""Only clusters whose pods are known: elsewhere every GPU would seem to be held by nobody."""


def gpu(metric: str, *matchers: str) -> str:
    """The series of `agentaflow_gpu_<metric>` of the chosen clusters and nodes."""
    return f"agentaflow_gpu_{metric}{{{','.join([*matchers, CHOSEN])}}}"


def exporter(metric: str) -> str:
    """The series of `agentaflow_exporter_<metric>` of the chosen clusters and nodes."""
    return f"agentaflow_exporter_{metric}{{{CHOSEN}}}"


UTILIZATION = gpu("utilization_ratio", 'engine="gpu"')
TEMPERATURE = gpu("temperature_celsius", 'sensor="gpu"')
MEMORY_USED = gpu("memory_used_bytes")

IDLE = (
    f"(max {EACH_GPU} (max_over_time({UTILIZATION}[$__range])) == 0"
    f" and {SAME_GPU} {gpu('up')} offset $__range)"
)
"""GPUs that never worked in the whole range; one that was not there at its start is not judged."""

HELD_BY_IDLE = f"(max {EACH_GPU} ({MEMORY_USED}) and {SAME_GPU} {IDLE})"

IDLE_WITH_PODS = (
    f"max by (cluster, node, gpu, uuid, namespace, pod) ({gpu('pod_info')})"
    f" * {SAME_GPU} group_left () {HELD_BY_IDLE}"
    f" or {SAME_GPU} {HELD_BY_IDLE}"
)
"""A row for each pod of an idle GPU, and one for each idle GPU without a pod."""

HELD_BY_NO_POD = (
    f"max {EACH_GPU} ({MEMORY_USED}) > 2^30 unless {SAME_GPU} {gpu('pod_info')} {PODS_KNOWN}"
)
"""Only in clusters where pods are known at all: else every GPU in use would be listed."""


def advised(metric: str, *matchers: str) -> str:
    """The series of `agentaflow_advisor_<metric>` of the chosen clusters."""
    chosen = ",".join([*matchers, 'cluster=~"$cluster"'])
    return f"agentaflow_advisor_{metric}{{{chosen}}}"
