"""GPUs whose data prove nothing, and an exporter that began anew, beside a GPU that is idle."""

from __future__ import annotations

import time
from collections.abc import Mapping

from bench.table import verdict
from bench.truth.advisor import HOUR, advice, folder, stored
from bench.truth.written import Names, Written
from tests.support.history import Value, always

BLANK = 9223372036854775792  # DCGM_INT64_BLANK
IDLE, LOST = ("GPU-idle", "idle-gpu"), ("GPU-lost", "drain-gpu-node")
TRUE = {"own": {IDLE, LOST}, "dcgm": {IDLE}}
"""dcgm-exporter does not tell that a GPU is lost."""
COUNTERS: Mapping[Names, tuple[tuple[str, dict[str, str], float], ...]] = {
    "own": (
        ("agentaflow_gpu_clock_event_seconds_total", {"reason": "hw_thermal_slowdown"}, 9e5),
        ("agentaflow_gpu_ecc_errors_total", {"type": "uncorrected"}, 9e5),
        ("agentaflow_gpu_xid_errors_total", {"xid": "79"}, 9e5),
        ("agentaflow_gpu_energy_joules_total", {}, 9e9),
    ),
    "dcgm": (
        ("DCGM_FI_DEV_THERMAL_VIOLATION", {}, 9e14),
        ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", {}, 9e5),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", {}, 9e12),
    ),
}
"""And what they stood at before."""


def bad_data(names: Names) -> bool:
    """Nothing may be said of them, but for the idle one and for the one that is lost."""
    now = int(time.time())
    written = Written(names, range(now - 25 * HOUR, now, 60))
    half, some = now - 12 * HOUR, written.times[700]
    cases: dict[str, Value] = {
        "empty": lambda _: None,
        "stale": lambda at: 0.0 if at < now - HOUR else None,
        "new": lambda at: 0.0 if at > now - HOUR else None,
        "nan": lambda at: "NaN" if at == some else 0.0,
        "infinite": lambda at: "+Inf" if at == some else 0.0,
        "blank": lambda at: float(BLANK) if at == some else 0.0,
        "gap": lambda at: None if half < at < half + 4 * HOUR else 0.0,
        "sparse": lambda at: 0.0 if (at - written.times[0]) % 1800 == 0 else None,
        "nonsense": always(42.0),
        "negative": always(-1.0),
        "once": lambda at: 0.9 if at == some else 0.0,
    }
    written.gpu("idle", always(0.0))
    if names == "own":
        written.gpu("lost", always(0.0), up=0.0)
    for name, value in cases.items():
        written.gpu(name, value)
    reset = written.gpu("reset", always(0.5))
    for metric, labels, high in COUNTERS[names]:  # then 0 ever since
        written.add(metric, {**reset, **labels}, _until(half, high))
    with folder() as at, stored(at, written.write(at / "history.om")) as url:
        said = {(one["where"]["uuid"], one["kind"]) for one in advice(url, "24h")}
    wrong = sorted(" ".join(each) for each in said - TRUE[names])
    right = verdict(f"what is true beside bad data, {names} names", said >= TRUE[names], "found")
    text = f"wrong verdicts on bad data, {names} names: {len(wrong)} of {len(cases) + 1} "
    return verdict((text + ", ".join(wrong)).rstrip(), not wrong, "0") and right


def _until(end: int, high: float) -> Value:
    return lambda at: high if at < end else 0.0
