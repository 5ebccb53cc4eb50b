"""Our PromQL on a real Prometheus: gaps, NaN, stale series, two exporters, and what it refuses."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agentaflow_advisor.analyze import IdleSettings, cost, idle
from agentaflow_advisor.model import Gpu, Snapshot
from agentaflow_advisor.observe import Prometheus, take
from agentaflow_advisor.observe.errors import QueryRejected, QueryTooLarge
from agentaflow_advisor.price import PriceTable, price_nodes
from tests.support.history import History, Value, always, since, until
from tools.prometheus import PrometheusServer

START = int(time.time()) // 86_400 * 86_400 - 86_400  # yesterday: within Prometheus' retention
HOUR = 3600
WINDOW = 6 * HOUR
HALF = START + WINDOW // 2
END = START + WINDOW
STEP = 60
TIMES = range(START + STEP, END + STEP, STEP)
GPU = "agentaflow_gpu_"


class Fleet(History):
    """GPUs under our own exporter's names."""

    def gpu(
        self,
        node: str,
        utilization: Value = lambda _: 0.0,
        *,
        pods: Mapping[str, Value] | None = None,
        up: Value = lambda _: 1,
        **labels: str,
    ) -> None:
        """One H100 that draws 100 W."""
        target = {"job": "agentaflow-exporter", "instance": node, "node": node, "cluster": "c"}
        same = {**target, "gpu": "0", "uuid": f"GPU-{node}", **labels}
        self.add(f"{GPU}up", same, up)
        self.add(f"{GPU}info", {**same, "name": "NVIDIA H100 80GB HBM3"}, up)
        self.add(f"{GPU}utilization_ratio", {**same, "engine": "gpu"}, utilization)
        self.add(f"{GPU}utilization_ratio", {**same, "engine": "memory"}, lambda _: 0.7)
        self.add(f"{GPU}memory_total_bytes", same, lambda _: 80e9)
        self.add(f"{GPU}memory_used_bytes", same, lambda _: 20e9)
        self.add(f"{GPU}power_watts", same, lambda _: 100)
        self.add(f"{GPU}energy_joules_total", same, lambda at: (at - START) * 100)
        self.add(f"{GPU}temperature_celsius", {**same, "sensor": "gpu"}, lambda _: 40)
        for kind in ("compute", "graphics"):
            self.add(f"{GPU}processes", {**same, "type": kind}, lambda _: 1)
        for pod, there in (pods or {}).items():
            namespace, name = pod.split("/")
            named = {"namespace": namespace, "pod": name, "container": "main"}
            self.add(f"{GPU}pod_info", {**same, **named}, there)


def history() -> Fleet:
    """A fleet in which each node stands for one trouble."""
    made = Fleet(TIMES)
    held = {"research/notebook": always(1)}
    made.gpu("idle", pods=held)
    made.gpu("busy", always(0.6))
    made.gpu("blip", lambda at: 0.9 if at == HALF else 0.0)
    made.gpu("nan", lambda at: "NaN" if at == HALF else 0.0)
    made.gpu("infinite", lambda at: "+Inf" if at == HALF else 0.0)
    made.gpu("stale", until(END - HOUR, 0.0), up=until(END - HOUR))
    made.gpu("young", since(END - HOUR, 0.0), up=since(END - HOUR))
    made.gpu("gap", lambda at: None if START + HOUR < at < HALF else 0.0)
    made.gpu("lost", until(END - 600, 0.0), up=lambda at: 1 if at <= END - 600 else 0)
    mute = {"cluster": "c", "node": "mute", "gpu": "0", "uuid": "GPU-mute"}
    made.add(f"{GPU}up", mute, always(1))
    made.gpu("twice", pods=held)
    made.gpu("twice", job="second", instance="twice:9999", pods=held)
    made.gpu("moved", until(HALF, 0.0), instance="10.0.0.1:9837", up=until(HALF))
    made.gpu("moved", since(HALF, 0.0), instance="10.0.0.2:9837", up=since(HALF))
    made.gpu("", instance="nameless:9837", uuid="GPU-nameless")
    made.gpu(
        "shared",
        always(0.3),
        pods={
            "a/one": always(1),
            "a/two": always(1),
            "b/one": always(1),
            "b/gone": until(HALF),
        },
    )
    made.gpu("half", always(0.3), pods={"a/one": until(HALF)})
    return made


