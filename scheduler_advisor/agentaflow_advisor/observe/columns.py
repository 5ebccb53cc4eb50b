"""What was told of each GPU of a fleet, signal by signal: a column has a value for each GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import Any, TypeVar

from agentaflow_advisor.model import PodRef
from agentaflow_advisor.observe.signals import COUNTS, MEASURES
from agentaflow_advisor.observe.sources import Source, Told, tells
from agentaflow_advisor.observe.told import GpuKey, Readings

V = TypeVar("V")
Column = list[float | None]
Counts = Mapping[str, Mapping[str, float]]


class Columns:
    """Where one exporter tells every GPU, as is usual, a column is looked up at once."""

    def __init__(self, found: Sequence[Told]) -> None:
        self._found = found
        self._keys = [told.sources[0][1] for told in found]
        everybody = {id(readings): readings for told in found for readings, _ in told.sources}
        self._only = next(iter(everybody.values())) if len(everybody) == 1 else None
        self._looked: dict[int, list[Any]] = {}  # by the identity of what was looked through

    def values(self, signal: str) -> Column:
        if self._only:
            return self._at_once(self._only.values.get(signal, {}))
        return [told.get(signal) for told in self._found]

    def up(self) -> list[bool | None]:
        """Lost where one of them says so."""
        if self._only:
            return [None if value is None else value == 1.0 for value in self.values("up")]
        every = [told.all("up") for told in self._found]
        return [min(up) == 1.0 if up else None for up in every]

    def models(self) -> list[str | None]:
        return self._first(lambda readings: readings.models)

    def indices(self) -> list[str | None]:
        return self._first(lambda readings: readings.indices)

    def pods(self) -> list[tuple[PodRef, ...]]:
        return [
            tuple(sorted(source[0].pods.get(source[1], ()))) if source else ()
            for source in self.sources("pods")
        ]

    def measures(self) -> list[dict[str, float]]:
        """By name, those that were told. Most have one value throughout a fleet."""
        columns = {name: self.values(name) for name in sorted(MEASURES)}
        only = {name: set(column) for name, column in columns.items()}
        alike = {name: values.pop() for name, values in only.items() if len(values) == 1}
        same = {name: value for name, value in alike.items() if value is not None}
        found = [same.copy() for _ in self._found]
        for name in columns.keys() - alike.keys():
            for measures, value in zip(found, columns[name], strict=True):
                if value is not None:
                    measures[name] = value
        return found

    def counts(self) -> list[Counts]:
        """A name that is there was told, even where it holds no number."""
        found: list[dict[str, Mapping[str, float]]] = [{} for _ in self._found]
        for name, counted in COUNTS.items():
            for counts, numbers in zip(found, self._numbers(name), strict=True):
                if numbers is not None:
                    if not counted.zeros:
                        numbers = {label: n for label, n in numbers.items() if n}
                    counts[name] = numbers
        return list(found)

    def sources(self, signal: str) -> list[Source | None]:
        """Who is heard on it."""
        if self._only:
            return [(self._only, key) for key in self._keys]
        return [told.source(signal) for told in self._found]

    def _numbers(self, name: str) -> Sequence[Mapping[str, float] | None]:
        if self._only:
            return self._at_once(self._only.counts.get(name, {}))
        return [
            source[0].counts[name][source[1]] if source and tells(source, name) else None
            for source in self.sources(name)
        ]

    def _first(self, texts: Callable[[Readings], Mapping[GpuKey, str]]) -> list[str | None]:
        """Of the first who told it."""
        if self._only:
            return self._at_once(texts(self._only))
        return [
            next((texts(one)[key] for one, key in told.sources if key in texts(one)), None)
            for told in self._found
        ]

    def _at_once(self, values: Mapping[GpuKey, V]) -> list[V | None]:
        """Several signals may have one mapping: it is looked through once."""
        if not values:
            return [None] * len(self._keys)
        if id(values) not in self._looked:
            in_order = len(values) == len(self._keys) and all(map(is_, values, self._keys))
            column = values.values() if in_order else map(values.get, self._keys)
            self._looked[id(values)] = list(column)
        return self._looked[id(values)]
