"""From the families of a scrape to families under other names: conversions, and no call to NVML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from math import inf
from typing import Literal, NamedTuple

from agentaflow_exporter.collectors.info import DRIVER_INFO, GPU_INFO
from agentaflow_exporter.collectors.pods import POD_INFO
from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import Family, Metric

Labels = tuple[str, ...]
Device = tuple[str, ...]  # gpu and uuid
Source = tuple[Metric, Labels]  # a metric of ours and its label values after gpu and uuid


class Field(NamedTuple):
    """A reading under other names. It is absent where one of its sources is."""

    names: tuple[str, ...]  # one for each style
    kind: Literal["gauge", "counter"]
    meaning: str
    unit: str
    convert: Callable[..., Number]
    sources: tuple[Source, ...]


class Style(NamedTuple):
    """Which of a field's names, and its labels."""

    name: int
    labels: tuple[str, ...]


class Translation:
    """Keeps nothing between scrapes: a pure function of the families."""

    def __init__(self, fields: Sequence[Field], style: Style, host: str, *, own: bool) -> None:
        self._fields = [(field, declared(field, style)) for field in fields]
        self._wanted = {metric for field in fields for metric, _ in field.sources}
        self._host = host
        self._own = own

    def __call__(self, families: list[Family]) -> list[Family]:
        readings: dict[Device, dict[Source, Number]] = {}
        for metric, samples in families:
            if metric in self._wanted:
                for key, value in samples.items():
                    readings.setdefault(key[:2], {})[metric, key[2:]] = value
        labels = self._labels(families, readings)
        own = [family for family in families if self._own or not family.metric.collector]
        return own + [family for family in self._families(readings, labels) if family.samples]

    def _families(
        self,
        readings: dict[Device, dict[Source, Number]],
        labels: dict[Device, list[Labels]],
    ) -> Iterable[Family]:
        for field, metric in self._fields:
            samples: dict[Labels, Number] = {}
            for gpu, found in readings.items():
                values = [found[source] for source in field.sources if source in found]
                if len(values) == len(field.sources):
                    samples.update(dict.fromkeys(labels[gpu], field.convert(*values)))
            yield Family(metric, samples)

    def _labels(self, families: list[Family], gpus: Iterable[Device]) -> dict[Device, list[Labels]]:
        """Of each GPU's series: one for each container that holds it, as dcgm-exporter has it."""
        driver = next((row["driver_version"] for row in _rows(families, DRIVER_INFO)), "")
        known = {(row["gpu"], row["uuid"]): row for row in _rows(families, GPU_INFO)}
        holders: dict[Device, dict[Labels, None]] = {}
        for row in _rows(families, POD_INFO):
            pod = row["container"], row["namespace"], row["pod"]
            holders.setdefault((row["gpu"], row["uuid"]), {})[pod] = None
        labels: dict[Device, list[Labels]] = {}
        for index, uuid in gpus:
            info = known.get((index, uuid), {})
            bus, model = info.get("pci_bus_id", ""), info.get("name", "")
            device = index, uuid, bus, f"nvidia{index}", model, self._host, driver
            labels[index, uuid] = [
                (*device, *pod) for pod in holders.get((index, uuid), {("", "", ""): None})
            ]
        return labels


@cache
def declared(field: Field, style: Style) -> Metric:
    """Names and types are the other exporter's, whatever Prometheus' conventions are."""
    return Metric(
        name=field.names[style.name],
        help=f"{field.meaning}{f' ({field.unit})' if field.unit else ''}, "
        f"from {described(field.sources)}.",
        source="",
        since="",
        labels=style.labels,
        collector="",
        kind=field.kind,
        unit="",
        low=0,
        high=inf,
    )


def described(sources: Sequence[Source]) -> str:
    """As selectors of ours; several of one metric by its name alone."""
    if len(sources) > 1:
        return ", ".join(dict.fromkeys(metric.name for metric, _ in sources))
    ((metric, values),) = sources
    pairs = ",".join(f'{k}="{v}"' for k, v in zip(metric.labels[2:], values, strict=True))
    return f"{metric.name}{{{pairs}}}" if pairs else metric.name


def _rows(families: list[Family], wanted: Metric) -> Iterable[dict[str, str]]:
    for metric, samples in families:
        if metric is wanted:
            for key in samples:
                yield dict(zip(metric.labels, key, strict=True))