@pytest.fixture(scope="module")
def server(
    prometheus_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    assert prometheus_binary
    folder = tmp_path_factory.mktemp("observe")
    blocks = history().write(folder / "history.om")
    with PrometheusServer(folder / "prometheus", blocks_from=blocks) as running:
        yield running


@pytest.fixture(scope="module")
def snapshot(server: PrometheusServer) -> Snapshot:
    with Prometheus(server.url) as prometheus:
        return take(
            prometheus, window_seconds=WINDOW, percentile=0.99, cluster_state=None, at=float(END)
        )


def seen(snapshot: Snapshot, node: str) -> Gpu:
    (gpu,) = [gpu for gpu in snapshot.gpus if gpu.node == node]
    return gpu


def test_every_signal_of_a_plain_gpu(snapshot: Snapshot) -> None:
    """What went in as OpenMetrics comes out as a GPU, through PromQL alone."""
    gpu = seen(snapshot, "idle")
    assert gpu.utilization
    assert (gpu.utilization.maximum, gpu.utilization.high, gpu.utilization.mean) == (0, 0, 0)
    assert gpu.utilization.samples in (WINDOW // STEP, WINDOW // STEP + 1)
    assert gpu.utilization.newest_age_seconds == 0
    assert gpu.utilization.covered_seconds == pytest.approx(WINDOW, rel=0.03)
    assert (gpu.model, gpu.up, gpu.processes) == ("NVIDIA H100 80GB HBM3", True, 2)
    assert (gpu.memory_total_bytes, gpu.memory_used_max_bytes) == (80e9, 20e9)
    assert (gpu.power_mean_watts, gpu.temperature_max_celsius) == (100, 40)
    assert gpu.energy_joules == pytest.approx(100 * WINDOW, rel=0.01)
    assert [str(pod) for pod in gpu.pods] == ["research/notebook"]


def test_verdicts(snapshot: Snapshot) -> None:
    """Only GPUs with a whole window of good samples are called idle; each other one says why."""
    prices = price_nodes(snapshot, PriceTable.load())
    findings = idle.analyze(snapshot, prices, IdleSettings())
    assert {found.where.node for found in findings.recommendations} == {
        "idle",
        "twice",
        "moved",
        "nameless",
    }
    reasons = {
        refusal.subject.split("/")[1]: refusal.reason
        for refusal in findings.refusals
        if refusal.subject.startswith("c/")
    }
    assert set(reasons) == {"nan", "infinite", "stale", "young", "gap", "lost", "mute"}
    assert reasons["nan"].startswith("no usable utilization")
    assert reasons["infinite"].startswith("no usable utilization")
    assert reasons["mute"].startswith("no usable utilization")
    assert reasons["stale"] == "its newest utilization sample is more than 5 min old"
    assert reasons["lost"] == "the GPU does not answer (agentaflow_gpu_up is 0)"
    assert "seen in 1" in reasons["young"]
    assert "of the window, 90% is the least" in reasons["gap"]


def test_nan_is_told(snapshot: Snapshot) -> None:
    """A NaN sample that Prometheus' maximum hides is asked for, and named."""
    told = {refusal.subject for refusal in snapshot.refusals}
    assert "signal utilization_broken" in told
    assert seen(snapshot, "nan").utilization is None


def test_two_exporters_on_one_gpu_do_not_double(snapshot: Snapshot) -> None:
    """Samples, energy, processes and pods of a GPU that two jobs scrape are those of one."""
    twice, once = seen(snapshot, "twice"), seen(snapshot, "idle")
    assert replace(twice, node="idle", uuid=once.uuid) == once


def test_an_exporter_that_moved_keeps_its_window(snapshot: Snapshot) -> None:
    """A pod of a DaemonSet has another address after its restart; its GPU was there all along."""
    gpu = seen(snapshot, "moved")
    assert gpu.utilization
    assert gpu.utilization.covered_seconds == pytest.approx(WINDOW, rel=0.03)
    assert gpu.present_seconds == pytest.approx(WINDOW, rel=0.03)


def test_coverage_tells_a_gap(snapshot: Snapshot) -> None:
    """Two hours without samples are missing from what is covered."""
    usage = seen(snapshot, "gap").utilization
    assert usage
    assert usage.covered_seconds == pytest.approx(4 * HOUR, abs=600)


def test_sharers_split_a_gpu_evenly_moment_by_moment(snapshot: Snapshot) -> None:
    """Four pods in one half and three in the other: namespace a holds 1/2, then 2/3 of it."""
    parts = seen(snapshot, "shared").held
    assert len({(part.namespace, part.pod) for part in parts}) == len(parts) == 4
    held = {
        namespace: sum(part.seconds for part in parts if part.namespace == namespace)
        for namespace in {part.namespace for part in parts}
    }
    assert held["a"] == pytest.approx(WINDOW * (1 / 2 + 2 / 3) / 2, rel=0.02)
    assert sum(held.values()) == pytest.approx(WINDOW, rel=0.03)


def test_cost_of_a_gpu_that_was_held_half_the_time(snapshot: Snapshot) -> None:
    """The other half of its price is unallocated, and the parts add up to the whole."""
    only = replace(snapshot, gpus=tuple(g for g in snapshot.gpus if g.node in ("half", "idle")))
    report = cost.report(only, price_nodes(only, PriceTable.load()), IdleSettings(), by="node")
    row = next(row for row in report.rows if row.name == "half")
    assert float(row.cost.amount) == pytest.approx(6.88 * 6, rel=0.03)
    assert float(row.unallocated.amount) == pytest.approx(6.88 * 3, rel=0.05)
    assert row.used + row.idle + row.unallocated + row.unjudged == row.cost
    (held,) = seen(snapshot, "half").held
    assert held.namespace == "a"
    assert held.seconds == pytest.approx(3 * HOUR, abs=500)


def test_an_empty_window_is_no_idle_fleet(server: PrometheusServer) -> None:
    """A year earlier there is nothing: no GPU, no verdict, one line that says so."""
    with Prometheus(server.url) as prometheus:
        empty = take(
            prometheus,
            window_seconds=WINDOW,
            percentile=0.99,
            cluster_state=None,
            at=float(END - 365 * 86_400),
        )
    assert empty.gpus == ()
    assert [refusal.subject for refusal in empty.refusals] == ["fleet"]
    assert idle.analyze(empty, {}, IdleSettings()).recommendations == ()


def test_prometheus_own_words_on_a_bad_query(server: PrometheusServer) -> None:
    """A parse error and an execution error (HTTP 400 and 422) arrive in Prometheus' own words."""
    with Prometheus(server.url) as prometheus:
        with pytest.raises(QueryRejected, match="bad_data"):
            prometheus.query("sum(")
        with pytest.raises(QueryRejected, match="execution: found duplicate series"):
            prometheus.query(f"{GPU}up * on (cluster) {GPU}up", at=END)


def test_a_cardinality_limit_on_the_real_thing(server: PrometheusServer) -> None:
    """More series than allowed are refused, whoever sends them."""
    with (
        Prometheus(server.url, max_series=3) as prometheus,
        pytest.raises(QueryTooLarge, match="more than 3"),
    ):
        prometheus.query(f"{GPU}up", at=END)


def test_the_clock_and_the_version(server: PrometheusServer) -> None:
    """Its clock runs, and it tells what it is."""
    with Prometheus(server.url) as prometheus:
        assert prometheus.now() > END
        assert prometheus.build_info()[0].isdigit()
