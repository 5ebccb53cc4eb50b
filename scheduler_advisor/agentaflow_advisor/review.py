"""Advice joined with its history: every look is written down, and what people hid is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from agentaflow_advisor.advice import Advice
from agentaflow_advisor.decide.errors import JournalError, JournalUnwritable
from agentaflow_advisor.history import History, Life, Look
from agentaflow_advisor.model import Gpu
from agentaflow_advisor.savings import saved
from agentaflow_advisor.settings import Settings


def review(
    settings: Settings, advice: Advice, *, actor: str, record: bool = True
) -> tuple[Advice, str | None]:
    """The advice with its lives, and a line about a history that could not be written or read.

    Advice does not depend on a disk: without a history nothing is hidden and nothing has an age.
    """
    path = settings.history_file
    try:
        if record:
            with History(path) as history:
                return _recorded(settings, advice, history, actor), None
        return replace(advice, lives=_known(path, advice)), None
    except JournalUnwritable as error:
        return replace(advice, lives=_if_readable(path, advice)), _line(error)
    except JournalError as error:
        return advice, _line(error)


class Judged:
    """Whether a look could judge what an earlier recommendation is about.

    It was seen, its analysis ran, and nothing about it was refused: then silence is an answer.
    """

    def __init__(self, advice: Advice) -> None:
        self._outcome = advice.outcome
        self._snapshot = advice.snapshot
        self._looking = frozenset(refusal.subject for refusal in advice.snapshot.refusals)

    @cached_property
    def _gpus(self) -> Mapping[tuple[str, ...], list[Gpu]]:
        """By cluster, by node and alone."""
        found: defaultdict[tuple[str, ...], list[Gpu]] = defaultdict(list)
        for gpu in self._snapshot.gpus:
            for place in ((gpu.cluster, gpu.node, gpu.uuid), (gpu.cluster, gpu.node)):
                found[place].append(gpu)
            found[gpu.cluster,].append(gpu)
        return found

    def __call__(self, life: Life) -> bool:
        if life.analysis in self._outcome.silent or self._snapshot.missing.why(life.where.cluster):
            return False
        refused = self._looking | self._outcome.refused.get(life.analysis, frozenset())
        where = life.where
        place = (where.cluster, *(part for part in (where.node, where.uuid) if part))
        gpus = self._gpus.get(place, [])
        return bool(gpus) and all(refused.isdisjoint(_subjects(gpu)) for gpu in gpus)


def _subjects(gpu: Gpu) -> tuple[str, ...]:
    """What a refusal may call the GPU, or something that it is part of."""
    node = f"{gpu.cluster}/{gpu.node}" if gpu.cluster else gpu.node
    around = (f"node {node}", f"node {gpu.node}", f"cluster {gpu.cluster}".strip(), "fleet")
    return (gpu.name, f"GPU {gpu.uuid}", *around)


def scope(settings: Settings) -> str:
    """Whose sums compare: the same Prometheus over the same window."""
    return f"{settings.prometheus_url} over {settings.window_seconds:g} s"


def _recorded(settings: Settings, advice: Advice, history: History, actor: str) -> Advice:
    look = Look(
        at=advice.snapshot.taken_at,
        recommendations=advice.recommendations,
        analyses=advice.outcome.found_by,
        judged=Judged(advice),
        scope=scope(settings),
        gone_after_seconds=settings.recommendation_gone_after_seconds,
    )
    reviewed = replace(advice, lives=history.record(look, actor=actor))
    active = reviewed.active
    if not advice.snapshot.missing:  # a sum without a cluster would look like a saving made
        history.remember(replace(look, together=saved(active), shown=len(active)))
    return reviewed


def _known(path: Path, advice: Advice) -> Mapping[str, Life]:
    if not path.exists():
        return {}
    with History(path, read_only=True) as history:
        return history.of(each.id for each in advice.recommendations)


def _if_readable(path: Path, advice: Advice) -> Mapping[str, Life]:
    try:
        return _known(path, advice)
    except JournalError:
        return {}


def _line(error: JournalError) -> str:
    return f"{error}; the advice is whole, but its age is not kept"
