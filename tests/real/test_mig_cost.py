"""MIG slices in the cost report, on a real Prometheus, under our names and DCGM's: by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.history import History, Value, always, until
from tools.prometheus import PrometheusServer

HOUR = 3600
MODEL = "NVIDIA H100 80GB HBM3"

Slice = tuple[str, str, str, Value]


def slices(now: int) -> tuple[Slice, ...]:
    """GPU instance, profile, pod, when. A 3g.40gb has half of the memory, a 1g.10gb a seventh of
    the multiprocessors; the rest of the GPU is in no slice.
    """
    return (
        ("1", "3g.40gb", "alice/train", always(1)),
        ("9", "1g.10gb", "bob/notebook", until(now - 12 * HOUR)),
        ("10", "1g.10gb", "carol/chat-1", always(1)),  # two that share a slice by time
        ("10", "1g.10gb", "carol/chat-2", always(1)),
    )


def ours(made: History, held_slices: tuple[Slice, ...]) -> None:
    gpu = {"job": "ours", "instance": "a:9837", "node": "a", "gpu": "0", "uuid": "GPU-a"}
    name = "agentaflow_gpu_"
    made.add(f"{name}up", gpu, always(1))
    made.add(f"{name}info", {**gpu, "name": MODEL}, always(1))
    made.add(f"{name}memory_total_bytes", gpu, always(85_520_809_984))
    made.add(f"{name}mig_mode_enabled", {**gpu, "mode": "current"}, always(1))
    for instance, profile in {(instance, profile) for instance, profile, *_ in held_slices}:
        device = {"gpu_instance": instance, "compute_instance": "0", "profile": profile}
        mig = {**gpu, **device, "mig_uuid": f"MIG-{instance}"}
        made.add(f"{name}mig_info", mig, always(1))
    for instance, _, pod, held in held_slices:
        namespace, _, pod_name = pod.partition("/")
        holder = {"namespace": namespace, "pod": pod_name, "container": "main"}
        made.add(f"{name}pod_info", {**gpu, **holder, "gpu_instance": instance}, held)


def dcgm(made: History, held_slices: tuple[Slice, ...]) -> None:
    gpu = {"job": "dcgm", "instance": "b:9400", "Hostname": "a", "gpu": "0", "UUID": "GPU-a"}
    gpu["modelName"] = MODEL
    for instance, profile, pod, held in held_slices:
        namespace, _, pod_name = pod.partition("/")
        holder = {"exported_namespace": namespace, "exported_pod": pod_name}
        its = {**gpu, "GPU_I_ID": instance, "GPU_I_PROFILE": profile, **holder}
        made.add("DCGM_FI_DEV_GPU_TEMP", {**its, "exported_container": "main"}, held)
        used = {**its, "exported_container": "main"}
        made.add("DCGM_FI_DEV_FB_USED", used, held)
        made.add("DCGM_FI_DEV_FB_TOTAL", used, held)


@pytest.fixture(scope="module", params=[ours, dcgm], ids=["ours", "dcgm"])
def prometheus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    now = int(time.time())
    history = History(range(now - 25 * HOUR, now + 1, 60))
    request.param(history, slices(now))
    blocks = history.write(folder / "history.om")
    with PrometheusServer(folder / "prometheus", blocks_from=blocks) as server:
        yield server


@pytest.mark.parametrize("by", ["namespace", "pod"])
def test_slices_pay_for_their_part_of_the_gpu(
    prometheus: PrometheusServer, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    """Half a GPU for 24 h, a seventh for 12 and for 24, give or take a step of the grid (30 min);
    the rest of it is in no pod.
    """
    where = f"--prometheus-url={prometheus.url}"
    ran = Cli(capsys)("report", "cost", f"--by={by}", where, "--window=24h", "-o", "json")
    report = ran.json
    hours: dict[str, Decimal] = {}
    for row in report["rows"]:
        namespace = row["name"].partition("/")[0]
        hours[namespace] = hours.get(namespace, Decimal(0)) + Decimal(str(row["gpu_hours"]))
    expected = {"alice": 12.0, "bob": 12 / 7, "carol": 24 / 7, "(none)": 24 - 12 - 36 / 7}
    assert {name: float(value) for name, value in hours.items()} == pytest.approx(
        expected, rel=0.03, abs=0.5 / 7 + 0.01
    )
