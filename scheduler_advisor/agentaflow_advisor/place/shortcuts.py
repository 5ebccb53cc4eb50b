"""Shortcuts through a plan: of two moves through one place, one is enough.

Where a pod leaves a place and another of the same size comes to it, before or after, the first may
stay and the other go where the first would have gone; likewise where one pod moves twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from agentaflow_advisor.place.board import Pod, Step
from agentaflow_advisor.place.ledger import Ledger

May = Callable[[int, int], bool]
"""Whether a pod may go to a row at all."""


def shortened(ledger: Ledger, pods: Sequence[Pod], may: May, steps: Sequence[Step]) -> list[Step]:
    """The plan with every shortcut after which all its other steps can still be taken."""
    found: list[Step] = list(steps)
    tried: set[tuple[Step, Step]] = set()
    while (shorter := _shorter(ledger, pods, may, found, tried)) is not None:
        found = shorter
    return found


def _shorter(
    ledger: Ledger, pods: Sequence[Pod], may: May, steps: list[Step], tried: set[tuple[Step, Step]]
) -> list[Step] | None:
    for comes, leaves in _through(pods, steps):
        both = (steps[comes], steps[leaves])
        if both in tried or not may(steps[comes].pod, steps[leaves].row):
            continue
        tried.add(both)
        for at in (comes, leaves):
            shorter = _merged(pods, steps, comes, leaves, at)
            if shorter is not None and ledger.possible(shorter):
                return shorter
    return None


def _through(pods: Sequence[Pod], steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    """Indices of two steps: one pod comes to a place that another of its size leaves, or it."""
    leaving: defaultdict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    place = {step.pod: (pods[step.pod].row, pods[step.pod].slots) for step in steps}
    for index, step in enumerate(steps):
        leaving[place[step.pod]].append(index)
        place[step.pod] = (step.row, step.slots)
    for comes, step in enumerate(steps):
        for leaves in leaving[step.row, step.slots]:
            one, other = pods[step.pod], pods[steps[leaves].pod]
            if not one.gang and not other.gang and _size(one) == _size(other):
                yield comes, leaves


def _size(pod: Pod) -> tuple[int, int]:
    return pod.demand.gpus, pod.demand.share


def _merged(
    pods: Sequence[Pod], steps: Sequence[Step], comes: int, leaves: int, at: int
) -> list[Step] | None:
    """The pod that comes goes on at once, `at` one of the two steps, and the other stays.

    From then on each does what the other would have done. None where one of them moves meanwhile,
    or where a pod that waited would have to move again.
    """
    comer, leaver = steps[comes].pod, steps[leaves].pod
    first, last = sorted((comes, leaves))
    both = (comer, leaver)
    if any(step.pod in both for step in steps[first + 1 : last]):
        return None
    if comer == leaver and leaves < comes:
        return None
    later = list(steps[last + 1 :])
    if comer != leaver:
        if any(pods[pod].row < 0 for pod in both) and any(step.pod in both for step in later):
            return None
        swap = {comer: leaver, leaver: comer}
        later = [step._replace(pod=swap.get(step.pod, step.pod)) for step in later]
    one = [Step(comer, steps[leaves].row, steps[leaves].slots)]
    before, between = list(steps[:first]), list(steps[first + 1 : last])
    return [*before, *one, *between, *later] if at == first else [*before, *between, *one, *later]
