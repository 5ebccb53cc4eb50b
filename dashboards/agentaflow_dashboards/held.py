"""PromQL about GPUs that pods hold: shared ones are shared out, and priced as the advisor says."""

from __future__ import annotations

from agentaflow_dashboards.promql import SAME_GPU

HOURS_A_MONTH = 730
EACH_POD = "by (cluster, node, gpu, uuid, namespace, pod)"
EACH_GPU = "by (cluster, node, gpu, uuid)"
CHOSEN_PODS = 'cluster=~"$cluster",namespace=~"$namespace"'
POD = 'pod=~"$pod"'
PRICE = (
    "max by (cluster, node, currency)"
    ' (agentaflow_advisor_gpu_price_per_hour{cluster=~"$cluster"} @ end())'
)
"""The newest price: it holds for the whole range, so that a price change does not look like use."""


def pods(*matchers: str) -> str:
    """1 for each pod and GPU that it holds."""
    chosen = ",".join([*matchers, CHOSEN_PODS])
    return f"max {EACH_POD} (agentaflow_gpu_pod_info{{{chosen}}})"


def sharers() -> str:
    """How many pods hold a GPU; all of them, whatever namespaces are chosen."""
    return f'count {EACH_GPU} (max {EACH_POD} (agentaflow_gpu_pod_info{{cluster=~"$cluster"}}))'


def shares(*matchers: str) -> str:
    """What part of each GPU each pod has: three pods that share one have a third each."""
    return f"({pods(*matchers)} / {SAME_GPU} group_left () {sharers()})"


def each_reading(reading: str, *matchers: str) -> str:
    """A reading of the GPU for each pod that holds it."""
    return f"({pods(*matchers)} * {SAME_GPU} group_left () {whole(reading)})"


def part_of_reading(reading: str, *matchers: str) -> str:
    """The pod's part of a reading, such as power."""
    return f"({shares(*matchers)} * {SAME_GPU} group_left () {whole(reading)})"


def whole(metric: str) -> str:
    """A metric of each GPU of the chosen clusters, by the GPU's labels alone."""
    name, _, matchers = metric.partition("{")
    inside = ",".join(part for part in (matchers.rstrip("}"), 'cluster=~"$cluster"') if part)
    return f"max {EACH_GPU} (agentaflow_gpu_{name}{{{inside}}})"


def cost(expr: str) -> str:
    """GPUs times what a GPU of their node costs an hour; the currency comes with it."""
    return f"({expr} * on (cluster, node) group_left (currency) {PRICE})"


OF_CLUSTERS = 'cluster=~"$cluster"'
PART_HELD = (
    "max by (cluster, node, uuid, namespace)"
    f' (agentaflow:gpu_held_ratio:last5m{{{OF_CLUSTERS},namespace=~"$namespace"}})'
)
"""What part of each GPU the pods of each chosen namespace hold, as it was recorded."""
PART_USED = (
    f"max by (cluster, node, uuid) (agentaflow:gpu_utilization_ratio:avg5m{{{OF_CLUSTERS}}})"
)
"""The share of five minutes in which a kernel ran."""


def unused() -> str:
    """The part of each namespace's GPUs in which no kernel ran."""
    return f"({PART_HELD} * on (cluster, node, uuid) group_left () (1 - {PART_USED}))"


def unheld() -> str:
    """The part of each GPU that no pod holds, in clusters whose pods are known."""
    held = f"agentaflow:gpu_held_ratio:last5m{{{OF_CLUSTERS}}}"
    known = f"group by (cluster, node, uuid) (agentaflow:gpu_present:last5m{{{OF_CLUSTERS}}})"
    rest = (
        f"{known} - sum by (cluster, node, uuid) (max by (cluster, node, uuid, namespace) ({held}))"
    )
    return f"(({rest} or {known}) and on (cluster) {held})"


def averaged(expr: str) -> str:
    """The mean over the range of what was recorded; where a series was not there, it was 0."""
    steps = f'max(agentaflow:recorded_time:seconds{{step="5m",{OF_CLUSTERS}}})'
    total = f"sum_over_time(({expr})[$__range:10m])"
    return f"({total} / on () group_left () count_over_time(({steps})[$__range:10m]))"
