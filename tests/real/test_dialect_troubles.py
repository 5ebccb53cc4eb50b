"""What goes wrong with other exporters' series, on a real Prometheus: named or reconciled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.analyze import IdleSettings, idle
from agentaflow_advisor.model import Gpu, PodRef, Snapshot
from agentaflow_advisor.observe import Prometheus, take
from tests.support.history import History, Value, always, since, until
from tools.prometheus import PrometheusServer

HOUR = 3600
WINDOW = 6 * HOUR
BLANK = 9223372036854775792
MODEL = "NVIDIA A100-SXM4-40GB"
USE = "DCGM_FI_DEV_GPU_UTIL"
OWN: dict[str, Any] = {"namespace": "gpu-operator", "pod": "dcgm-exporter-x"}
"""The labels of the exporter's own pod, where Prometheus adds them."""


@cache
def now() -> int:
    """When the first test comes to run, which may be long after it was collected."""
    return int(time.time()) // 60 * 60


def start() -> int:
    return now() - WINDOW


def half() -> int:
    return now() - WINDOW // 2


class Dcgm(History):
    """GPUs under dcgm-exporter's names, each on a node of its own."""

    def gpu(
        self,
        node: str,
        use: Value = lambda _: 0,
        *,
        power: Value = lambda _: 100,
        stamped_later: int = 0,
        **labels: str,
    ) -> None:
        """A series of an A100 that draws 100 W, with more labels."""
        same = {
            "job": "dcgm",
            "instance": f"{node}:9400",
            "gpu": "0",
            "UUID": f"GPU-{node}",
            "device": "nvidia0",
            "modelName": MODEL,
            "Hostname": node,
            **labels,
        }
        for metric, value in (
            (USE, use),
            ("DCGM_FI_DEV_GPU_TEMP", lambda at: None if use(at) is None else 40),
            ("DCGM_FI_DEV_FB_USED", lambda at: None if use(at) is None else 2048),
            ("DCGM_FI_DEV_FB_FREE", lambda at: None if use(at) is None else 38_000),
            ("DCGM_FI_DEV_POWER_USAGE", lambda at: None if use(at) is None else power(at)),
            (
                "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
                lambda at: None if use(at) is None else (at - start()) * 100_000,
            ),
        ):
            self.add(metric, same, value, stamped_later=stamped_later)

    def up(self, node: str, **labels: str) -> None:
        self.add("up", {"job": "dcgm", "instance": f"{node}:9400", **labels}, always(1))


def part(first: int, last: int, value: float) -> Value:
    return lambda at: value if first < at <= last else None


def history() -> Dcgm:
    """A fleet in which each node stands for one trouble; samples end now, but for some."""
    made = Dcgm(range(start(), now() + 1, 60))
    plain: dict[str, Any] = {"namespace": "ml", "pod": "train", "container": "main"}
    made.gpu("held", **plain)
    made.gpu("passed-on", part(start(), half(), 40), **plain)
    made.gpu("passed-on", part(half(), now(), 0), power=always(300), namespace="web", pod="llm")
    made.gpu("shared", always(30), namespace="ml", pod="one")
    made.gpu("shared", always(30), namespace="ml", pod="two")
    made.gpu("shared", always(30), namespace="web", pod="three")
    made.gpu("free", **OWN)
    made.up("free", **OWN)
    made.gpu("lent", **OWN, exported_namespace="ml", exported_pod="train-2")
    made.up("lent", **OWN)
    made.gpu("both-ways", **OWN, exported_namespace="ml", exported_pod="job")
    made.gpu("both-ways", job="second", namespace="ml", pod="job")
    made.gpu("blank", lambda at: BLANK if at == half() else 0)
    made.gpu("mig", lambda _: None)
    for instance in ("1", "2"):
        labels: dict[str, Any] = {"GPU_I_ID": instance, "GPU_I_PROFILE": "3g.20gb", **plain}
        labels["pod"] = f"slice-{instance}"
        made.gpu("mig", lambda _: None, **labels)
        same = {"gpu": "0", "UUID": "GPU-mig", "Hostname": "mig", "modelName": MODEL, **labels}
        made.add("DCGM_FI_DEV_FB_USED", same, always(1024))
        made.add("DCGM_FI_DEV_GPU_TEMP", same, always(50))
    gone = {"gpu": "0", "UUID": "GPU-held", "Hostname": "held", "modelName": MODEL}
    made.add("DCGM_FI_DEV_XID_ERRORS", gone, lambda at: 0 if at < half() else 79)
    made.gpu("fast", stamped_later=5 * 60)
    made.gpu("late", stamped_later=-10 * 60)
    made.gpu("gone", until(now() - HOUR, 0))
    return told_twice(made)


