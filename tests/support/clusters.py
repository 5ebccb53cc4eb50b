"""Two clusters that only Thanos tells apart: the same nodes, uuids and no cluster label."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.history import History, since
from tests.support.loopback import Answer, serve
from tools.prometheus import PrometheusServer
from tools.thanos_query import Sidecar, ThanosQuery

HOUR = 3600
WINDOW = 6 * HOUR
HISTORY = 12 * 24 * HOUR
GPU = "agentaflow_gpu_"
TOKENS = "vllm:generation_tokens_total"


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU that behaved the same all the time."""

    busy: float
    pod: str = ""  # namespace/name
    power: float = 100.0

    def told(self, number: int) -> Iterator[tuple[str, dict[str, str], float]]:
        """Its series without those of the target: metric, labels, value."""
        gpu = {"node": f"node-{number // 2}", "gpu": str(number % 2), "uuid": f"GPU-{number}"}
        yield "up", gpu, 1
        yield "info", {**gpu, "name": "NVIDIA H100 80GB HBM3"}, 1
        yield "utilization_ratio", {**gpu, "engine": "gpu"}, self.busy
        yield "memory_total_bytes", gpu, 85e9
        yield "memory_used_bytes", gpu, 1e9
        yield "power_watts", gpu, self.power
        yield "processes", {**gpu, "type": "compute"}, 1 if self.pod else 0
        if self.pod:
            namespace, _, pod = self.pod.partition("/")
            yield "pod_info", {**gpu, "namespace": namespace, "pod": pod, "container": "main"}, 1


CLUSTERS: Mapping[str, tuple[Card, ...]] = {
    "a": (Card(0.0, "research/notebook"), Card(0.8, "serving/chat"), Card(0.0), Card(0.7, "x/y")),
    "b": (
        Card(0.8, "serving/chat", power=500),
        Card(0.0, "research/notebook", power=500),
        Card(0.0, "research/another", power=500),
        Card(0.7, "x/y", power=500),
    ),
}
REPLICAS = {"a": ("0", "1"), "b": ("0",)}


@dataclass(frozen=True, slots=True)
class Clusters:
    """What runs. Sidecars by cluster and replica; those of `a` are a pair that scrapes the same."""

    thanos: ThanosQuery
    sidecars: Mapping[tuple[str, str], Sidecar]

    @contextmanager
    def without_sidecar(self, cluster: str, replica: str = "0") -> Iterator[None]:
        """Just killed: Thanos has not noticed yet, and asks it."""
        sidecar = self.sidecars[cluster, replica]
        sidecar.kill()
        try:
            yield
        finally:
            sidecar.__enter__()
            self.whole()

    @contextmanager
    def without_prometheus(self, cluster: str, replica: str = "0") -> Iterator[None]:
        """Its sidecar is well, and has nothing to answer with."""
        prometheus = self.sidecars[cluster, replica].prometheus
        prometheus.kill()
        try:
            yield
        finally:
            prometheus.start()
            self.whole()

    def whole(self) -> None:
        """Until Thanos asks every sidecar, and none of them in vain."""
        self.thanos.wait_for_stores(len(self.sidecars))
        self.thanos.wait_for_an_answer_without_warnings("agentaflow_gpu_up")

    def noticed(self) -> None:
        """Until Thanos does not ask the sidecar any more that is gone."""
        self.thanos.wait_for_stores(len(self.sidecars) - 1)


@contextmanager
def running_clusters(folder: Path) -> Iterator[Clusters]:
    with ExitStack() as stack:
        sidecars = {}
        for cluster, cards in CLUSTERS.items():
            past = _past(cards).write(folder / f"{cluster}.om")
            target = stack.enter_context(serve(lambda *_, cards=cards: _now(cards)))
            for replica in REPLICAS[cluster]:
                name = f"{cluster}-{replica}"
                prometheus = PrometheusServer(
                    folder / name,
                    targets=[(target.removeprefix("http://"), {"instance": "exporter"})],
                    blocks_from=past,
                    external_labels={"cluster": cluster, "replica": replica},
                )
                stack.enter_context(prometheus)
                sidecar = Sidecar(folder / f"{name}-sidecar", prometheus)
                sidecars[cluster, replica] = stack.enter_context(sidecar)
        thanos = ThanosQuery(folder / "query", tuple(sidecars.values()))
        stack.enter_context(thanos)
        running = Clusters(thanos, sidecars)
        running.whole()
        yield running


def _past(cards: tuple[Card, ...]) -> History:
    """Every minute of the window; before that who held what, often enough not to be stale."""
    now = int(time.time())
    old = range(now - HISTORY, now - WINDOW, 240)
    made = History([*old, *range(now - WINDOW, now, 60)])
    for number, card in enumerate(cards):
        for metric, labels, value in card.told(number):
            begin = 0 if metric == "pod_info" else now - WINDOW
            labels = {"job": "agentaflow-exporter", "instance": "exporter", **labels}
            made.add(GPU + metric, labels, since(begin, value))
        if card.pod == "serving/chat":
            pod = {"job": "vllm", "instance": "chat:8000", "namespace": "serving", "pod": "chat"}
            made.add(TOKENS, pod, lambda at: at * 100.0)
    return made


def _now(cards: tuple[Card, ...]) -> Answer:
    lines = []
    for number, card in enumerate(cards):
        for metric, labels, value in card.told(number):
            told = ",".join(f'{name}="{label}"' for name, label in labels.items())
            lines.append(f"{GPU}{metric}{{{told}}} {value}\n")
    return 200, "text/plain; version=0.0.4", "".join(lines).encode()
