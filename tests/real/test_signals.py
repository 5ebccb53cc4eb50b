"""The signals of health, limits and activity on a real Prometheus, under each exporter's names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentaflow_advisor.model import Gpu, Snapshot
from agentaflow_advisor.observe import Prometheus, take
from tests.support.history import History, Value, always, since
from tools.prometheus import PrometheusServer

HOUR = 3600
WINDOW = 6 * HOUR
END = int(time.time()) // 86_400 * 86_400 - HOUR
START = END - WINDOW
HALF = START + WINDOW // 2
OURS = "agentaflow_gpu_"
DCGM = "DCGM_FI_DEV_"
SMI = "nvidia_smi_"


def growing(total: float) -> Value:
    """A counter that was 5 and grows evenly by `total` over the window."""
    return lambda at: 5 + total * (at - START) / WINDOW


def jump(before: float, after: float) -> Value:
    return lambda at: before if at < HALF else after


def reset(at: int) -> float:
    """Grows by a second a minute; the exporter's or driver's restart in between sets it to 0."""
    return (at - START) / 60 if at < HALF else (at - HALF) / 60


def ours(made: History) -> None:
    same = {"job": "ours", "instance": "a", "node": "a", "gpu": "0", "uuid": "GPU-a"}
    for name, labels, value in (
        ("up", {}, lambda at: 0 if HALF <= at < HALF + HOUR else 1),
        ("sm_active_ratio", {}, jump(0.2, 0.4)),
        ("pipe_active_ratio", {"pipe": "tensor"}, always(0.1)),
        ("pipe_active_ratio", {"pipe": "fp64"}, always(0.9)),
        ("dram_active_ratio", {}, always(0.5)),
        ("memory_used_bytes", {}, jump(1e9, 2e9)),
        ("power_limit_watts", {"limit": "enforced"}, always(500)),
        ("power_limit_watts", {"limit": "default"}, always(700)),
        ("temperature_threshold_celsius", {"threshold": "slowdown"}, always(90)),
        ("clock_event_seconds_total", {"reason": "sw_power_cap"}, reset),
        ("clock_event_seconds_total", {"reason": "sync_boost"}, always(7)),
        ("mig_mode_enabled", {"mode": "current"}, always(0)),
        ("mig_mode_enabled", {"mode": "pending"}, always(1)),
        ("ecc_errors_total", {"type": "uncorrected"}, growing(10)),
        ("ecc_errors_total", {"type": "corrected"}, always(3)),
        ("remapped_rows", {"type": "uncorrectable"}, jump(1, 3)),
        ("row_remap_pending", {}, always(1)),
        ("row_remap_failure", {}, always(0)),
        ("pcie_link_width", {}, jump(8, 4)),
        ("pcie_link_width_max", {}, always(16)),
        ("pcie_replays_total", {}, growing(100)),
        ("nvlink_up", {"link": "0"}, always(1)),
        ("nvlink_up", {"link": "1"}, always(0)),
        ("nvlink_errors_total", {"type": "crc"}, growing(4)),
        ("nvlink_errors_total", {"type": "replay"}, growing(6)),
        ("recovery_action", {}, jump(0, 2)),
        ("xid_errors_total", {"xid": "13"}, always(2)),
        ("xid_errors_total", {"xid": "48"}, jump(0, 1)),
        ("xid_errors_total", {"xid": "79"}, since(HALF, 1)),
        ("xid_last_timestamp_seconds", {"xid": "79"}, since(HALF, HALF)),
        ("xid_last_timestamp_seconds", {"xid": "13"}, always(START - HOUR)),
    ):
        made.add(f"{OURS}{name}", {**same, **labels}, value)
        # A second job on the same exporter must not double anything.
        made.add(f"{OURS}{name}", {**same, **labels, "job": "second"}, value)


def dcgm(made: History) -> None:
    same = {"job": "dcgm", "instance": "b", "gpu": "0", "UUID": "GPU-b", "Hostname": "b"}
    for name, value in (
        ("DEV_GPU_TEMP", always(40)),
        ("DEV_MIG_MODE", always(0)),
        ("PROF_SM_ACTIVE", jump(0.2, 0.4)),
        ("PROF_PIPE_TENSOR_ACTIVE", always(0.1)),
        ("PROF_DRAM_ACTIVE", always(0.5)),
        ("DEV_ENFORCED_POWER_LIMIT", always(500)),
        ("DEV_POWER_MGMT_LIMIT_DEF", always(700)),
        ("DEV_SLOWDOWN_TEMP", always(90)),
        ("DEV_POWER_VIOLATION", lambda at: reset(at) * 1e9),
        ("DEV_SYNC_BOOST_VIOLATION", always(7e9)),
        ("DEV_THERMAL_VIOLATION", lambda at: reset(at) * 5e8),
        ("DEV_ECC_DBE_VOL_TOTAL", growing(10)),
        ("DEV_ECC_SBE_VOL_TOTAL", always(3)),
        ("DEV_UNCORRECTABLE_REMAPPED_ROWS", jump(1, 3)),
        ("DEV_ROW_REMAP_PENDING", always(1)),
        ("DEV_ROW_REMAP_FAILURE", always(0)),
        ("DEV_PCIE_LINK_WIDTH", jump(8, 4)),
        ("DEV_PCIE_MAX_LINK_WIDTH", always(16)),
        ("DEV_PCIE_REPLAY_COUNTER", growing(100)),
        ("DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", growing(4)),
        ("DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", growing(6)),
        ("DEV_GET_GPU_RECOVERY_ACTION", jump(0, 2)),
        ("DEV_XID_ERRORS", jump(13, 79)),
    ):
        made.add(f"DCGM_FI_{name}", same, value)


def smi(made: History) -> None:
    same = {"job": "smi", "instance": "c:9835", "uuid": "c"}
    made.add(f"{SMI}gpu_info", {**same, "index": "0", "name": "NVIDIA L4"}, always(1))
    for name, value in (
        ("enforced_power_limit_watts", always(500)),
        ("power_default_limit_watts", always(700)),
        ("clocks_event_reasons_counters_sw_power_cap_seconds", reset),
        ("clocks_event_reasons_counters_sync_boost_seconds", always(7)),
        ("mig_mode_current", always(0)),
        ("ecc_errors_uncorrected_volatile_total", growing(10)),
        ("ecc_errors_corrected_volatile_total", always(3)),
        ("remapped_rows_uncorrectable", jump(1, 3)),
        ("remapped_rows_pending", always(1)),
        ("remapped_rows_failure", always(0)),
        ("pcie_link_width_current", jump(8, 4)),
        ("pcie_link_width_max", always(16)),
        ("gpu_recovery_action", jump(0, 2)),
    ):
        made.add(f"{SMI}{name}", same, value)
    made.add(f"{SMI}xid_errors_total", {**same, "xid": "79"}, since(HALF, 1))
    made.add(f"{SMI}xid_last_timestamp_seconds", {**same, "xid": "79"}, since(HALF, HALF))
    failing = {**same, "instance": "d:9835", "uuid": "d"}
    made.add(f"{SMI}gpu_info", {**failing, "index": "0", "name": "NVIDIA L4"}, always(1))
    collected = {"job": "smi", "instance": "d:9835"}
    made.add(f"{SMI}last_collect_success", collected, jump(1, 0))


@pytest.fixture(scope="module")
def snapshot(
    prometheus_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Snapshot]:
    assert prometheus_binary
    folder = tmp_path_factory.mktemp("signals")
    made = History(range(START - 600, END + 1, 60))
    for exporter in (ours, dcgm, smi):
        exporter(made)
    blocks = made.write(folder / "history.om")
    with (
        PrometheusServer(folder / "prometheus", blocks_from=blocks) as server,
        Prometheus(server.url) as prometheus,
    ):
        yield take(
            prometheus,
            window_seconds=WINDOW,
            percentile=0.95,
            cluster_state=None,
            at=float(END),
        )


def seen(snapshot: Snapshot, dialect: str) -> Gpu:
    return next(gpu for gpu in snapshot.gpus if gpu.dialect == dialect)


HEALTH = {
    "power_limit_watts": 500,
    "power_limit_default_watts": 700,
    "mig_enabled": 0,
    "ecc_uncorrected": pytest.approx(10, abs=1),
    "ecc_corrected": 0,
    "remapped_rows_uncorrectable": 3,
    "remapped_rows_uncorrectable_new": 2,
    "row_remap_pending": 1,
    "row_remap_failure": 0,
    "pcie_width": 8,
    "pcie_width_max": 16,
    "recovery_action": 2,
}
ACTIVITY = {
    "sm_active_mean": pytest.approx(0.3, abs=0.01),
    "sm_active_high": pytest.approx(0.4),
    "tensor_active_mean": pytest.approx(0.1),
    "dram_active_mean": pytest.approx(0.5),
    "temperature_slowdown_celsius": 90,
    "pcie_replays": pytest.approx(100, abs=2),
    "nvlink_errors": pytest.approx(10, abs=1),
}
OURS_ALONE = {
    "nvlink_links_down": 1,
    "lost_seconds": pytest.approx(HOUR, rel=0.03),
}


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("agentaflow", {**HEALTH, **ACTIVITY, **OURS_ALONE}),
        ("dcgm", {**HEALTH, **ACTIVITY}),
        ("nvidia_gpu_exporter", HEALTH),
    ],
)
def test_measures(snapshot: Snapshot, dialect: str, expected: dict[str, object]) -> None:
    """Each signal that the exporter has, in our units, and nothing that it has not."""
    assert seen(snapshot, dialect).measures == expected


@pytest.mark.parametrize("dialect", ["agentaflow", "dcgm", "nvidia_gpu_exporter"])
def test_seconds_of_throttling_by_reason(snapshot: Snapshot, dialect: str) -> None:
    """Counters through their reset, in seconds; a reason that did not act has 0."""
    seconds = seen(snapshot, dialect).counts["throttled_seconds"]
    thermal = {"thermal": pytest.approx(180, rel=0.05)} if dialect == "dcgm" else {}
    assert seconds == {"sw_power_cap": pytest.approx(360, rel=0.05), "sync_boost": 0, **thermal}


def test_xids_within_the_window(snapshot: Snapshot) -> None:
    """New ones only, the one that began its series too; DCGM tells the change of its last code."""
    assert seen(snapshot, "agentaflow").counts["xids"] == {"48": 1, "79": 1}
    assert seen(snapshot, "dcgm").counts["xids"] == {"79": 1}
    assert seen(snapshot, "nvidia_gpu_exporter").counts["xids"] == {"79": 1}


def test_when_xids_came_last(snapshot: Snapshot) -> None:
    """Unix time by code; those before the window are not told, and DCGM tells none."""
    assert seen(snapshot, "agentaflow").counts["xid_last"] == {"79": HALF}
    assert seen(snapshot, "nvidia_gpu_exporter").counts["xid_last"] == {"79": HALF}
    assert "xid_last" not in seen(snapshot, "dcgm").counts


def test_a_gpu_whose_exporter_cannot_read_it_is_not_there_now(snapshot: Snapshot) -> None:
    """nvidia_gpu_exporter says that its last collection failed: what it serves is no news."""
    (gpu,) = [gpu for gpu in snapshot.gpus if gpu.uuid == "GPU-d"]
    assert gpu.up is None


def test_what_nobody_told_is_listed(snapshot: Snapshot) -> None:
    """So that an analysis that rests on it can refuse as a whole."""
    assert "retired_pages_pending" in snapshot.untold
    assert {"pods", "held", "energy", "utilization_max"} <= snapshot.untold
    assert not {"xids", "pcie_width", "up"} & snapshot.untold
