"""A fleet as a server with the recording rules holds it: a day of hours, and the latest samples.

What rules record of samples is held against the samples in tests/real/test_recording.py.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

from agentaflow_advisor.observe.recording.families import RARE
from tools.prometheus import JOB

HOUR = 3600
HOURS = 25
INTERVAL_SECONDS = 30
SAMPLED_SECONDS = 80 * 60
"""How far back there are samples: to before the newest hour that is recorded."""
MODEL = "NVIDIA H100 80GB HBM3"
BITS = (1 << len(RARE)) - 1


@dataclass(frozen=True, slots=True)
class Card:
    """One in ten is idle; of the others, one in four has no pod, one in three is held by power."""

    number: int
    uuid: str

    @property
    def idle(self) -> bool:
        return self.number % 10 == 0

    @property
    def held(self) -> bool:
        return self.number % 4 != 1

    @property
    def node(self) -> str:
        return f"node-{self.number // 8}"

    @property
    def recorded(self) -> str:
        return f'cluster="bench",node="{self.node}",uuid="{self.uuid}",exporter="agentaflow"'

    @property
    def scraped(self) -> str:
        return (
            f'cluster="bench",node="{self.node}",instance="{self.node}",job="{JOB}",'
            f'gpu="{self.number % 8}",uuid="{self.uuid}"'
        )


Values = Callable[[Card], Iterable[float | str]]


def write(out: TextIO, nodes: int, end: int) -> int:
    """Writes OpenMetrics; how many samples there are."""
    rng = random.Random(7)
    cards = [
        Card(number, f"GPU-{uuid.UUID(int=rng.getrandbits(128))}") for number in range(nodes * 8)
    ]
    last_hour = end - 20 * 60  # rules of an hour run at any minute of it
    hours = [f" {last_hour - HOUR * back}\n" for back in range(HOURS - 1, -1, -1)]
    fives = [f" {end - 60 - 300 * back}\n" for back in (1, 0)]
    scrapes = [f" {at}\n" for at in range(end - SAMPLED_SECONDS, end + 1, INTERVAL_SECONDS)]
    written = 0
    for name, labels, values, stamps in _families(cards, rng, hours, fives, scrapes):
        out.write(f"# TYPE {name} gauge\n")
        for card in cards:
            if not (told := labels(card)):
                continue
            prefix = f"{name}{{{told}}} "
            lines = [
                f"{prefix}{value}{stamp}" for value, stamp in zip(values(card), stamps, strict=True)
            ]
            out.writelines(lines)
            written += len(lines)
    for step, stamps in (("1h", hours), ("5m", fives)):
        name = f'agentaflow:recorded_time:seconds{{cluster="bench",exporter="agentaflow",step="{step}"}}'
        out.writelines(f"{name}{stamp[:-1]}{stamp}" for stamp in stamps)
    out.write("# EOF\n")
    return written


def _families(
    cards: list[Card],
    rng: random.Random,
    hours: list[str],
    fives: list[str],
    scrapes: list[str],
) -> Iterator[tuple[str, Callable[[Card], str], Values, list[str]]]:
    def busy(low: float, high: float, scale: float = 1.0) -> Values:
        return lambda card: (
            [0] * HOURS
            if card.idle
            else [f"{rng.uniform(low, high) * scale:.3f}" for _ in range(HOURS)]
        )

    def same(value: float, stamps: list[str]) -> Values:
        line = [value] * len(stamps)
        return lambda _: line

    def recorded(card: Card) -> str:
        return card.recorded

    def powered(card: Card) -> str:
        return f'{card.recorded},reason="sw_power_cap"' if card.number % 3 == 0 else ""

    def sick(card: Card) -> str:
        return f'{card.recorded},xid="79"' if card.number % 500 == 3 else ""

    of_hours: list[tuple[str, Values]] = [
        ("utilization_ratio:max1h", busy(0.6, 1.0)),
        ("utilization_ratio:avg1h", busy(0.2, 0.8)),
        ("utilization_samples:count1h", same(HOUR / INTERVAL_SECONDS, hours)),
        ("utilization_samples:steps1h", same(12, hours)),
        ("present:steps1h", same(12, hours)),
        ("memory_used_bytes:max1h", lambda _: [rng.randrange(10**9, 8 * 10**10)] * HOURS),
        ("pcie_link_width:max1h", same(16, hours)),
        ("sm_active_ratio:max1h", busy(0.5, 0.9)),
        ("sm_active_ratio:avg1h", busy(0.2, 0.5)),
        ("tensor_active_ratio:avg1h", busy(0.1, 0.3)),
    ]
    for name, values in of_hours:
        yield f"agentaflow:gpu_{name}", recorded, values, hours
    yield "agentaflow:gpu_throttled_seconds:increase1h", powered, busy(100, 900), hours
    yield "agentaflow:gpu_xids:increase1h", sick, lambda _: [0] * (HOURS - 3) + [1, 0, 0], hours
    for name, value in (
        ("processes", 1),
        ("power_limit_watts", 700),
        ("power_limit_default_watts", 700),
        ("pcie_link_width_max", 16),
        ("memory_total_bytes", 85e9),
    ):
        yield f"agentaflow:gpu_{name}:last5m", recorded, same(value, fives), fives
    yield "agentaflow:gpu_told:bits5m", recorded, same(BITS, fives), fives
    yield from _samples(rng, scrapes)


def _samples(
    rng: random.Random, scrapes: list[str]
) -> Iterator[tuple[str, Callable[[Card], str], Values, list[str]]]:
    lately = scrapes[-12:]
    ones: Values = lambda _: [1] * len(lately)  # noqa: E731 - a value like its neighbours
    levels = [[f"{rng.uniform(0.2, 0.9):.2f}" for _ in scrapes] for _ in range(97)]
    idle = ["0"] * len(scrapes)
    yield "agentaflow_gpu_up", lambda card: card.scraped, ones, lately
    yield "agentaflow_gpu_info", lambda card: f'{card.scraped},name="{MODEL}"', ones, lately
    yield "agentaflow_gpu_pod_info", _pod, ones, lately
    yield (
        "agentaflow_gpu_utilization_ratio",
        lambda card: f'{card.scraped},engine="gpu"',
        lambda card: idle if card.idle else levels[card.number % 97],
        scrapes,
    )


def _pod(card: Card) -> str:
    pod = f'namespace="team-{card.number % 7}",pod="train-{card.number // 4}",container="main"'
    return f"{card.scraped},{pod}" if card.held else ""
