"""The hard filters for all nodes at once: pods with equal selectors and tolerations share them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from agentaflow_advisor.model import Missing, Node, Toleration, Workload
from agentaflow_advisor.place.feasibility import closed, mismatch, untolerated
from agentaflow_advisor.place.fleet import Booleans, Integers

_Class = tuple[tuple[Toleration, ...], tuple[tuple[str, str], ...]]
_NONE = -1  # a node without the label


class Passed(NamedTuple):
    """Which nodes a class of pods may use, capacity aside, and of how many others which reason
    holds first.
    """

    able: Booleans
    refused: Counter[str]


class Filters:
    """What `feasibility.refusal` says of each node, and that a cluster was not told whole."""

    def __init__(self, nodes: Sequence[Node], missing: Missing) -> None:
        self._words = [""]  # by code; 0 is no reason
        self._code_of: dict[str, int] = {"": 0}
        self._nodes = nodes
        self._first = self._codes(closed(node) for node in nodes)
        self._last = self._codes(missing.why(node.cluster) for node in nodes)
        self._taints = tuple(dict.fromkeys(node.taints for node in nodes))
        number = {taints: index for index, taints in enumerate(self._taints)}
        self._taints_of = _integers(number[node.taints] for node in nodes)
        self._labels: dict[str, tuple[dict[str, int], Integers]] = {}
        self._passed: dict[_Class, Passed] = {}

    def of(self, pod: Workload) -> Passed:
        """For the class that the pod is of: not to be changed."""
        which = (pod.tolerations, tuple(sorted(pod.node_selector.items())))
        found = self._passed.get(which)
        if found is None:
            found = self._passed[which] = self._judge(*which)
        return found

    def _judge(
        self, tolerations: Sequence[Toleration], selector: Sequence[tuple[str, str]]
    ) -> Passed:
        by_taints = self._codes(untolerated(tolerations, taints) for taints in self._taints)
        codes = np.where(self._first, self._first, by_taints[self._taints_of])
        for key, value in selector:
            values, column = self._label(key)
            other = column != values.get(value, len(values))
            codes = np.where((codes == 0) & other, self._code(mismatch(key, value)), codes)
        codes = np.where(codes, codes, self._last)
        counts = np.bincount(codes, minlength=1).tolist()
        refused = {self._words[code]: many for code, many in enumerate(counts) if code and many}
        return Passed(codes == 0, Counter(refused))

    def _label(self, key: str) -> tuple[dict[str, int], Integers]:
        """Number by value, and each node's."""
        if key not in self._labels:
            self._labels[key] = numbered(node.labels.get(key) for node in self._nodes)
        return self._labels[key]

    def _codes(self, reasons: Iterable[str | None]) -> Integers:
        return _integers(self._code(reason or "") for reason in reasons)

    def _code(self, reason: str) -> int:
        code = self._code_of.setdefault(reason, len(self._words))
        if code == len(self._words):
            self._words.append(reason)
        return code


def numbered(values: Iterable[str | None]) -> tuple[dict[str, int], Integers]:
    """Number by value, and the number of each; -1 for None."""
    number: dict[str, int] = {}
    column = _integers(
        _NONE if value is None else number.setdefault(value, len(number)) for value in values
    )
    return number, column


def _integers(values: Iterable[int]) -> Integers:
    return np.fromiter(values, dtype=np.int64)