def told_twice(made: Dcgm) -> Dcgm:
    """GPUs that our own exporter tells as well, not always the same."""
    for node, other, model, use in (
        ("agreed", "agreed", MODEL, 0.0),
        ("fqdn", "fqdn.example.org", MODEL, 0.0),
        ("renamed", "renamed", "NVIDIA L4", 0.0),
        ("busier", "busier", MODEL, 0.9),
    ):
        made.gpu(node, namespace="ml", pod="train")
        same = {"job": "ours", "node": other, "gpu": "0", "uuid": f"GPU-{node}"}
        made.add("agentaflow_gpu_up", same, always(1))
        made.add("agentaflow_gpu_info", {**same, "name": model}, always(1))
        made.add("agentaflow_gpu_utilization_ratio", {**same, "engine": "gpu"}, always(use))
    made.gpu("stopped", namespace="ml", pod="train")
    same = {"job": "ours", "node": "stopped", "gpu": "0", "uuid": "GPU-stopped"}
    ours = until(now() - HOUR, 0.0)
    made.add("agentaflow_gpu_utilization_ratio", {**same, "engine": "gpu"}, ours)
    made.add("agentaflow_gpu_up", same, until(now() - HOUR))
    made.gpu("busier-dcgm", since(start(), 90), namespace="ml", pod="train")
    same = {"job": "ours", "node": "busier-dcgm", "gpu": "0", "uuid": "GPU-busier-dcgm"}
    made.add("agentaflow_gpu_up", same, always(1))
    made.add("agentaflow_gpu_utilization_ratio", {**same, "engine": "gpu"}, always(0.0))
    return made


@pytest.fixture(scope="module")
def snapshot(
    prometheus_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Snapshot]:
    """What is there now: with an evaluation time of its own it would see no future."""
    assert prometheus_binary
    folder = tmp_path_factory.mktemp("troubles")
    blocks = history().write(folder / "history.om")
    with (
        PrometheusServer(folder / "prometheus", blocks_from=blocks) as server,
        Prometheus(server.url) as prometheus,
    ):
        yield take(prometheus, window_seconds=WINDOW, percentile=0.95, cluster_state=None)


def seen(snapshot: Snapshot, node: str) -> Gpu:
    (gpu,) = [gpu for gpu in snapshot.gpus if gpu.uuid == f"GPU-{node}"]
    return gpu


def said(snapshot: Snapshot, subject: str) -> str:
    (refusal,) = [each for each in snapshot.refusals if each.subject == subject]
    return refusal.reason


def verdicts(snapshot: Snapshot) -> dict[str, str]:
    """Of each GPU that is not busy: idle, or why not."""
    findings = idle.analyze(snapshot, {}, IdleSettings())
    refused = {each.subject.partition("/")[0]: each.reason for each in findings.refusals}
    return {**refused, **{each.where.node: "idle" for each in findings.recommendations}}


def test_verdicts(snapshot: Snapshot) -> None:
    """Idle is who was seen to be, under whatever labels; each other one says why not."""
    told = verdicts(snapshot)
    idle_ones = {node for node, verdict in told.items() if verdict == "idle"}
    assert idle_ones == {
        "held",
        "free",
        "lent",
        "both-ways",
        "agreed",
        "fqdn.example.org",
        "stopped",
    }
    reasons = {node: reason for node, reason in told.items() if reason != "idle"}
    assert set(reasons) == {"blank", "mig", "fast", "late", "gone", "renamed"}
    assert reasons["blank"].startswith("no usable utilization")
    assert reasons["mig"].startswith("it is cut into MIG instances")
    assert reasons["late"] == "its newest utilization sample is more than 5 min old"
    assert reasons["gone"] == "its newest utilization sample is more than 5 min old"
    assert reasons["fast"].startswith("its samples are ahead of Prometheus' clock")
    assert reasons["renamed"].startswith("exporters disagree about what it is")


