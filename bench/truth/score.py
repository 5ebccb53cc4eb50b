"""Verdicts of one kind against the truth."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass

from bench.table import Row, verdict

PRECISION_GOAL, RECALL_GOAL = 0.99, 0.9


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the judged were rightly called so, wrongly called so, and missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    judged: int = 0

    @classmethod
    def of(cls, said: Collection[Hashable], true: Collection[Hashable], judged: int) -> Score:
        said, true = set(said), set(true)
        return cls(len(said & true), len(said - true), len(true - said), judged)

    def __add__(self, other: Score) -> Score:
        return Score(
            self.right + other.right,
            self.wrong + other.wrong,
            self.missed + other.missed,
            self.judged + other.judged,
        )

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    def row(self, what: str) -> Row:
        return {
            "verdicts": what,
            "judged": self.judged,
            "true": self.right + self.missed,
            "right": self.right,
            "wrong": self.wrong,
            "missed": self.missed,
            "precision": round(self.precision, 3),
            "recall": round(self.recall, 3),
        }


def good(what: str, score: Score) -> bool:
    """Prints both figures beside their goals."""
    precision, recall = score.precision >= PRECISION_GOAL, score.recall >= RECALL_GOAL
    verdict(f"{what}: precision {score.precision:.3f}", precision, f"{PRECISION_GOAL}")
    verdict(f"{what}: recall {score.recall:.3f}", recall, f"{RECALL_GOAL}")
    return precision and recall
