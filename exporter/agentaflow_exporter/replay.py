"""Answers from a recording, over and over: a real machine's GPUs on a machine that has none."""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentaflow_exporter.driver import Number
from agentaflow_exporter.recording import (
    FIELDS,
    FORMAT,
    SAMPLES,
    VERSION,
    RecordingError,
    from_json,
)

_Call = tuple[int | None, int | None, str, tuple[int, ...]]  # GPU, MIG device, …


class ReplayDriver:
    """Raises RecordingError where the recording is none. Counters start anew with each round."""

    def __init__(
        self, recording: Mapping[str, Any], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._started = clock()
        self._answers: dict[_Call, tuple[list[float], list[Any]]] = {}
        try:
            if (recording.get("format"), recording.get("version")) != (FORMAT, VERSION):
                raise RecordingError(f"no {FORMAT} of version {VERSION}: record it again")
            self._seconds = max(float(recording["seconds"]), 0.001)
            self._gpus = [
                ReplayGpu(self, int(g["index"]), str(g["uuid"])) for g in recording["gpus"]
            ]
            for call in sorted(recording["calls"], key=lambda call: float(call["at"])):
                key = (
                    call["gpu"],
                    call.get("mig"),
                    str(call["function"]),
                    tuple(call["arguments"]),
                )
                times, answers = self._answers.setdefault(key, ([], []))
                times.append(float(call["at"]))
                answers.append(call["answer"])
        except (KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"damaged recording: {type(error).__name__}: {error}") from error

    @classmethod
    def load(cls, path: Path) -> ReplayDriver:
        try:
            recording = json.loads(path.read_text(encoding="utf-8"))
            return cls(recording if isinstance(recording, dict) else {})
        except OSError as error:
            raise RecordingError(
                f"{path}: {error.strerror}: give what `agentaflow-exporter record` wrote"
            ) from error
        except ValueError as error:
            raise RecordingError(f"{path}: not JSON: {error}: record it again") from error
        except RecordingError as error:
            raise RecordingError(f"{path}: {error}") from error

    def open(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Nothing to let go of."""

    def gpus(self) -> Sequence[ReplayGpu]:
        return self._gpus

    def read(self, function: str, *arguments: int) -> Any:
        return self.answer(None, function, arguments)

    def answer(
        self, gpu: int | None, function: str, arguments: tuple[int, ...], mig: int | None = None
    ) -> Any:
        """The last answer up to this point of the recording, or None where there was none."""
        answers, count = self._past((gpu, mig, function, arguments))
        return from_json(answers[count - 1]) if answers else None

    def samples(self, gpu: int, sampling_type: int, last_seen: int) -> Any:
        """Those of all answers up to this point, as far as they are newer."""
        answers, count = self._past((gpu, None, SAMPLES, (sampling_type,)))
        if not answers or not isinstance(answers[count - 1], list):
            return from_json(answers[count - 1]) if answers else None
        lists = (answer for answer in answers[:count] if isinstance(answer, list))
        return sorted(
            {(stamp, value) for one in lists for stamp, value in one if stamp > last_seen}
        )

    def _past(self, call: _Call) -> tuple[list[Any], int]:
        """A call's answers, and how many of them were given up to this point: at least one."""
        times, answers = self._answers.get(call, ([], []))
        position = bisect_right(times, (self._clock() - self._started) % self._seconds)
        return answers, max(1, position)


class ReplayGpu:
    def __init__(self, driver: ReplayDriver, index: int, uuid: str) -> None:
        self.index = index
        self.uuid = uuid
        self._driver = driver

    def read(self, function: str, *arguments: int) -> Any:
        if function == SAMPLES:
            return self._driver.samples(self.index, *arguments)
        return self._driver.answer(self.index, function, arguments)

    def read_mig(self, device: int, function: str, *arguments: int) -> Any:
        return self._driver.answer(self.index, function, arguments, device)

    def fields(self, *ids: int) -> Mapping[int, Number]:
        answers = {i: self._driver.answer(self.index, FIELDS, (i,)) for i in ids}
        return {field_id: value for field_id, value in answers.items() if value is not None}