def test_a_change_of_holder_ends_no_reading(snapshot: Snapshot) -> None:
    """DCGM's series end with the pod; use, power, energy and samples of the GPU go on."""
    gpu = seen(snapshot, "passed-on")
    assert gpu.utilization
    assert gpu.utilization.maximum == 0.4
    assert gpu.utilization.mean == pytest.approx(0.2, abs=0.01)
    assert gpu.utilization.samples == pytest.approx(WINDOW // 60, rel=0.03)
    assert gpu.utilization.covered_seconds == pytest.approx(WINDOW, rel=0.03)
    assert gpu.power_mean_watts == pytest.approx(200, rel=0.02)
    assert gpu.energy_joules == pytest.approx(100 * WINDOW, rel=0.03)
    assert gpu.pods == (PodRef("web", "llm"),)
    held = {"ml": 0.0, "web": 0.0}
    for part in gpu.held:
        held[part.namespace] += part.seconds
    assert held["ml"] == pytest.approx(WINDOW / 2, rel=0.06)
    assert held["web"] == pytest.approx(WINDOW / 2, rel=0.06)


def test_sharers_do_not_multiply_a_gpu(snapshot: Snapshot) -> None:
    """Three pods on one card are three series of it: nothing is added up, its time is split."""
    gpu = seen(snapshot, "shared")
    assert gpu.utilization
    assert (gpu.utilization.maximum, gpu.power_mean_watts) == (0.3, 100)
    assert gpu.utilization.samples == pytest.approx(WINDOW // 60, abs=3)
    assert gpu.energy_joules == pytest.approx(100 * WINDOW, rel=0.03)
    assert gpu.memory_used_max_bytes == 2048 * 2**20
    assert gpu.memory_total_bytes == 40_048 * 2**20
    assert [pod.name for pod in gpu.pods] == ["one", "two", "three"]
    held = {"ml": 0.0, "web": 0.0}
    for part in gpu.held:
        held[part.namespace] += part.seconds
    assert held["ml"] == pytest.approx(2 * held["web"], rel=0.01)
    assert sum(held.values()) == pytest.approx(WINDOW, rel=0.03)


def test_the_exporters_own_pod_holds_no_gpu(snapshot: Snapshot) -> None:
    """Without honor_labels its labels are on every series; a holder's are the renamed ones."""
    assert seen(snapshot, "free").pods == ()
    assert seen(snapshot, "free").held == ()
    assert seen(snapshot, "lent").pods == (PodRef("ml", "train-2"),)
    both = seen(snapshot, "both-ways")
    assert both.pods == (PodRef("ml", "job"),)
    assert [part.namespace for part in both.held] == ["ml"]
    assert both.held[0].seconds == pytest.approx(WINDOW, rel=0.03)


def test_mig_instances_are_not_the_gpu(snapshot: Snapshot) -> None:
    """It is there, in MIG mode, and held by the pods of its instances; their memory is not its."""
    gpu = seen(snapshot, "mig")
    assert (gpu.up, gpu.measures["mig_enabled"]) == (True, 1.0)
    assert gpu.utilization is None
    assert gpu.memory_used_max_bytes is None
    assert [pod.name for pod in gpu.pods] == ["slice-1", "slice-2"]


def test_blank_values_are_told(snapshot: Snapshot) -> None:
    """DCGM's mark for "not there" in the window leaves the GPU without a verdict, and is said."""
    assert seen(snapshot, "blank").utilization is None
    assert said(snapshot, "signal utilization_max").startswith("1 series were NaN, infinite or")


def test_an_xid_is_seen_by_the_change_of_the_last_code(snapshot: Snapshot) -> None:
    """The gauge keeps its code; the change to it is one event. Without the gauge nobody told."""
    assert seen(snapshot, "held").counts["xids"] == {"79": 1.0}
    assert "xids" not in seen(snapshot, "free").counts


def test_clocks_that_disagree_are_named(snapshot: Snapshot) -> None:
    """Samples from the future are said by node; a clock that is slow shows as old samples."""
    assert said(snapshot, "node fast").startswith("1 GPUs have samples more than 1 min ahead")
    late = seen(snapshot, "late").utilization
    assert late
    assert late.newest_age_seconds > 300


def test_two_exporters_on_one_gpu(snapshot: Snapshot) -> None:
    """Ours tells it whole, DCGM what ours is silent on; disagreements are named, never averaged."""
    agreed = seen(snapshot, "agreed")
    assert (agreed.dialect, agreed.node) == ("agentaflow", "agreed")
    assert agreed.pods == (PodRef("ml", "train"),)
    assert agreed.power_mean_watts == 100
    assert said(snapshot, "node fqdn.example.org").startswith("1 GPUs are told on fqdn by dcgm")
    assert said(snapshot, "GPU GPU-renamed") == (
        f"exporters disagree about what it is: agentaflow calls it NVIDIA L4, dcgm calls it {MODEL}"
    )


def test_the_higher_use_of_two_exporters_counts(snapshot: Snapshot) -> None:
    """A GPU that either saw at work is not idle, and the difference is said."""
    ours, theirs = seen(snapshot, "busier"), seen(snapshot, "busier-dcgm")
    assert ours.utilization
    assert theirs.utilization
    assert (ours.dialect, ours.utilization.mean) == ("agentaflow", 0.9)
    assert (theirs.dialect, theirs.utilization.mean) == ("dcgm", 0.9)
    assert said(snapshot, "GPU GPU-busier-dcgm") == (
        "agentaflow saw at most 0% of utilization, dcgm 90%: the higher counts"
    )


def test_an_exporter_that_stopped_gives_way(snapshot: Snapshot) -> None:
    """Where ours has no sample any more and DCGM does, DCGM tells the GPU."""
    gpu = seen(snapshot, "stopped")
    assert (gpu.dialect, gpu.up) == ("dcgm", True)
