"""Right-sizing on the first hours of real inference pods, held against what they did later.

A home is right if it holds the later part: its peak of memory fits, and its duty cycle, as much
longer as the home is slower, stays below 100 %. Nothing of that is asked of the tool: it adds
head-room of its own to the part that it sees. Each pod is judged from every hour of the trace on
that leaves two hours for later, as if it held an H100, and as if it held an H200.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.table import Row, show, verdict
from bench.truth.advisor import GPUS, HOUR, RIGHTSIZING_KINDS, advice, folder, stored
from bench.truth.duty import Shown, Trace, lines, traces
from bench.truth.score import PRECISION_GOAL, RECALL_GOAL

EVIDENCE_HOURS = (1, 3, 6, 9, 12)
JUDGED_HOURS = 12  # of evidence: whose figures are held against the goals
LATER_HOURS = 2
SAMPLES_AN_HOUR = 57  # nine in ten
HEADROOM, BUSIEST = 1.2, 0.8  # what the settings rightsizing_… ask for
SHARED_OVERLOAD = 0.1  # of the time: two percentiles of 95 % leave out as much
PARTNER = re.compile(r"and \S+/(GPU-\S+) on GPU")


@dataclass(frozen=True, slots=True)
class Board:
    """Data sheet, by hand; homes by MiB and how many times slower at worst they are: instances
    with one GPU that cost less than its part of its node, and its own slices.
    """

    model: str
    total_mib: float
    homes: Mapping[str, tuple[float, float]]


def _slices(total: float, *names: str) -> Mapping[str, tuple[float, float]]:
    parts = ((1 / 8, 7 / 1), (1 / 4, 7 / 1), (1 / 4, 7 / 2), (1 / 2, 7 / 3), (1 / 2, 7 / 4))
    sizes = [(total * memory, slower) for memory, slower in parts]
    return dict(zip(names, sizes, strict=True))


BOARDS: Mapping[str, Board] = {
    "H100": Board(  # 3350 GB/s and 989 TFLOPS; 6.88 USD/h as a part of a p5.48xlarge
        "NVIDIA H100 80GB HBM3",
        81_559,
        {
            "g4dn": (16_384, 989 / 65),
            "g5": (22_888, 989 / 70),
            "g6": (22_888, 3350 / 300),
            "gr6": (22_888, 3350 / 300),
            "g6e": (45_776, 3350 / 864),
            "p3": (16_384, 989 / 125),
            **_slices(81_559, "1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb"),
        },
    ),
    "H200": Board(  # 4800 GB/s and 989 TFLOPS; 7.91 USD/h as a part of a p5en.48xlarge
        "NVIDIA H200",
        143_771,
        {
            "g4dn": (16_384, 989 / 65),
            "g5": (22_888, 989 / 70),
            "g6": (22_888, 4800 / 300),
            "gr6": (22_888, 4800 / 300),
            "g6e": (45_776, 4800 / 864),
            "p3": (16_384, 989 / 125),
            "p5": (81_559, 4800 / 3350),
            **_slices(143_771, "1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb"),
        },
    ),
}


@dataclass(frozen=True)
class Case:
    """A pod from one hour on: what the tool sees, and what came later."""

    pod: str
    start: float
    seen: Trace
    later: Trace

    @cached_property
    def peaks(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Duty cycle and MiB, seen and later."""
        return (self.seen.busy, self.seen.peak_mib), (self.later.busy, self.later.peak_mib)

    def holds(self, home: tuple[float, float] | None) -> bool:
        """Whether it held what came later; a home that is not known here did not."""
        busy, peak = self.peaks[1]
        return home is not None and peak <= home[0] and busy * home[1] <= 1

    def has_room(self, home: tuple[float, float], headroom: float, busiest: float) -> bool:
        """All that it did, seen and later."""
        return all(
            peak * headroom <= home[0] and busy * home[1] <= busiest for busy, peak in self.peaks
        )


@dataclass(frozen=True, slots=True)
class Found:
    """By kind of advice, of cases of one length of evidence on one board."""

    told: int
    wrong: int
    right: int  # of those for which there is a home
    true: int  # pods that some home holds, seen and later
    roomy: int  # of these, with the room that the settings ask for
    roomy_found: int
    shared: int
    shared_wrong: int
    cases: int

    def row(self, hours: int, board: str) -> Row:
        return {
            "evidence, h": hours,
            "as": board,
            "judged": self.cases,
            "told": self.told,
            "wrong": self.wrong,
            "precision": f"{self.precision:.3f}",
            "true": self.true,
            "recall": f"{self.right / max(1, self.true):.3f}",
            "true with room": self.roomy,
            "found of these": self.roomy_found,
            "shared": self.shared,
            "wrongly": self.shared_wrong,
        }

    @property
    def precision(self) -> float:
        return 1 - self.wrong / max(1, self.told)


