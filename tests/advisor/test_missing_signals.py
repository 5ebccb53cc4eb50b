"""Without a signal there is no advice that rests on it: one at a time, of every analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.advice import advise
from agentaflow_advisor.configuration import load
from agentaflow_advisor.model import Gpu, Held, PodRef, Snapshot, Usage
from agentaflow_advisor.price import PriceTable, ResidualRates
from agentaflow_advisor.price.pricelist import PriceList
from agentaflow_advisor.price.tablefile import read
from tests.support.fleet import GIB, node, running_pod, snapshot

WEEK = 604_800.0
H100 = "NVIDIA H100 80GB HBM3"
PRICES = """\
# provider: AWS
# region: r
# date: 2026-11-01
instance,gpu,gpus,gpu_mem_mib_each,vcpu,ram_gib,ondemand_usd_h
p5.48xlarge,h100,8,81920,192,2048,80
g6e.xlarge,l40s,1,45776,4,32,2
"""
COOL = {"hw_thermal_slowdown": 0.0, "sw_thermal_slowdown": 0.0, "hw_power_brake_slowdown": 0.0}
SOUND: Mapping[str, float] = {
    "sm_active_high": 0.9,
    "mig_enabled": 0.0,
    "ecc_uncorrected": 0.0,
    "row_remap_pending": 0.0,
    "row_remap_failure": 0.0,
    "pcie_width": 16.0,
    "pcie_width_max": 16.0,
    "power_limit_watts": 700.0,
    "power_limit_default_watts": 700.0,
}


def used(high: float) -> Usage:
    return Usage(
        maximum=high,
        high=high,
        mean=high,
        samples=40_000,
        newest_age_seconds=15.0,
        covered_seconds=WEEK,
    )


def card(place: str, index: int, pod: str = "", use: float = 0.9, gib: float = 60.0) -> Gpu:
    """One that tells everything and is in order."""
    return Gpu(
        "",
        place,
        str(index),
        f"GPU-{place}-{index}",
        model=H100,
        up=True,
        memory_total_bytes=80 * GIB,
        memory_used_max_bytes=gib * GIB,
        utilization=used(use),
        processes=1,
        pods=(PodRef("research", pod),) if pod else (),
        present_seconds=WEEK,
        held=(Held("research", WEEK),) if pod else (),
        measures=SOUND,
        counts={"xids": {}, "throttled_seconds": {**COOL, "sw_power_cap": 0.0}},
    )


def with_(gpu: Gpu, slowed: Mapping[str, float] | None = None, **measures: float) -> Gpu:
    told = {**gpu.counts["throttled_seconds"], **(slowed or {})}
    return replace(
        gpu,
        measures={**gpu.measures, **measures},
        counts={**gpu.counts, "throttled_seconds": told},
    )


def fleet() -> Snapshot:
    """Two nodes of eight, of which each GPU has another trouble; pod `job` spans some of them."""
    half = WEEK / 2
    gpus = [
        card("a", 0, "idle", use=0.0),
        replace(card("a", 1, use=0.0, gib=0.5), processes=0),
        card("a", 2, use=0.0),
        card("a", 3, use=0.5),
        with_(card("a", 4, "small", use=0.85, gib=4.0), sm_active_high=0.05),
        with_(card("a", 5, "sharer-1", gib=45.0), sm_active_high=0.32),
        with_(card("a", 6, "sharer-2", gib=20.0), sm_active_high=0.47),
        with_(card("a", 7, "slice", gib=30.0), sm_active_high=0.4),
        with_(card("b", 0, "job"), {"hw_thermal_slowdown": half}),
        with_(card("b", 1, "job"), {"hw_power_brake_slowdown": half}),
        with_(card("b", 2, "job"), {"sw_power_cap": half}, power_limit_watts=400.0),
        with_(card("b", 3, "job", use=1.0), sm_active_high=0.1),
        replace(card("b", 4, "job"), counts={**card("b", 4).counts, "xids": {"79": 1.0}}),
        with_(card("b", 5, "job"), row_remap_pending=1.0),
        with_(card("b", 6, "job"), pcie_width=8.0),
        card("b", 7, "ended"),
    ]
    pods = [running_pod(name, "a", created_at=1.0) for name in ("idle", "small", "slice")]
    pods += [running_pod(name, "a", created_at=1.0) for name in ("sharer-1", "sharer-2")]
    pods.append(running_pod("job", "b", gpus=7, created_at=1.0))
    labels = {"node.kubernetes.io/instance-type": "p5.48xlarge"}
    return snapshot([node(place, labels=labels) for place in "ab"], pods, gpus)


def say(seen: Snapshot) -> set[tuple[str, str]]:
    """Kind, and the GPU as `a0`."""
    rates = ResidualRates(Decimal(".02"), Decimal(".002"))
    table = PriceTable([PriceList(read(Path("prices.csv"), PRICES))], rates)
    found = advise(load(), seen, table).recommendations
    return {(each.kind, f"{each.where.node}{each.where.gpu}") for each in found}


IDLE = {("idle-gpu", "a0"), ("unallocated-gpu", "a1")}
HOLDERS = {("forgotten-process", "a2"), ("forgotten-process", "a3")}
SIZES = {("smaller-gpu", "a4"), ("share-gpu", "a6"), ("mig-slice", "a7")}
CLOCKS = {("thermal-throttling", "b0"), ("power-brake", "b1"), ("power-cap", "b2")}
BUSY = {("low-sm-activity", "b3")}
SICK = {("drain-gpu-node", "b4"), ("reset-gpu", "b5"), ("check-gpu", "b6")}
ENDED = {("ended-pod", "b7")}
WHOLE = IDLE | HOLDERS | SIZES | CLOCKS | BUSY | SICK | ENDED
Strip = Callable[[Gpu], Gpu]


def field(**nothing: Any) -> Strip:
    return lambda gpu: replace(gpu, **nothing)


def measure(name: str) -> Strip:
    return lambda gpu: replace(
        gpu, measures={each: value for each, value in gpu.measures.items() if each != name}
    )


def count(name: str) -> Strip:
    return lambda gpu: replace(
        gpu, counts={each: value for each, value in gpu.counts.items() if each != name}
    )


def reason(name: str) -> Strip:
    def strip(gpu: Gpu) -> Gpu:
        told = {each: s for each, s in gpu.counts["throttled_seconds"].items() if each != name}
        return replace(gpu, counts={**gpu.counts, "throttled_seconds": told})

    return strip


CHECK = {("check-gpu", "b6")}
CAP = {("power-cap", "b2")}
RESET = {("reset-gpu", "b5")}
LOST: Mapping[str, tuple[Strip, set[tuple[str, str]]]] = {
    "utilization": (field(utilization=None), IDLE | SIZES | BUSY | CHECK),
    "memory_used_max": (field(memory_used_max_bytes=None), SIZES),
    "memory_total": (field(memory_total_bytes=None), SIZES),
    "info": (field(model=None), SIZES),
    "up": (field(up=None), IDLE | HOLDERS | SIZES | BUSY | SICK | ENDED),
    "present": (field(present_seconds=None), {("forgotten-process", "a3")}),
    "held": (field(held=()), ENDED | {("forgotten-process", "a3")}),  # Kubernetes knows the rest
    "pods": (field(pods=(), held=()), {("unallocated-gpu", "a1")} | HOLDERS | SIZES | ENDED),
    "processes": (field(processes=None), set()),  # memory in use stands in
    "sm_active_high": (measure("sm_active_high"), SIZES | BUSY),
    "power_limit_watts": (measure("power_limit_watts"), CAP),
    "power_limit_default_watts": (measure("power_limit_default_watts"), CAP),
    "row_remap_pending": (measure("row_remap_pending"), RESET),
    "row_remap_failure": (measure("row_remap_failure"), RESET),
    "pcie_width": (measure("pcie_width"), CHECK),
    "pcie_width_max": (measure("pcie_width_max"), CHECK),
    "mig_enabled": (measure("mig_enabled"), set()),  # one that is cut tells no utilization
    "ecc_uncorrected": (measure("ecc_uncorrected"), set()),  # nobody has any
    "xids": (count("xids"), {("drain-gpu-node", "b4")}),
    "throttled_seconds": (count("throttled_seconds"), CLOCKS),
    "hw_thermal_slowdown": (reason("hw_thermal_slowdown"), {("thermal-throttling", "b0")}),
    "hw_power_brake_slowdown": (reason("hw_power_brake_slowdown"), {("power-brake", "b1")}),
    "sw_power_cap": (reason("sw_power_cap"), CAP),
}
"""Signal or reason → how a GPU looks without it, and the advice that rests on it."""


def test_each_trouble_is_told_where_every_signal_is() -> None:
    """What the fleet of these tests is about."""
    assert say(fleet()) == WHOLE


@pytest.mark.parametrize("signal", LOST)
def test_without_a_signal_nothing_is_said_that_rests_on_it(signal: str) -> None:
    """What rests on it is gone, all else stays, and nothing takes its place but a plainer kind."""
    strip, lost = LOST[signal]
    seen = fleet()
    told = say(replace(seen, gpus=tuple(map(strip, seen.gpus))))
    assert WHOLE - told == lost
    plainer = {("idle-gpu", "a1"), ("idle-gpu", "a2")} if signal == "pods" else set()
    assert told - WHOLE == plainer
