"""PromQL that boards share: the chosen series, what was recorded of them, and what counts as idle.

Whatever is asked of every GPU over a whole range is asked of the recorded series
(alerts/README.md): a sample for each five minutes, and of rare things only where there were any.
"""

from __future__ import annotations

CHOSEN = 'cluster=~"$cluster",node=~"$node"'
EACH_NODE = "by (cluster, node)"
EACH_GPU = "by (cluster, node, gpu, uuid)"
SAME_GPU = "on (cluster, node, gpu, uuid)"
SAME_BOARD = "on (cluster, node, uuid)"
UNCORRECTED = 'type="uncorrected"'


PODS_KNOWN = 'and on (cluster) agentaflow_gpu_pod_info{cluster=~"$cluster"}'
"""Only clusters whose pods are known: elsewhere every GPU would seem to be held by nobody."""


def gpu(metric: str, *matchers: str) -> str:
    """The series of `agentaflow_gpu_<metric>` of the chosen clusters and nodes."""
    return f"agentaflow_gpu_{metric}{{{','.join([*matchers, CHOSEN])}}}"


def exporter(metric: str) -> str:
    """The series of `agentaflow_exporter_<metric>` of the chosen clusters and nodes."""
    return f"agentaflow_exporter_{metric}{{{CHOSEN}}}"


def recorded(family: str, *matchers: str) -> str:
    """What the recording rules keep of each GPU, such as `xids:increase`, in steps of 5 minutes."""
    return f"agentaflow:gpu_{family}5m{{{','.join([*matchers, CHOSEN])}}}"


def grown(family: str, *labels: str) -> str:
    """By how much it grew in the chosen range, of the GPUs of which it did."""
    each = ", ".join(("cluster", "node", "uuid", *labels))
    return f"max by ({each}) (sum_over_time({recorded(f'{family}:increase')}[$__range]))"


NUMBERS = f"group by (cluster, node, uuid, gpu) ({gpu('up')})"


def numbered(expr: str) -> str:
    """With the GPU's number, which recorded series have not; without where it is gone by now."""
    return f"(({expr}) * {SAME_BOARD} group_left (gpu) {NUMBERS} or {SAME_BOARD} ({expr}))"


def or_none(expr: str, measured: str, label: str = "cluster") -> str:
    """Where nothing is to be told: a row called none, with a 0, if `measured` is there."""
    return f'{expr} or on () label_replace(0 * count({measured}), "{label}", "none", "", "")'


def none_of(expr: str, measured: str) -> str:
    """The same as a line of its own."""
    return f"0 * count({measured}) unless on () ({expr})"


def leading(expr: str, labels: str, *, most: int = 10) -> str:
    """Lines of those that were highest on average over the range, the same at every time.

    Which they are is asked once, of every 15th minute. `labels` is what tells the lines apart.
    """
    mean = f"avg_over_time(({expr})[$__range:15m] @ end())"
    return f"{expr} and on ({labels}) topk({most}, {mean})"


def lowest(expr: str, *, most: int = 10) -> str:
    """Those that were lowest on average over the range, the lowest first, of every 5th minute."""
    return f"sort(bottomk({most}, avg_over_time(({expr})[$__range:5m])))"


UTILIZATION = gpu("utilization_ratio", 'engine="gpu"')
MEMORY_USED = gpu("memory_used_bytes")
_BUSIEST = recorded("utilization_ratio:max")

JUDGED = f"count({_BUSIEST} offset $__range)"
"""GPUs that were there, and recorded, when the range began."""

IDLE = (
    f"((max by (cluster, node, uuid) (max_over_time({_BUSIEST}[$__range])) == 0"
    f" and {SAME_BOARD} {_BUSIEST} offset $__range) * {SAME_BOARD} group_left (gpu) {NUMBERS})"
)
"""GPUs that never worked in the whole range; one that was not there at its start is not judged."""

HELD_BY_IDLE = f"(max {EACH_GPU} ({MEMORY_USED}) and {SAME_GPU} {IDLE})"

WITH_PODS = (
    f"(max by (cluster, node, gpu, uuid, namespace, pod) ({gpu('pod_info')})"
    f" or {SAME_GPU} group {EACH_GPU} ({gpu('up')}))"
)
"""1 for each pod of a GPU, and for each GPU without a pod."""

IDLE_WITH_PODS = f"{WITH_PODS} * {SAME_GPU} group_left () {HELD_BY_IDLE}"

HELD_BY_NO_POD = (
    f"max {EACH_GPU} ({MEMORY_USED}) > 2^30 unless {SAME_GPU} {gpu('pod_info')} {PODS_KNOWN}"
)
"""Only in clusters where pods are known at all: else every GPU in use would be listed."""


def advised(metric: str, *matchers: str) -> str:
    """The series of `agentaflow_advisor_<metric>` of the chosen clusters."""
    chosen = ",".join([*matchers, 'cluster=~"$cluster"'])
    return f"agentaflow_advisor_{metric}{{{chosen}}}"


def short_name(expr: str) -> str:
    """Models without the vendor's name, which all of them begin with."""
    return f'label_replace({expr}, "name", "$1", "name", "NVIDIA (.+)")'
