"""nvmlGpmMetricsGet: what the GPU measured between two samples, which are kept and used again."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

import pynvml

from agentaflow_exporter.driver import WHOLE_GPU, DriverError
from agentaflow_exporter.nvml.errors import UNSUPPORTED, partly, refuse
from agentaflow_exporter.nvml.functions import function as function_named

NAME = "nvmlGpmMetricsGet"
_METRIC = struct.Struct("=Iid24x")  # nvmlGpmMetric_t: pynvml's own access costs 14 times this
_SHORTEST_SECONDS = 0.1  # NVML's own lower bound
_LONGEST_SECONDS = 600.0

Answer = list[tuple[int, float]]


class Gpm:
    """That of one GPU and of its GPU instances, for one thread at a time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._supported: bool | None = None
        self._windows: dict[int, _Window] = {}

    def read(self, handle: Any, gpu_instance: int, *ids: int) -> Answer | None:
        """(id, value) of the metrics that are supported; none at all before the second sample.

        Who asks again within 0.1 s is told the same again. Raises FieldsFailed where single
        metrics failed, or another DriverError.
        """
        if not self._is_supported(handle):
            return None
        window = self._windows.get(gpu_instance)
        if window is None:
            window = self._windows[gpu_instance] = _Window(gpu_instance)
        answer = None
        if window.sample(handle, self._clock()):
            answer = window.metrics(self._request, ids)
        if answer is None:  # no such GPU instance any more, or the GPU was just cut into some
            self._windows.pop(gpu_instance).free()
        return answer

    def ask_again(self) -> None:
        """For what was not supported so far, from a new first sample on."""
        self._supported = None
        self.close()

    def close(self) -> None:
        while self._windows:
            self._windows.popitem()[1].free()

    @cached_property
    def _request(self) -> _Request:
        return _Request()

    def _is_supported(self, handle: Any) -> bool:
        if self._supported is None:
            answer = _call("nvmlGpmQueryDeviceSupport", handle)
            self._supported = answer is not None and bool(answer.isSupportedDevice)
        return self._supported


class _Window:
    """From one sample of a GPU, or of one of its instances, to the next."""

    def __init__(self, gpu_instance: int) -> None:
        self._gpu_instance = gpu_instance
        self._older: Any = None
        self._newer: Any = None
        self._taken_at: float | None = None
        self._complete = False  # there are two samples, not too far apart
        self._unsupported: set[int] = set()
        self._asked: tuple[int, ...] = ()
        self._answer: Answer | None = None

    def sample(self, handle: Any, now: float) -> bool:
        """Take the next one if it is time to; whether samples can be taken here."""
        age = None if self._taken_at is None else now - self._taken_at
        if age is not None and age < _SHORTEST_SECONDS:
            return True
        if self._older is None:
            self._older = _call("nvmlGpmSampleAlloc")
            if self._older is None:
                return False
        if self._gpu_instance == WHOLE_GPU:
            taken = _call("nvmlGpmSampleGet", handle, self._older)
        else:
            taken = _call("nvmlGpmMigSampleGet", handle, self._gpu_instance, self._older)
        if taken is None:
            return False
        self._older, self._newer = self._newer, self._older
        self._complete = age is not None and age <= _LONGEST_SECONDS
        self._taken_at, self._answer = now, None
        return True

    def metrics(self, request: _Request, ids: tuple[int, ...]) -> Answer | None:
        """None where all are refused."""
        if not self._complete:
            return []
        if self._answer is None or ids != self._asked:
            self._asked, self._answer = ids, None
            self._answer = self._calculate(request, ids)
        return self._answer

    def free(self) -> None:
        for sample in (self._older, self._newer):
            if sample is not None:
                with suppress(DriverError):  # somebody else shut NVML down
                    _call("nvmlGpmSampleFree", sample)
        self._older = self._newer = None

    def _calculate(self, request: _Request, ids: tuple[int, ...]) -> Answer | None:
        request.between(self._older, self._newer)
        wanted = tuple(i for i in ids if i not in self._unsupported)
        if not wanted:
            return []
        rows = request.ask(wanted)
        if rows is None:  # a driver may refuse all of them for one that it does not know yet
            known = tuple(i for i in wanted if request.ask((i,)) is not None)
            rows = request.ask(known) if known else None
            if rows is None:
                return None
            self._unsupported.update(set(wanted) - set(known))
        return self._values(rows)

    def _values(self, rows: list[tuple[int, int, float]]) -> Answer:
        values: Answer = []
        failed: dict[int, int] = {}
        for metric_id, code, value in rows:
            if code == pynvml.NVML_SUCCESS:
                if value == value:  # NaN is "no telling"
                    values.append((metric_id, value))
            elif code in UNSUPPORTED:
                self._unsupported.add(metric_id)
            else:
                failed[metric_id] = code
        told: Answer = partly(NAME, values, failed)
        return told


class _Request:
    """The structure that NVML answers in: 19 KB, so that a GPU's instances share it."""

    def __init__(self) -> None:
        self._structure = pynvml.c_nvmlGpmMetricsGet_t()
        self._structure.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        offset = pynvml.c_nvmlGpmMetricsGet_t.metrics.offset
        self._metrics = memoryview(self._structure).cast("B")[offset:]
        self._ids: tuple[int, ...] = ()

    def between(self, older: Any, newer: Any) -> None:
        self._structure.sample1, self._structure.sample2 = older, newer

    def ask(self, ids: tuple[int, ...]) -> list[tuple[int, int, float]] | None:
        """(id, code, value) of each; None where NVML refuses all."""
        if ids != self._ids:
            for position, metric_id in enumerate(ids):
                _METRIC.pack_into(self._metrics, position * _METRIC.size, metric_id, 0, 0.0)
            self._structure.numMetrics = len(ids)
            self._ids = ids
        if _call(NAME, self._structure) is None:
            return None
        return list(_METRIC.iter_unpack(self._metrics[: len(ids) * _METRIC.size]))


def _call(name: str, *arguments: Any) -> Any:
    """None where it is unsupported. Raises DriverError."""
    try:
        return function_named(name)(*arguments)
    except pynvml.NVMLError as error:
        if error.value in UNSUPPORTED:
            return None
        refuse(name, error)