def judged_later(data: Path) -> bool:
    pods = traces(data)
    found = {
        (hours, board): each
        for hours in EVIDENCE_HOURS
        for board, each in _judged(list(_cases(pods, hours)), hours).items()
    }
    rows = [each.row(hours, board) for (hours, board), each in found.items()]
    show(f"right-sizing of {len(pods)} real pods, held against their later hours", rows)
    last = [each for (hours, _), each in found.items() if hours == JUDGED_HOURS]
    told, wrong = sum(each.told for each in last), sum(each.wrong for each in last)
    shared, apart = sum(each.shared for each in last), sum(each.shared_wrong for each in last)
    roomy, roomy_found = sum(e.roomy for e in last), sum(e.roomy_found for e in last)
    what = f"right-sizing on {JUDGED_HOURS} h of evidence"
    met = _figure(f"{what}: precision", told - wrong, told, PRECISION_GOAL)
    met &= _figure(f"{what}: sharing that held later", shared - apart, shared, PRECISION_GOAL)
    room = "recall of those with the room that the settings ask for"
    return _figure(f"{what}: {room}", roomy_found, roomy, RECALL_GOAL) and met


def _figure(what: str, part: int, whole: int, goal: float) -> bool:
    share = part / max(1, whole)
    text = f"{what} {share:.3f} ({part} of {whole})"
    return verdict(text, whole > 0 and share >= goal, f"{goal}")


def _cases(pods: Mapping[str, Trace], hours: int) -> Iterator[Case]:
    first = min(trace.percent[0][0] for trace in pods.values())
    for pod, trace in pods.items():
        end = max(trace.percent[-1][0], trace.mib[-1][0])
        starts = int((end - first) // HOUR) + 1
        for start in (first + number * HOUR for number in range(starts)):
            half = start + hours * HOUR
            case = Case(pod, start, trace.between(start, half), trace.between(half, end + 1))
            if _enough(case.seen, hours) and _enough(case.later, LATER_HOURS):
                yield case


def _enough(part: Trace, hours: int) -> bool:
    return min(len(part.percent), len(part.mib)) >= SAMPLES_AN_HOUR * hours


def _judged(cases: list[Case], hours: int) -> Mapping[str, Found]:
    """By board. Cases of one start are neighbours, eight on a node, and may share."""
    now = int(time.time())
    places: defaultdict[float, int] = defaultdict(int)
    shown: dict[str, tuple[str, Case]] = {}
    series = []
    for case in sorted(cases, key=lambda each: (each.start, each.pod)):
        number = places[case.start]
        places[case.start] += 1
        for name, board in BOARDS.items():
            uuid = f"GPU-{name}-{case.start:.0f}-{case.pod}"
            node = f"{name}-{case.start:.0f}-{number // GPUS}"
            shift = now - case.start - hours * HOUR
            own = (uuid, node, number % GPUS, board.model, board.total_mib)
            series.append(Shown(*own, case.seen, shift))
            shown[uuid] = name, case
    with folder() as at:
        history = at / "history.om"
        with history.open("w") as out:
            out.writelines(lines(series))
        with stored(at, history) as url:
            least = f"{hours * 54}m"
            said = advice(url, f"{hours}h", rightsizing_min_held_seconds=least)
    return {
        name: _found(
            board,
            {uuid: case for uuid, (its, case) in shown.items() if its == name},
            [one for one in said if one["kind"] in RIGHTSIZING_KINDS],
        )
        for name, board in BOARDS.items()
    }


def _found(board: Board, cases: Mapping[str, Case], said: list[dict[str, Any]]) -> Found:
    own = [one for one in said if one["where"]["uuid"] in cases]
    homes = {one["where"]["uuid"]: _home(one) for one in own if one["kind"] != "share-gpu"}
    pairs = [(one["where"]["uuid"], _partner(one)) for one in own if one["kind"] == "share-gpu"]
    wrong = {uuid for uuid, home in homes.items() if not cases[uuid].holds(board.homes.get(home))}
    true = {uuid for uuid, case in cases.items() if _fits(case, board, 1, 1)}
    roomy = {uuid for uuid, case in cases.items() if _fits(case, board, HEADROOM, BUSIEST)}
    return Found(
        told=len(homes),
        wrong=len(wrong),
        right=len(true & homes.keys() - wrong),
        true=len(true),
        roomy=len(roomy),
        roomy_found=len(roomy & homes.keys() - wrong),
        shared=len(pairs),
        shared_wrong=sum(
            not _fit_together(cases[one], cases[other], board.total_mib) for one, other in pairs
        ),
        cases=len(cases),
    )


def _fits(case: Case, board: Board, headroom: float, busiest: float) -> bool:
    """A pod that is idle while it is seen is not judged here."""
    if case.seen.busy <= 0.05:
        return False
    return any(case.has_room(home, headroom, busiest) for home in board.homes.values())


def _home(recommendation: Mapping[str, Any]) -> str:
    inputs = recommendation["saves"]["inputs"]
    return str(inputs.get("profile") or inputs["instance_type"].partition(".")[0])


def _partner(recommendation: Mapping[str, Any]) -> str:
    found = PARTNER.search(recommendation["what"])
    if not found:
        raise RuntimeError(f"no partner in: {recommendation['what']}")
    return found[1]


def _fit_together(one: Case, other: Case, total_mib: float) -> bool:
    """Later, at the same moments: memory always, and duty cycles but for a tenth of the time."""
    memory = _sums(one.later.mib, other.later.mib)
    duty = _sums(one.later.percent, other.later.percent)
    over = sum(value > 100 for value in duty)
    return max(memory, default=0) <= total_mib and over <= SHARED_OVERLOAD * len(duty)


def _sums(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> list[float]:
    values = dict(other)
    return [value + values[at] for at, value in one if at in values]
