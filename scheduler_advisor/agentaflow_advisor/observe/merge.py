"""Several exporters' readings become one fleet: a GPU that several tell is one GPU.

A UUID names one card on earth. Who tells it is decided for the whole GPU, not signal by signal:
who told its utilization, has a sample now, and comes first in DIALECTS. Another is heard where
that one is silent on a family of signals, and where it saw more use: the higher use counts, as with
two targets of one exporter. Where they disagree about what or where the GPU is, a refusal says so.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

from agentaflow_advisor.model import ClusterState, Refusal
from agentaflow_advisor.observe.dialects import DIALECTS
from agentaflow_advisor.observe.sources import Source, Told, tells
from agentaflow_advisor.observe.told import GpuKey, Readings

RANK = {dialect.name: rank for rank, dialect in enumerate(DIALECTS)}
NOTABLE_RATIO = 0.05  # of utilization: two exporters sample at other moments, and DCGM rounds
Identity = tuple[str, str]  # cluster and uuid


def merge(
    readings: Sequence[Readings], state: ClusterState | None
) -> tuple[list[Told], list[Refusal]]:
    """Every GPU once, by its place, and what was said of one card under several names."""
    known = {node.name for node in state.nodes} if state else set()
    notes: list[Refusal] = []
    sources: dict[Identity, tuple[Source, ...]] = {}
    for each in readings:
        kept, more = _one_place_each(each, known)
        notes += more
        for identity, key in kept.items():
            sources[identity] = (*sources.get(identity, ()), (each, key))
    found = [
        _told(group, known, notes) if len(group) > 1 else Told(group[0][1], group)
        for group in _one_cluster_each(sources, notes)
    ]
    notes += _moved(found)
    notes += _ahead(found)
    in_order = sorted(notes, key=lambda note: (note.subject, note.reason))
    return sorted(found, key=attrgetter("key")), in_order


def _one_place_each(
    readings: Readings, known: Collection[str]
) -> tuple[dict[Identity, GpuKey], list[Refusal]]:
    """Of one exporter: two nodes that show a card are one GPU under two names."""
    kept: dict[Identity, GpuKey] = {}
    places: defaultdict[Identity, set[GpuKey]] = defaultdict(set)
    for key in readings.gpus():
        identity = key.cluster, key.uuid
        if (other := kept.setdefault(identity, key)) is not key:
            places[identity] |= {other, key}

    def preference(key: GpuKey) -> tuple[bool, bool, float, str]:
        age = readings.get("utilization_age", key)
        here = readings.get("up", key)
        return (key.node not in known, here is None, math.inf if age is None else age, key.node)

    notes: list[Refusal] = []
    for identity, candidates in places.items():
        best, *others = sorted(candidates, key=preference)
        kept[identity] = best
        names = ", ".join(other.node for other in others)
        notes.append(
            Refusal(
                f"GPU {best.uuid}",
                f"is seen on {best.node} and on {names}: counted once, on {best.node}; "
                "give its targets one node label",
            )
        )
    return kept, notes


def _one_cluster_each(
    sources: Mapping[Identity, tuple[Source, ...]], notes: list[Refusal]
) -> Iterable[tuple[Source, ...]]:
    """A card without a cluster label is the one with that label, where there is just one."""
    if all(cluster for cluster, _ in sources):
        yield from sources.values()
        return
    named: defaultdict[str, list[str]] = defaultdict(list)
    for cluster, uuid in sources:
        if cluster:
            named[uuid].append(cluster)
    for (cluster, uuid), group in sources.items():
        homes = named.get(uuid, [])
        if cluster:
            yield (*group, *(sources.get(("", uuid), ()) if len(homes) == 1 else ()))
        elif len(homes) != 1:
            yield group
        if not cluster and len(homes) > 1:
            said = f"is told without a cluster label, and in {' and '.join(sorted(homes))}: "
            why = "counted for each; give its targets the label"
            notes.append(Refusal(f"GPU {uuid}", said + why))


def _told(group: Sequence[Source], known: Collection[str], notes: list[Refusal]) -> Told:
    """One GPU by all who tell it, in order of preference."""

    def preference(source: Source) -> tuple[bool, bool, int]:
        measured, here = (tells(source, f"utilization_{what}") for what in ("samples", "age"))
        return (not measured, not here, RANK[source[0].dialect])

    def place(source: Source) -> tuple[bool, bool]:
        readings, key = source
        return (key.node not in known, key in readings.stood_in)

    ordered = sorted(group, key=preference)
    key = min(ordered, key=place)[1]
    cluster = next((source[1].cluster for source in ordered if source[1].cluster), "")
    told = Told(key._replace(cluster=cluster), tuple(ordered))
    return _named(_higher(told, notes), notes)


def _higher(told: Told, notes: list[Refusal]) -> Told:
    """With the one that saw notably more use in front."""
    first, *others = told.sources
    seen = [source[0].get("utilization_max", source[1]) or 0.0 for source in told.sources]
    most = max(range(len(seen)), key=lambda index: seen[index])
    if not others or seen[most] <= seen[0] + NOTABLE_RATIO:
        return told
    busiest = told.sources[most]
    notes.append(
        Refusal(
            f"GPU {told.key.uuid}",
            f"{first[0].dialect} saw at most {seen[0]:.0%} of utilization, "
            f"{busiest[0].dialect} {seen[most]:.0%}: the higher counts",
        )
    )
    rest = tuple(source for source in told.sources if source is not busiest)
    return replace(told, sources=(busiest, *rest))


def _named(told: Told, notes: list[Refusal]) -> Told:
    """In doubt where exporters call the card by different names."""
    models = {
        readings.dialect: readings.models[key]
        for readings, key in told.sources
        if key in readings.models
    }
    if len({_plain(model) for model in models.values()}) <= 1:
        return told
    said = ", ".join(f"{dialect} calls it {model}" for dialect, model in models.items())
    doubt = f"exporters disagree about what it is: {said}"
    notes.append(Refusal(f"GPU {told.key.uuid}", doubt))
    return replace(told, doubt=doubt)


def _plain(model: str) -> str:
    return model.casefold().removeprefix("nvidia ").replace("-", " ")


def _moved(found: Iterable[Told]) -> list[Refusal]:
    """A line for each node that exporters call differently; a stand-in's name claims nothing."""
    names: Counter[tuple[str, str, str, str]] = Counter()
    for told in found:
        for readings, key in told.sources:
            if key.node != told.key.node and key not in readings.stood_in:
                names[_place(told), told.dialect, key.node, readings.dialect] += 1
    return [
        Refusal(
            f"node {node}",
            f"{count} GPUs are told on {other} by {theirs}: counted once, on {node}; "
            "give the targets of all exporters one node label",
        )
        for (node, _, other, theirs), count in sorted(names.items())
    ]


def _ahead(found: list[Told]) -> list[Refusal]:
    """GPUs with samples in the future: how old the newest one is cannot be told."""
    nodes: Counter[str] = Counter()
    for index, told in enumerate(found):
        if told.get("utilization_ahead"):
            nodes[_place(told)] += 1
            doubt = "its samples are ahead of Prometheus' clock: set the clocks right"
            found[index] = replace(told, doubt=told.doubt or doubt)
    return [
        Refusal(
            f"node {node}",
            f"{count} GPUs have samples more than 1 min ahead of Prometheus' clock: set the "
            "clock of whoever stamps them",
        )
        for node, count in sorted(nodes.items())
    ]


def _place(told: Told) -> str:
    """Its node, and the cluster where it has one: nodes of two clusters may share a name."""
    return f"{told.key.cluster}/{told.key.node}" if told.key.cluster else told.key.node
