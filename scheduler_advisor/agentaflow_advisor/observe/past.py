"""Which pods came and went over a window: kube-state-metrics' series, or who held GPUs by ours.

Pods are told apart by uid, which nobody renames: where Prometheus was not told to honor the labels
of kube-state-metrics, `namespace`, `pod` and `node` are those of its own pod and the real ones are
in exported_….
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from agentaflow_advisor.model import Missing, Past, PastNode, PodRun, Refusal
from agentaflow_advisor.observe.answers import Sample
from agentaflow_advisor.observe.dialects.dialect import render
from agentaflow_advisor.observe.partial import Warned, missing, refusals
from agentaflow_advisor.observe.prometheus import Prometheus

MOST_STEPS = 2016
"""Of a window: 5 minutes in a week. Each is one look at which pods there were."""
TARGET = ("namespace", "pod", "node")
POD = "cluster, uid"
NAMES = "namespace, pod, node, exported_namespace, exported_pod, exported_node"
GPU, CPU, MEMORY = "nvidia_com_gpu", "cpu", "memory"
RESOURCES = f"{GPU}|{CPU}|{MEMORY}"
_RUNNING = f'max by ({POD}) (kube_pod_status_phase{{phase="Running"}}) == 1'
_HELD = "max by (cluster, namespace, pod, exported_namespace, exported_pod, node, uuid) "
_HOLDERS = "cluster, namespace, pod, exported_namespace, exported_pod, node"

PODS: Mapping[str, str] = {
    "pods": f"group by ({POD}, {NAMES}, created_by_kind, created_by_name, priority_class) "
    "(last_over_time(kube_pod_info[{window}]))",
    "created": f"max by ({POD}) (last_over_time(kube_pod_created[{{window}}]))",
    "scheduled": f"max by ({POD}) (last_over_time(kube_pod_status_scheduled_time[{{window}}]))",
    "completed": f"max by ({POD}) (last_over_time(kube_pod_completion_time[{{window}}]))",
    "ran_first": f"min_over_time((({_RUNNING}) * time())[{{window}}:{{every}}])",
    "ran_last": f"max_over_time((({_RUNNING}) * time())[{{window}}:{{every}}])",
    "seen_last": f"max_over_time((group by ({POD}) (kube_pod_info) * time())"
    "[{window}:{every}])",
    "requests": f"sum by ({POD}, resource) (max by ({POD}, container, resource) (last_over_time("
    f'kube_pod_container_resource_requests{{resource=~"{RESOURCES}"}}[{{window}}])))',
}
NODES = (
    "max by (cluster, node, exported_node, resource) (max_over_time("
    f'kube_node_status_allocatable{{resource=~"{RESOURCES}"}}[{{window}}]))'
)
MODELS = "group by (cluster, node, name) (last_over_time(agentaflow_gpu_info[{window}]))"
HOLDERS: Mapping[str, str] = {
    "ran_first": f"min_over_time((group by ({_HOLDERS}) (agentaflow_gpu_pod_info) * time())"
    "[{window}:{every}])",
    "ran_last": f"max_over_time((group by ({_HOLDERS}) (agentaflow_gpu_pod_info) * time())"
    "[{window}:{every}])",
    "gpus": f"count by ({_HOLDERS}) ({_HELD}(last_over_time(agentaflow_gpu_pod_info[{{window}}])))",
}
"""Where there are no kube-state-metrics: pods that held GPUs, without their wait or their CPU."""

WITHOUT_STATE = (
    "kube-state-metrics is not there: how long pods waited, and for what CPU, is not told"
)
Place = tuple[str, str]
"""Cluster and uid, or cluster and node."""


@dataclass(slots=True)
class _Asked:
    """What has been asked, how, and what was warned of."""

    prometheus: Prometheus
    window_seconds: float
    at: float
    texts: list[str] = field(default_factory=list)
    warned: list[Warned] = field(default_factory=list)

    @property
    def step_seconds(self) -> int:
        return max(1, math.ceil(self.window_seconds / MOST_STEPS))

    def __call__(self, name: str, template: str) -> tuple[Sample, ...]:
        text = render(
            template.replace("{every}", f"{self.step_seconds}s"),
            window_seconds=self.window_seconds,
            percentile=0.5,
        )
        answer = self.prometheus.ask(text, at=self.at)
        self.texts.append(text)
        self.warned += [(name, warning) for warning in answer.warnings]
        return answer.samples


def past(
    prometheus: Prometheus, *, window_seconds: float, at: float
) -> tuple[Past, tuple[Refusal, ...]]:
    """All pods that asked for GPUs or ran beside them, and all nodes with GPUs.

    A cluster that a partial response left out is left out whole. Raises ObserveError.
    """
    ask = _Asked(prometheus, window_seconds, at)
    nodes = _nodes(ask)
    runs = _runs(ask, {(node.cluster, node.name) for node in nodes})
    notes: list[Refusal] = []
    if not runs:
        runs = _holders(ask)
        if runs:
            notes.append(Refusal("history", WITHOUT_STATE))
    lost = missing(ask.warned, prometheus.stores())
    told = Past(
        at - window_seconds,
        at,
        tuple(node for node in nodes if not lost.why(node.cluster)),
        tuple(sorted(_whole(runs, lost), key=_order)),
        tuple(ask.texts),
    )
    return told, (*refusals(lost), *notes)


def _whole(runs: Iterable[PodRun], lost: Missing) -> list[PodRun]:
    return [run for run in runs if not lost.why(run.cluster)]


def _order(run: PodRun) -> tuple[float, str, str, str]:
    return (run.created_at, run.cluster, run.ref, run.uid)


def _nodes(ask: _Asked) -> list[PastNode]:
    models: dict[Place, str] = {}
    for sample in ask("models", MODELS):
        labels = sample.labels
        models[labels.get("cluster", ""), labels.get("node", "")] = labels.get("name", "")
    found: defaultdict[Place, dict[str, float]] = defaultdict(dict)
    for sample in ask("nodes", NODES):
        labels = sample.labels
        place = labels.get("cluster", ""), labels.get("exported_node") or labels.get("node", "")
        if math.isfinite(sample.value):
            found[place][labels.get("resource", "")] = sample.value
    return [
        PastNode(
            *place, int(has[GPU]), has.get(CPU, 0.0), has.get(MEMORY, 0.0), models.get(place, "")
        )
        for place, has in sorted(found.items())
        if has.get(GPU, 0.0) >= 1
    ]


def _runs(ask: _Asked, with_gpus: set[Place]) -> list[PodRun]:
    """By kube-state-metrics; none where it is not there."""
    samples = ask("pods", PODS["pods"])
    renamed = _renamed(samples)
    named = _named(samples, renamed)
    if not named:
        return []
    times = {
        name: {_pod(each): each.value for each in ask(name, PODS[name])}
        for name in ("created", "scheduled", "completed", "ran_first", "ran_last", "seen_last")
    }
    asked: defaultdict[Place, dict[str, float]] = defaultdict(dict)
    for sample in ask("requests", PODS["requests"]):
        asked[_pod(sample)][sample.labels.get("resource", "")] = sample.value
    found: list[PodRun] = []
    for pod, labels in named.items():
        wants = asked[pod]
        namespace, name, node = (_own(labels, each, renamed) for each in TARGET)
        gpus = int(wants.get(GPU, 0.0))
        if not gpus and (pod[0], node) not in with_gpus:
            continue
        created, started, ended = _life(pod, times, ask)
        found.append(
            PodRun(
                *(pod[0], namespace, name, pod[1], node),
                created_at=created,
                started_at=started,
                ended_at=ended,
                gpus=gpus,
                cpu_cores=wants.get(CPU, 0.0),
                memory_bytes=wants.get(MEMORY, 0.0),
                priority_class=labels.get("priority_class", ""),
                owner=_owner(labels),
            )
        )
    return found


def _renamed(samples: Iterable[Sample]) -> frozenset[str]:
    """Labels that the target has too, so that the pods' own are in exported_…, where they are not
    empty: the node of a pod that waits is, and the plain one is not its node.
    """
    return frozenset(
        name for sample in samples for name in TARGET if f"exported_{name}" in sample.labels
    )


def _named(samples: Iterable[Sample], renamed: frozenset[str]) -> Mapping[Place, Mapping[str, str]]:
    """Each pod's labels: the series with a node, once it has one."""
    found: dict[Place, Mapping[str, str]] = {}
    for sample in samples:
        pod = _pod(sample)
        if pod[1] and (pod not in found or _own(sample.labels, "node", renamed)):
            found[pod] = sample.labels
    return found


