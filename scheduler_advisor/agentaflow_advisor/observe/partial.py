"""Partial responses: which clusters an answer lacks, by what Thanos warns and how its stores are.

Thanos names the store that failed, by its labels or by its address alone. A store that failed its
health check is not asked at all, without a warning: only the list of stores tells.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentaflow_advisor.model import Missing, Refusal
from agentaflow_advisor.observe.errors import one_line

REMARKS = ("PromQL info", "PromQL warning")
"""How Prometheus' annotations begin: about the query, not about what is missing."""
NOTHING_MATCHED = "No StoreAPIs matched"
"""Older Thanos says so of every query beyond what its stores hold, as one of the future is."""
FUTURE = "utilization_ahead"

_SET = r'\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}'
_SETS = rf"{_SET}(?:, ?{_SET})*"
_STORE = re.compile(rf"(?:({_SETS}) )?Addr: (\S+)(?: LabelSets: ({_SETS}))?")
_CLUSTER = re.compile(r'[{,] ?cluster="((?:[^"\\]|\\.)*)"')

Warned = tuple[str, str]
"""What was asked for, and what the answer warned of."""
Sets = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Store:
    """Something that Thanos asks: a sidecar, a store gateway, another Thanos Query."""

    address: str
    label_sets: tuple[Mapping[str, str], ...]  # external labels of what it holds
    error: str = ""  # of its last health check: it is not asked then


def stores_in(data: object) -> tuple[Store, ...]:
    """The `data` of /api/v1/stores; what is not understood is left out."""
    found: list[Store] = []
    groups = data.values() if isinstance(data, dict) else ()
    for each in (store for group in groups if isinstance(group, list) for store in group):
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            sets = tuple(
                labels for labels in each.get("labelSets") or () if isinstance(labels, dict)
            )
            found.append(Store(each["name"], sets, one_line(each.get("lastError") or "")))
    return tuple(found)


def missing(warned: Iterable[Warned], stores: Sequence[Store]) -> Missing:
    """The clusters that cannot be vouched for; all of them where a store is of no known cluster."""
    by_address = {store.address: store.label_sets for store in stores}
    reasons: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    for subject, text in warned:
        if _is_partial(subject, text):
            for cluster in _clusters_of(text, by_address) or (None,):
                reasons[cluster][text] += 1
    for store in stores:
        if store.error and store.label_sets:
            said = f"Thanos does not ask its store {store.address}: {store.error}"
            for cluster in _clusters_in(store.label_sets) or (None,):
                reasons[cluster][said] += 1
    anywhere = _why("of a cluster that it does not name", reasons.pop(None, Counter()))
    clusters = {
        name: _why(f"of cluster {name}", told) for name, told in reasons.items() if name is not None
    }
    return Missing(clusters, anywhere)


def refusals(lost: Missing) -> list[Refusal]:
    """A line for each cluster, or one for the fleet."""
    fleet = [Refusal("fleet", lost.anywhere)] if lost.anywhere else []
    return [
        *fleet,
        *(Refusal(f"cluster {name}", why) for name, why in sorted(lost.clusters.items())),
    ]


def remarks(warned: Iterable[Warned]) -> list[Refusal]:
    """Prometheus' warnings about the queries themselves."""
    return [
        Refusal(f"signal {subject}", f"Prometheus warns: {one_line(text)}")
        for subject, text in warned
        if text.startswith(REMARKS[1])
    ]


def _is_partial(subject: str, text: str) -> bool:
    return not text.startswith(REMARKS) and not (subject == FUTURE and NOTHING_MATCHED in text)


def _clusters_of(text: str, stores: Mapping[str, Sets]) -> frozenset[str]:
    """Of every store that a warning names; empty where the outermost is not known by its labels."""
    found: frozenset[str] = frozenset()
    for depth, store in enumerate(_STORE.finditer(text)):
        before, address, after = store.groups()
        told = before or after
        clusters = _clusters_in_text(told) if told else _clusters_in(stores.get(address, ()))
        if depth == 0 and not clusters:
            return frozenset()
        found |= clusters
    return found


def _clusters_in_text(told: str) -> frozenset[str]:
    sets = re.findall(_SET, told)
    named = [_CLUSTER.search(one) for one in sets]
    return frozenset(_plain(one[1]) for one in named if one) if all(named) else frozenset()


def _clusters_in(sets: Sets) -> frozenset[str]:
    """Empty where one of them has no cluster: it may hold anything."""
    names = [one.get("cluster", "") for one in sets]
    return frozenset(names) if all(names) else frozenset()


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)


def _why(what: str, told: Mapping[str, int]) -> str:
    """A sentence with the most frequent reason; empty without one."""
    if not told:
        return ""
    text, count = max(told.items(), key=lambda item: (item[1], item[0]))
    why = f"a partial response leaves out parts {what}, so nothing there is judged"
    return f"{why}: {one_line(text)}" + (f" ({count} times)" if count > 1 else "")
