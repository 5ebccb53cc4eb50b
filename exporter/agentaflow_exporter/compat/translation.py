"""From the families of a scrape to families under other names: conversions, and no call to NVML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from math import inf
from typing import Literal, NamedTuple

from agentaflow_exporter.collectors.info import DRIVER_INFO, GPU_INFO
from agentaflow_exporter.collectors.mig import MIG_INFO
from agentaflow_exporter.collectors.pods import POD_INFO
from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import Family, Metric

Labels = tuple[str, ...]
Device = tuple[str, ...]  # gpu and uuid
Target = tuple[Device, str]  # a GPU; where it is cut, a GPU instance of it
Source = tuple[Metric, Labels]  # a metric of ours and its label values after gpu and uuid
_OF_COMPUTE_INSTANCE = re.compile(r"^\d+c\.")


class Field(NamedTuple):
    """A reading under other names. It is absent where one of its sources is.

    Of a GPU instance it is made from `of_instance`, whose label values come after gpu_instance; it
    is absent where that is empty, and the GPU's own where that is None.
    """

    names: tuple[str, ...]  # one for each style
    kind: Literal["gauge", "counter"]
    meaning: str
    unit: str
    convert: Callable[..., Number]
    sources: tuple[Source, ...]
    of_instance: tuple[Source, ...] | None = None

    def value(self, found: Mapping[Source, Number], instance: str) -> Number | None:
        sources = self.sources
        if instance and self.of_instance is not None:
            sources = tuple((metric, (instance, *rest)) for metric, rest in self.of_instance)
        values = [found[source] for source in sources if source in found]
        return self.convert(*values) if values and len(values) == len(sources) else None


class Style(NamedTuple):
    """Which of a field's names, and its labels; those that are there where a GPU is cut."""

    name: int
    labels: tuple[str, ...]
    labels_if_cut: tuple[str, ...]


class Translation:
    """Keeps nothing between scrapes: a pure function of the families."""

    def __init__(self, fields: Sequence[Field], style: Style, host: str, *, own: bool) -> None:
        self._fields = fields
        self._style = style
        self._metrics: dict[bool, list[Metric]] = {}
        self._wanted = {
            metric for field in fields for metric, _ in (*field.sources, *(field.of_instance or ()))
        }
        self._host = host
        self._own = own

    def __call__(self, families: list[Family]) -> list[Family]:
        readings: dict[Device, dict[Source, Number]] = {}
        for metric, samples in families:
            if metric in self._wanted:
                for key, value in samples.items():
                    readings.setdefault(key[:2], {})[metric, key[2:]] = value
        profiles = _profiles(families)
        targets = self._targets(families, readings, profiles)
        own = [family for family in families if self._own or not family.metric.collector]
        translated = self._families(readings, targets, cut=bool(profiles))
        return own + [family for family in translated if family.samples]

    def _families(
        self,
        readings: Mapping[Device, Mapping[Source, Number]],
        targets: Mapping[Target, Sequence[Labels]],
        *,
        cut: bool,
    ) -> Iterable[Family]:
        if cut not in self._metrics:
            self._metrics[cut] = [declared(field, self._style, cut=cut) for field in self._fields]
        for field, metric in zip(self._fields, self._metrics[cut], strict=True):
            samples: dict[Labels, Number] = {}
            for (gpu, instance), labels in targets.items():
                value = field.value(readings[gpu], instance)
                if value is not None:
                    samples.update(dict.fromkeys(labels, value))
            yield Family(metric, samples)

    def _targets(
        self,
        families: list[Family],
        gpus: Iterable[Device],
        profiles: Mapping[Device, Mapping[str, str]],
    ) -> dict[Target, list[Labels]]:
        """The labels of their series: a GPU that is cut has those of its instances only, and each
        has one for each container that holds it, as dcgm-exporter has it.
        """
        driver = next((row["driver_version"] for row in _rows(families, DRIVER_INFO)), "")
        known = {(row["gpu"], row["uuid"]): row for row in _rows(families, GPU_INFO)}
        holders = _holders(families)
        targets: dict[Target, list[Labels]] = {}
        for gpu in gpus:
            info = known.get((gpu[0], gpu[1]), {})
            device = (*gpu, info.get("pci_bus_id", ""), f"nvidia{gpu[0]}", info.get("name", ""))
            for instance, profile in profiles.get(gpu, {"": ""}).items():
                part = (profile, instance) if profiles else ()
                targets[gpu, instance] = [
                    (*device, *part, self._host, driver, *pod)
                    for pod in _pods(holders.get(gpu, ()), instance)
                ]
        return targets


def _profiles(families: list[Family]) -> dict[Device, dict[str, str]]:
    """Of the GPU instances of each GPU that is cut: 1c.3g.40gb is a part of one of 3g.40gb."""
    profiles: dict[Device, dict[str, str]] = {}
    for row in _rows(families, MIG_INFO):
        instances = profiles.setdefault((row["gpu"], row["uuid"]), {})
        instances[row["gpu_instance"]] = _OF_COMPUTE_INSTANCE.sub("", row["profile"])
    return profiles


def _holders(families: list[Family]) -> dict[Device, list[tuple[str, Labels]]]:
    """The containers that hold a GPU, or the instance of it that comes before them."""
    holders: dict[Device, list[tuple[str, Labels]]] = {}
    for row in _rows(families, POD_INFO):
        pod = row["container"], row["namespace"], row["pod"]
        holders.setdefault((row["gpu"], row["uuid"]), []).append((row["gpu_instance"], pod))
    return holders


def _pods(holders: Sequence[tuple[str, Labels]], instance: str) -> Iterable[Labels]:
    """Who holds the GPU holds its instances, and the other way round; without repetitions."""
    found = (pod for held, pod in holders if not (held and instance) or held == instance)
    return dict.fromkeys(found) or [("", "", "")]


def declared(field: Field, style: Style, *, cut: bool = False) -> Metric:
    """The same one each time. `cut`: with the labels of instances."""
    return _declared(field, style.name, style.labels_if_cut if cut else style.labels)


@cache
def _declared(field: Field, name: int, labels: Labels) -> Metric:
    """Names and types are the other exporter's, whatever Prometheus' conventions are."""
    return Metric(
        name=field.names[name],
        help=f"{field.meaning}{f' ({field.unit})' if field.unit else ''}, "
        f"from {described(field.sources)}.",
        source="",
        since="",
        labels=labels,
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
    labels = [label for label in metric.labels[2:] if label != "gpu_instance"]
    pairs = ",".join(f'{k}="{v}"' for k, v in zip(labels, values, strict=True))
    return f"{metric.name}{{{pairs}}}" if pairs else metric.name


def _rows(families: list[Family], wanted: Metric) -> Iterable[dict[str, str]]:
    for metric, samples in families:
        if metric is wanted:
            for key in samples:
                yield dict(zip(metric.labels, key, strict=True))
