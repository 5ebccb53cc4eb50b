"""What a collector is: a name, the NVML fields it wants, and a function from a GPU to readings.

A collector is one file in collectors/ and one line in its `__init__`. It names every NVML call
through `GpuReader`, where a call that fails or is unsupported answers None, and yields
`(metric, label values after gpu and uuid, value)`; a value of None means absent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import Metric

Reading = tuple[Metric, tuple[str, ...], Number | None]


class Pod(NamedTuple):
    """A container that holds a GPU, named by its uuid or by its index."""

    device: str
    namespace: str
    pod: str
    container: str


T = TypeVar("T")
PodSource = Callable[[], Sequence[Pod]]
GpuCount = Callable[[], int | None]  # how many there should be, if anybody knows


@dataclass(frozen=True, slots=True)
class Sources:
    """What is not NVML's to tell. `pods` and `expected` are asked once a scrape and may raise."""

    pods: PodSource = tuple
    expected: GpuCount = lambda: None
    clock: Callable[[], float] = time.monotonic  # seconds


class GpuReader(Protocol):
    """One GPU in one scrape."""

    def read(self, function: str, *arguments: int) -> Any:
        """The answer of an NVML function; None if it is unsupported or failed."""
        ...

    def constant(self, function: str, *arguments: int) -> Any:
        """Like read, of something that does not change while the driver is loaded: asked once."""
        ...

    def shared(self, function: str, *arguments: int) -> Any:
        """Like read, of what several collectors want: asked once a scrape."""
        ...

    def field(self, field_id: int) -> Number | None:
        """The value of one of the collector's `fields`; all collectors' fields are one call."""
        ...

    def mig(self, device: int, function: str, *arguments: int) -> Any:
        """Like read, of the MIG device at an index; None too where there is none."""
        ...

    def once(self, ask: Callable[[GpuReader], T]) -> T:
        """What it says of this GPU, asked once in the scrape for all collectors."""
        ...

    def kept(self, make: Callable[[], T]) -> T:
        """What this collector keeps of this GPU from scrape to scrape, made when it has nothing:
        at first, and anew for another GPU or after the driver was opened again.
        """
        ...

    @property
    def sources(self) -> Sources: ...


class NodeReader(Protocol):
    """The machine in one scrape, after its GPUs."""

    @property
    def gpus(self) -> Sequence[tuple[str, str]]:
        """(index, uuid) of every GPU whose uuid is known."""
        ...

    def read(self, function: str, *arguments: int) -> Any: ...

    @property
    def sources(self) -> Sources: ...


@dataclass(frozen=True, slots=True)
class Collector:
    """`name` is the name of the file, of the flag --collector.NAME and of collect[]=NAME.

    Readings of `gpu` get the labels gpu and uuid; those of `node` bring all their labels.
    """

    name: str
    help: str
    metrics: tuple[Metric, ...]
    gpu: Callable[[GpuReader], Iterator[Reading]] | None = None
    node: Callable[[NodeReader], Iterator[Reading]] | None = None
    fields: tuple[int, ...] = ()
    on: bool = True  # unless a setting says otherwise
    background: bool = False  # loses something where scrapes are too far apart


def scaled(value: Number | None, *, by: int = 1, per: int = 1) -> Number | None:
    """A raw answer in base units; None stays None, and what stays whole stays an int."""
    if value is None:
        return None
    return value * by if per == 1 else value * by / per


def sum_of_all(values: Sequence[Number | None]) -> Number | None:
    """Of all links or of none: a sum without one of them would be a counter that falls."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