def _pod(sample: Sample) -> Place:
    return sample.labels.get("cluster", ""), sample.labels.get("uid", "")


def _own(labels: Mapping[str, str], name: str, renamed: frozenset[str]) -> str:
    """Of the pod, not of the target that tells it."""
    return labels.get(f"exported_{name}" if name in renamed else name, "")


def _owner(labels: Mapping[str, str]) -> str:
    kind, name = labels.get("created_by_kind", ""), labels.get("created_by_name", "")
    return f"{kind}/{name}" if kind and kind != "<none>" else ""


def _life(
    pod: Place, times: Mapping[str, Mapping[Place, float]], ask: _Asked
) -> tuple[float, float | None, float | None]:
    """When it was created, bound, and gone."""
    told: Callable[[str], float | None] = lambda name: times[name].get(pod)  # noqa: E731
    seen = told("seen_last") or ask.at
    started = told("scheduled") or told("ran_first")
    created = told("created") or started or ask.at - ask.window_seconds
    ended = told("completed")
    if ended is None:
        last = told("ran_last") or seen
        gone = last + ask.step_seconds
        ended = gone if gone < ask.at - ask.step_seconds else None
    return created, started, ended


def _holders(ask: _Asked) -> list[PodRun]:
    """By agentaflow_gpu_pod_info: they came when they held, for as long as they held."""
    told = {name: {_held(each): each for each in ask(name, text)} for name, text in HOLDERS.items()}
    found = []
    for key, first in told["ran_first"].items():
        last = told["ran_last"].get(key, first).value + ask.step_seconds
        count = told["gpus"].get(key)
        cluster, namespace, pod, node = key
        found.append(
            PodRun(
                *(cluster, namespace, pod, f"{namespace}/{pod}", node),
                created_at=first.value,
                started_at=first.value,
                ended_at=last if last < ask.at - ask.step_seconds else None,
                gpus=int(count.value) if count else 1,
            )
        )
    return found


def _held(sample: Sample) -> tuple[str, str, str, str]:
    labels = sample.labels
    namespace, pod = (labels.get(f"exported_{each}") or labels.get(each, "") for each in TARGET[:2])
    return labels.get("cluster", ""), namespace, pod, labels.get("node", "")
