"""A fleet as a server with the recording rules holds it: a day of hours, and the latest samples.

What rules record of samples is held against the samples in tests/real/test_recording.py.
"""

from __future__ import annotations

import random
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from agentaflow_advisor.observe.recording.families import RARE, REASONS
from bench.remote_write import Series, send
from tools.prometheus import JOB

HOUR = 3600
HOURS = 25
INTERVAL_SECONDS = 30
DAYS = 3
"""Of the days that are recorded each hour: the newest is read, so that older ones are not made."""
SPARSE_SECONDS = 240
"""Between the samples of a day that only tell that a GPU was there."""
SAMPLED_SECONDS = 80 * 60
"""How far back there are samples: to before the newest hour that is recorded."""
MODEL = "NVIDIA H100 80GB HBM3"
BLOCK_HOURS = (12, 6, 4, 2, 0)
"""How long ago the blocks of the past end. A server that has run for days has made blocks of 2
hours and joined them to 6 and 18; a day is in as many as here, the newest two hours in its memory.
"""
BITS = (1 << len(RARE)) - 1 + sum(REASONS.values()) - REASONS["thermal"]  # that one is DCGM's


@dataclass(frozen=True, slots=True)
class Card:
    """One in ten is idle, one in three held down by its power limit. Half of each fourth node is in
    no pod.
    """

    number: int
    uuid: str

    @property
    def idle(self) -> bool:
        return self.number % 10 == 0

    @property
    def mixed(self) -> bool:
        return self.number // 8 % 4 == 1

    @property
    def held(self) -> bool:
        return not self.mixed or self.number % 8 < 4

    @property
    def namespace(self) -> str:
        return f"team-{self.number // 4 % 7}"

    @property
    def node(self) -> str:
        return f"node-{self.number // 8}"

    @property
    def recorded(self) -> str:
        return f'cluster="bench",node="{self.node}",uuid="{self.uuid}",exporter="agentaflow"'

    @property
    def recorded_node(self) -> str:
        return f'cluster="bench",node="{self.node}",exporter="agentaflow"'

    @property
    def scraped(self) -> str:
        return (
            f'cluster="bench",node="{self.node}",instance="{self.node}",job="{JOB}",'
            f'gpu="{self.number % 8}",uuid="{self.uuid}"'
        )


Labels = Callable[[Card], str]
Values = Callable[[Card], Iterable[float | str]]
Family = tuple[str, Labels, Values, list[int]]
"""Its name, a card's labels (none: no series), its values and when they were."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The same cards each time."""

    cards: tuple[Card, ...]

    @classmethod
    def of(cls, nodes: int) -> Fleet:
        rng = random.Random(7)
        uuids = (uuid.UUID(int=rng.getrandbits(128)) for _ in range(nodes * 8))
        return cls(tuple(Card(number, f"GPU-{each}") for number, each in enumerate(uuids)))

    def write_past(self, folder: Path, end: int) -> tuple[Sequence[Path], int]:
        """A day of recorded hours, and samples of utilization: a file for each block, and how many
        samples that are.
        """
        ends = [end - HOUR * back for back in BLOCK_HOURS]
        files = [folder / f"until-{each}.om" for each in ends]
        last_hour = end - 20 * 60  # rules of an hour run at any minute of it
        hours = [last_hour - HOUR * back for back in range(HOURS - 1, -1, -1)]
        scrapes = list(range(end - SAMPLED_SECONDS, end, INTERVAL_SECONDS))
        day = list(range(end - HOUR * (HOURS - 1), end, SPARSE_SECONDS))
        rng = random.Random(11)
        up: Family = ("agentaflow_gpu_up", lambda card: card.scraped, _same(1, day), day)
        days = hours[-DAYS:]
        families = [*_kept(rng, "1h", hours, 12), _clock("1h", hours)]
        families += [*_kept(rng, "1d", days, 288), _clock("1d", days)]
        fives = list(range(end - SAMPLED_SECONDS, end, 300))
        families += [_utilization(rng, scrapes), *_peaks(rng, fives), _clock("5m", fives), up]
        return files, self._write(families, files, ends)

    def send_latest(self, url: str, since: int, end: int) -> int:
        """What was scraped and recorded since, into the memory of the server."""
        scrapes = list(range(since + 1, end + 1, INTERVAL_SECONDS))
        newest = max(since + 2, end - 60)
        fives = [*range(since + 1, newest - 300, 300), max(since + 1, newest - 300), newest]
        fives = sorted(set(fives))
        rng = random.Random(13)
        latest = [*_fives(fives[-2:]), *_peaks(rng, fives), _clock("5m", fives)]
        latest.append(_utilization(rng, scrapes))
        return send(url, self._series([*latest, *_listed(scrapes[-10:])]))

    def _series(self, families: Iterable[Family]) -> Iterator[Series]:
        for name, labels, values, times in families:
            for card in self.cards:
                if told := labels(card):
                    pairs = zip(times, map(float, values(card)), strict=True)
                    yield f'__name__="{name}",{told}', list(pairs)

    def _write(self, families: Iterable[Family], files: Sequence[Path], ends: Sequence[int]) -> int:
        written = 0
        with ExitStack() as stack:
            outs = [stack.enter_context(file.open("w")) for file in files]
            for name, labels, values, times in families:
                cuts = [0, *(bisect_left(times, end) for end in ends)]
                stamps = [f" {at}\n" for at in times]
                for out in outs:
                    out.write(f"# TYPE {name} gauge\n")
                for card in self.cards:
                    if not (told := labels(card)):
                        continue
                    prefix = f"{name}{{{told}}} "
                    pairs = zip(values(card), stamps, strict=True)
                    lines = [f"{prefix}{value}{stamp}" for value, stamp in pairs]
                    for out, (first, last) in zip(outs, pairwise(cuts), strict=True):
                        out.writelines(lines[first:last])
                    written += len(stamps)
            for out in outs:
                out.write("# EOF\n")
        return written


