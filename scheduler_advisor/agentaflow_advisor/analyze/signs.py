"""The signs by which a GPU is found sick: each with its weight, its sentence and its source."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from agentaflow_advisor.analyze.idleness import span
from agentaflow_advisor.analyze.slowdowns import BRAKE, HOT, THERMAL, THROTTLED
from agentaflow_advisor.analyze.xids import APPLICATION, CRITICAL, INFORMATION, WARNING
from agentaflow_advisor.model import Gpu

Remedy = Literal["check", "reset", "drain"]
Organ = Literal["memory", "bus", "links", "firmware", "cooling", "presence", "unclassified"]
REPLAYS_PER_MINUTE = 8.0
"""DCGM's DCGM_LIMIT_MAX_PCIREPLAY_RATE, "the maximum recommended by RM"."""
LINK_ERRORS_PER_SECOND = 100.0
"""DCGM's DCGM_LIMIT_MAX_NVLINK_CRC_ERROR: below it CRC errors are repaired without harm."""
HEAT_RATIO = 0.01
"""Hardware slowdown for more of the window than this is no blip."""
LOST_RATIO = 0.01
"""The same for time in which it did not answer."""
CATALOGUE = "NVIDIA Xid catalogue"
MEMORY_GUIDE = "NVIDIA GPU Memory Error Management"
ACTIONS: Mapping[int, tuple[int, Remedy, str]] = {
    1: (60, "reset", "the driver asks for a GPU reset"),
    2: (70, "drain", "the driver asks for a reboot of the node"),
    3: (60, "drain", "the driver asks to drain its peers"),
    4: (70, "drain", "the driver asks to drain and reset it"),
    5: (60, "drain", "the driver asks to recover the IMEX domain"),
    6: (60, "reset", "the driver asks for a bus reset"),
    7: (70, "drain", "the driver asks for a reboot of the system"),
}
"""nvmlDeviceGpuRecoveryAction_t, nvml.h."""
XIDS: Mapping[str, tuple[int, Remedy, Organ]] = {
    "46": (60, "reset", "firmware"),
    "48": (60, "drain", "memory"),
    "62": (60, "drain", "firmware"),
    "64": (90, "drain", "memory"),
    "74": (50, "drain", "links"),
    "79": (100, "drain", "bus"),
    "94": (20, "reset", "memory"),
    "95": (80, "drain", "memory"),
    "109": (60, "reset", "firmware"),
    "110": (60, "drain", "firmware"),
    "119": (60, "reset", "firmware"),
    "120": (60, "reset", "firmware"),
    "136": (50, "reset", "links"),
    "140": (60, "reset", "memory"),
    "143": (60, "reset", "firmware"),
    "158": (60, "reset", "firmware"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks against a board: so many of 100 points, and what it calls for."""

    organ: Organ
    points: int
    remedy: Remedy
    says: str
    source: str
    signals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """One look at a GPU. Without any of `needs` it can say nothing."""

    name: str
    needs: tuple[tuple[str, ...], ...]  # signals or reasons; one whole tuple of these suffices
    find: Callable[[Gpu, float], list[Reason]]  # of the GPU and the window in seconds

    def possible(self, told: Collection[str]) -> bool:
        """Of a GPU of which these were told (see `told`)."""
        return any(all(name in told for name in names) for names in self.needs)


def told(gpu: Gpu) -> tuple[str, ...]:
    """The signals of which it was told something, and the reasons whose seconds were."""
    return (*gpu.measures, *gpu.counts, *gpu.counts.get(THROTTLED, ()))


def _xids(gpu: Gpu, _: float) -> list[Reason]:
    found = []
    for code, count in sorted(gpu.counts["xids"].items()):
        if count <= 0 or code in APPLICATION or code in INFORMATION:
            continue
        meaning = CRITICAL.get(code) or WARNING.get(code)
        points, remedy, organ = XIDS.get(code, (5, "check", "unclassified"))
        said = f"Xid {code}{f' ({meaning})' if meaning else ''} came {_times(count)}"
        found.append(Reason(organ, points, remedy, said, CATALOGUE, ("xids",)))
    return found


def _ecc(gpu: Gpu, _: float) -> list[Reason]:
    count = gpu.measures["ecc_uncorrected"]
    said = f"{count:.0f} uncorrected memory errors"
    return _if(count > 0, "memory", 40, "reset", said, MEMORY_GUIDE, "ecc_uncorrected")


def _rows(gpu: Gpu, _: float) -> list[Reason]:
    told = gpu.measures.get
    found: list[Reason] = []
    if told("row_remap_failure", 0.0) > 0:
        said = "a memory row could not be replaced: the board is due for return"
        found += _if(True, "memory", 100, "drain", said, MEMORY_GUIDE, "row_remap_failure")
    if told("row_remap_pending", 0.0) > 0:
        said = "a memory row waits for a reset to be replaced"
        found += _if(True, "memory", 30, "reset", said, MEMORY_GUIDE, "row_remap_pending")
    if (new := told("remapped_rows_uncorrectable_new", 0.0)) > 0:
        said = f"{new:.0f} memory rows were replaced for uncorrectable errors"
        found += _if(
            True, "memory", 20, "check", said, MEMORY_GUIDE, "remapped_rows_uncorrectable_new"
        )
    if told("retired_pages_pending", 0.0) > 0:
        said = "memory pages wait for a reboot to be retired"
        found += _if(True, "memory", 30, "reset", said, MEMORY_GUIDE, "retired_pages_pending")
    return found


def _width(gpu: Gpu, _: float) -> list[Reason]:
    """Only of a GPU that worked; an idle link may rest (its generation falls, in some its width).

    The width is the largest of the window.
    """
    width, most = gpu.measures["pcie_width"], gpu.measures["pcie_width_max"]
    busy = gpu.utilization is not None and gpu.utilization.high > 0.05
    said = f"PCIe runs on {width:.0f} of {most:.0f} lanes: reseat it, or look at its slot"
    source = "PCIe link training; nvmlDeviceGetCurrPcieLinkWidth"
    return _if(busy and 0 < width < most, "bus", 30, "check", said, source, "pcie_width")


def _replays(gpu: Gpu, window: float) -> list[Reason]:
    rate = gpu.measures["pcie_replays"] / window * 60
    said = f"{rate:.1f} PCIe packets a minute were sent again"
    return _if(
        rate > REPLAYS_PER_MINUTE, "bus", 20, "check", said, "DCGM's health limits", "pcie_replays"
    )


def _links(gpu: Gpu, window: float) -> list[Reason]:
    down, errors = gpu.measures.get("nvlink_links_down"), gpu.measures.get("nvlink_errors")
    found: list[Reason] = []
    if down:
        said = f"{down:.0f} NVLinks are down"
        found += _if(True, "links", 30, "check", said, "NVML field 165", "nvlink_links_down")
    if errors and errors / window >= LINK_ERRORS_PER_SECOND:
        said = f"{errors / window:,.0f} NVLink errors a second"
        found += _if(True, "links", 50, "drain", said, "DCGM's health limits", "nvlink_errors")
    return found


def _recovery(gpu: Gpu, _: float) -> list[Reason]:
    code = int(gpu.measures["recovery_action"])
    points, remedy, said = ACTIONS.get(code, (30, "check", f"the driver asks for action {code}"))
    return _if(code > 0, "firmware", points, remedy, said, "NVML field 230", "recovery_action")


def _heat(gpu: Gpu, window: float) -> list[Reason]:
    """By hardware, where that is told apart; else by any of the thermal reasons."""
    seconds = gpu.counts[THROTTLED]
    did = "halved" if HOT in seconds else "held down"
    hot = seconds[HOT] if HOT in seconds else seconds[THERMAL]
    said = f"heat {did} its clocks for {span(hot)}: look at fans, air and paste"
    return _if(hot > HEAT_RATIO * window, "cooling", 20, "check", said, "nvml.h", THROTTLED)


def _brake(gpu: Gpu, window: float) -> list[Reason]:
    pulled = gpu.counts[THROTTLED][BRAKE]
    said = f"its power brake was pulled for {span(pulled)}: look at the power supply"
    return _if(pulled > HEAT_RATIO * window, "cooling", 20, "check", said, "nvml.h", THROTTLED)


def _lost(gpu: Gpu, window: float) -> list[Reason]:
    lost = gpu.measures["lost_seconds"]
    said = f"it did not answer for {span(lost)}"
    return _if(lost > LOST_RATIO * window, "presence", 40, "check", said, "up = 0", "lost_seconds")


def _times(count: float) -> str:
    return "once" if round(count) == 1 else f"{count:.0f} times"


def _if(
    found: bool, organ: Organ, points: int, remedy: Remedy, says: str, source: str, signal: str
) -> list[Reason]:
    return [Reason(organ, points, remedy, says, source, (signal,))] if found else []


CHECKS: tuple[Check, ...] = (
    Check("Xid errors", (("xids",),), _xids),
    Check("memory errors", (("ecc_uncorrected",),), _ecc),
    Check(
        "memory repairs",
        (("row_remap_pending", "row_remap_failure"), ("retired_pages_pending",)),
        _rows,
    ),
    Check("PCIe width", (("pcie_width", "pcie_width_max"),), _width),
    Check("PCIe replays", (("pcie_replays",),), _replays),
    Check("NVLinks", (("nvlink_links_down",), ("nvlink_errors",)), _links),
    Check("recovery action", (("recovery_action",),), _recovery),
    Check("slowdowns by heat", ((HOT,), (THERMAL,)), _heat),
    Check("slowdowns by the power brake", ((BRAKE,),), _brake),
    Check("time lost", (("lost_seconds",),), _lost),
)
VITAL = frozenset({"Xid errors", "memory errors", "memory repairs"})
"""Without one of these a score says little."""
SLOWDOWNS = (HOT, THERMAL, BRAKE)
SIGNALS = (
    frozenset(signal for check in CHECKS for names in check.needs for signal in names)
    - frozenset(SLOWDOWNS)
) | {THROTTLED, "remapped_rows_uncorrectable_new"}
WIDTHS = frozenset({"pcie_width", "pcie_width_max"})
EVENTS = tuple(sorted(SIGNALS - WIDTHS - {"xids", THROTTLED}))


def quiet(gpu: Gpu) -> bool:
    """Whether no check can find anything: so it is with most GPUs, and quickly seen."""
    told, slowed = gpu.measures.get, gpu.counts.get(THROTTLED, {}).get
    return not (
        gpu.counts.get("xids")
        or any(map(told, EVENTS))
        or told("pcie_width") != told("pcie_width_max")
        or any(map(slowed, SLOWDOWNS))
    )
