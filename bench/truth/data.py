"""GPUs whose data prove nothing, and an exporter that began anew, beside a GPU that is idle."""

from __future__ import annotations

import time
from typing import Any

from bench.table import verdict
from bench.truth.advisor import HOUR, advice, folder, stored
from tests.support.history import History, always
from tools.prometheus import JOB

TRUE = {("GPU-idle", "idle-gpu"), ("GPU-lost", "drain-gpu-node")}
COUNTERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("clock_event_seconds_total", {"reason": "hw_thermal_slowdown"}),
    ("ecc_errors_total", {"type": "uncorrected"}),
    ("xid_errors_total", {"xid": "79"}),
    ("energy_joules_total", {}),
)


def bad_data() -> bool:
    """Nothing may be said of them, but for the idle one and for the one that is lost."""
    now = int(time.time())
    history = History(range(now - 25 * HOUR, now, 60))
    half = now - 12 * HOUR

    def gpu(name: str, value: Any, up: float = 1.0) -> None:
        labels = {"job": JOB, "instance": name, "node": name, "gpu": "0", "uuid": f"GPU-{name}"}
        history.add("agentaflow_gpu_up", labels, always(up))
        history.add("agentaflow_gpu_info", {**labels, "name": "NVIDIA L4"}, always(1))
        engine = {**labels, "engine": "gpu"}
        history.add("agentaflow_gpu_utilization_ratio", engine, value)

    gpu("idle", always(0.0))
    cases = {
        "empty": lambda _: None,
        "stale": lambda at: 0.0 if at < now - HOUR else None,
        "new": lambda at: 0.0 if at > now - HOUR else None,
        "nan": lambda at: "NaN" if at == history.times[700] else 0.0,
        "infinite": lambda at: "+Inf" if at == history.times[700] else 0.0,
        "gap": lambda at: None if half < at < half + 4 * HOUR else 0.0,
        "sparse": lambda at: 0.0 if (at - history.times[0]) % 1800 == 0 else None,
        "nonsense": lambda _: 42.0,
        "negative": lambda _: -1.0,
        "once": lambda at: 0.9 if at == history.times[700] else 0.0,
        "lost": lambda _: 0.0,
    }
    for name, value in cases.items():
        gpu(name, value, up=0.0 if name == "lost" else 1.0)
    reset = {"job": JOB, "instance": "reset", "node": "reset", "gpu": "0", "uuid": "GPU-reset"}
    gpu("reset", always(0.5))
    for name, labels in COUNTERS:  # high for long before the window, 0 ever since
        history.add(f"agentaflow_gpu_{name}", {**reset, **labels}, lambda at: 9e5 * (at < half))
    with folder() as at:
        file = history.write(at / "history.om")
        with stored(at, file) as url:
            said = {(one["where"]["uuid"], one["kind"]) for one in advice(url, "24h")}
    wrong = sorted(" ".join(each) for each in said - TRUE)
    right = verdict("the idle and the lost GPU among bad data were found", said >= TRUE, "found")
    text = f"wrong verdicts on bad data: {len(wrong)} of {len(cases) + 1} {', '.join(wrong)}"
    return verdict(text.rstrip(), not wrong, "0") and right