def _recorded(card: Card) -> str:
    return card.recorded


def _above(card: Card) -> str:
    """One in fifty works harder than in the day before."""
    return card.recorded if card.number % 50 == 7 else ""


def _first(card: Card) -> str:
    """Of a node: all of its GPUs have the same."""
    return card.recorded_node if card.number % 8 == 0 else ""


def _same(value: float, times: list[int]) -> Values:
    line = [value] * len(times)
    return lambda _: line


def _clock(step: str, times: list[int]) -> Family:
    labels = f'cluster="bench",exporter="agentaflow",step="{step}"'
    return (
        "agentaflow:recorded_time:seconds",
        lambda card: "" if card.number else labels,
        lambda _: times,
        times,
    )


def _busy(rng: random.Random, times: list[int]) -> Callable[[float, float], Values]:
    return lambda low, high: (
        lambda card: (
            [0] * len(times) if card.idle else [f"{rng.uniform(low, high):.3f}" for _ in times]
        )
    )


def _owned(card: Card) -> str:
    return f'{card.recorded},namespace="{card.namespace}"' if card.held else ""


def _powered(card: Card) -> str:
    return f'{card.recorded},reason="sw_power_cap"' if card.number % 3 == 0 else ""


def _sick(card: Card) -> str:
    return f'{card.recorded},xid="79"' if card.number % 500 == 3 else ""


def _kept(rng: random.Random, step: str, times: list[int], of_5m: int) -> Iterator[Family]:
    """Those of an hour or of a day, with so many steps of 5 minutes in it."""
    busy = _busy(rng, times)
    of_all: dict[str, Values] = {
        "utilization_ratio:max": busy(0.6, 1.0),
        "present:steps": _same(of_5m, times),
        "memory_used_bytes:max": lambda _: [rng.randrange(10**9, 8 * 10**10)] * len(times),
    }
    if step == "1h":
        of_all["utilization_ratio:avg"] = busy(0.2, 0.8)
        of_all["utilization_samples:steps"] = _same(of_5m, times)
        of_all["pcie_link_width:max"] = _same(16, times)
        of_all["sm_active_ratio:avg"] = busy(0.2, 0.5)
        of_all["sm_active_ratio:max"] = busy(0.5, 0.9)
        of_all["tensor_active_ratio:avg"] = busy(0.1, 0.3)
    else:
        of_all["sm_active_ratio:high"] = busy(0.5, 0.9)
        of_all["utilization_ratio:high"] = busy(0.6, 0.9)
    for name, values in of_all.items():
        yield f"agentaflow:gpu_{name}{step}", _recorded, values, times
    yield f"agentaflow:gpu_held_ratio:steps{step}", _owned, _same(of_5m, times), times
    if step == "1d":
        yield "agentaflow:node_present:steps1d", _first, _same(of_5m, times), times
    throttled = busy(of_5m * 8, of_5m * 75)
    yield f"agentaflow:gpu_throttled_seconds:increase{step}", _powered, throttled, times
    since = int(step == "1d")  # it came two hours ago, and the days since then have it
    xids = [0] * (len(times) - 3) + [1, since, since]
    yield f"agentaflow:gpu_xids:increase{step}", _sick, lambda _: xids, times


def _peaks(rng: random.Random, fives: list[int]) -> Iterator[Family]:
    name = "agentaflow:gpu_utilization_ratio"
    yield f"{name}:max5m", _recorded, _busy(rng, fives)(0.6, 1.0), fives
    yield f"{name}:above5m", _above, _same(1.0, fives), fives


def _fives(fives: list[int]) -> Iterator[Family]:
    def alike(card: Card) -> str:
        return "" if card.mixed else _first(card)

    def apart(card: Card) -> str:
        return card.recorded if card.mixed else ""

    yield "agentaflow:node_processes:last5m", alike, _same(1, fives), fives
    yield "agentaflow:gpu_processes:last5m", apart, lambda card: [int(card.held)] * 2, fives
    for name, value in (
        ("power_limit_watts", 700),
        ("power_limit_default_watts", 700),
        ("pcie_link_width_max", 16),
        ("memory_total_bytes", 85e9),
        ("told", BITS),
    ):
        yield f"agentaflow:node_{name}:last5m", _first, _same(value, fives), fives


def _listed(stamps: list[int]) -> Iterator[Family]:
    ones = _same(1, stamps)
    yield "agentaflow_gpu_up", lambda card: card.scraped, ones, stamps
    yield "agentaflow_gpu_info", lambda card: f'{card.scraped},name="{MODEL}"', ones, stamps
    yield "agentaflow_gpu_pod_info", _pod, ones, stamps


def _utilization(rng: random.Random, scrapes: list[int]) -> Family:
    levels = [[f"{rng.uniform(0.2, 0.9):.2f}" for _ in scrapes] for _ in range(97)]
    idle = ["0"] * len(scrapes)
    return (
        "agentaflow_gpu_utilization_ratio",
        lambda card: f'{card.scraped},engine="gpu"',
        lambda card: idle if card.idle else levels[card.number % 97],
        scrapes,
    )


def _pod(card: Card) -> str:
    pod = f'namespace="{card.namespace}",pod="train-{card.number // 4}",container="main"'
    return f"{card.scraped},{pod}" if card.held else ""
