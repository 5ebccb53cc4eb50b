"""Money against a calculation by hand."""

from __future__ import annotations

import time
from decimal import Decimal

from bench.table import verdict
from bench.truth.advisor import GPUS, HOUR, advice, agentaflow, folder, stored
from tests.support.history import History, always
from tools.prometheus import JOB

# By hand: p5.48xlarge in us-east-1 of 2026-07-20 is 55.04 USD/h for 8 GPUs, 192 vCPUs, 2048 GiB.
# Without 192 x 0.0356667 and 2048 x 0.0034167 USD/h, by 8, times 730 h.
HAND_SAVING = Decimal("3759.01")
# One node of it for 24 h.
HAND_COST = Decimal("1320.96")


def money() -> bool:
    """A node of eight idle GPUs for a day, against a calculation by hand."""
    now = int(time.time())
    history = History(range(now - 25 * HOUR, now, 60))
    for index in range(GPUS):
        labels = {"job": JOB, "instance": "n", "node": "n", "gpu": str(index)}
        labels["uuid"] = f"GPU-{index}"
        history.add("agentaflow_gpu_up", labels, always(1))
        name = {**labels, "name": "NVIDIA H100 80GB HBM3"}
        history.add("agentaflow_gpu_info", name, always(1))
        engine = {**labels, "engine": "gpu"}
        history.add("agentaflow_gpu_utilization_ratio", engine, always(0.0))
    with folder() as at:
        file = history.write(at / "history.om")
        with stored(at, file) as url:
            first = advice(url, "24h")[0]
            saving = Decimal(first["saves"]["per_month"]["amount"])
            report = agentaflow("report", "cost", f"--prometheus-url={url}", "--window=24h")
            cost = Decimal(report["total"]["cost"]["amount"])
    return within("saving of an idle H100 a month", saving, HAND_SAVING) and within(
        "cost of its node for a day", cost, HAND_COST
    )


def within(what: str, said: Decimal, hand: Decimal) -> bool:
    off = abs(said - hand) / hand
    text = f"{what}: {said:.2f} USD, by hand {hand} USD, {float(off):.2%} off"
    return verdict(text, off <= Decimal("0.01"), "at most 1 %")
