"""`agentaflow-exporter record FILE`: writes what NVML answers here, to be replayed elsewhere."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentaflow_exporter import metrics
from agentaflow_exporter.backends import make_driver
from agentaflow_exporter.driver import Driver, DriverError, FieldsFailed, Gpu, Number
from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.recording import (
    FIELDS,
    FORMAT,
    SAMPLES,
    VERSION,
    RecordingError,
    to_json,
)
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings

_ABSENT = object()


class Recorder:
    """Keeps each answer that differs from the call's last one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.calls: list[dict[str, Any]] = []
        self.gpus: dict[int, str] = {}
        self._clock = clock
        self._started = clock()
        self._last: dict[tuple[int | None, int | None, str, tuple[int, ...]], Any] = {}

    def note(
        self,
        gpu: int | None,
        function: str,
        arguments: tuple[int, ...],
        answer: Any,
        *,
        mig: int | None = None,
    ) -> None:
        key = (gpu, mig, function, arguments)
        recorded = to_json(answer)
        if recorded == self._last.get(key, _ABSENT):
            return
        self._last[key] = recorded
        self.calls.append(
            {
                "at": round(self._clock() - self._started, 3),
                "gpu": gpu,
                **({} if mig is None else {"mig": mig}),
                "function": function,
                "arguments": list(arguments),
                "answer": recorded,
            }
        )

    def reading(
        self, target: Driver | Gpu, gpu: int | None, function: str, arguments: tuple[int, ...]
    ) -> Any:
        asked = arguments[:1] if function == SAMPLES else arguments
        try:
            answer = target.read(function, *arguments)
        except FieldsFailed as error:
            self.note(gpu, function, asked, error.values)
            raise
        except DriverError as error:
            self.note(gpu, function, asked, error)
            raise
        self.note(gpu, function, asked, answer)
        return answer


class RecordingGpu:
    def __init__(self, gpu: Gpu, recorder: Recorder) -> None:
        self._gpu = gpu
        self._recorder = recorder
        self.index = gpu.index

    @property
    def uuid(self) -> str:
        return self._gpu.uuid

    def read(self, function: str, *arguments: int) -> Any:
        answer = self._recorder.reading(self._gpu, self.index, function, arguments)
        if function == "nvmlDeviceGetUUID" and answer is not None:
            self._recorder.gpus[self.index] = answer
        return answer

    def read_mig(self, device: int, function: str, *arguments: int) -> Any:
        try:
            answer = self._gpu.read_mig(device, function, *arguments)
        except DriverError as error:
            self._recorder.note(self.index, function, arguments, error, mig=device)
            raise
        self._recorder.note(self.index, function, arguments, answer, mig=device)
        return answer

    def fields(self, *ids: int) -> Mapping[int, Number]:
        try:
            values = self._gpu.fields(*ids)
        except FieldsFailed as error:
            self._note_fields(ids, error.values)
            raise
        except DriverError as error:
            for field_id in ids:
                self._recorder.note(self.index, FIELDS, (field_id,), error)
            raise
        self._note_fields(ids, values)
        return values

    def _note_fields(self, ids: Sequence[int], values: Mapping[int, Number]) -> None:
        for field_id in ids:
            self._recorder.note(self.index, FIELDS, (field_id,), values.get(field_id))


class RecordingDriver:
    """A driver that notes what the driver behind it answers."""

    def __init__(self, driver: Driver, recorder: Recorder) -> None:
        self._driver = driver
        self._recorder = recorder
        self._wrapped: dict[int, tuple[Gpu, RecordingGpu]] = {}

    def open(self) -> None:
        self._driver.open()

    def close(self) -> None:
        self._driver.close()

    def read(self, function: str, *arguments: int) -> Any:
        return self._recorder.reading(self._driver, None, function, arguments)

    def gpus(self) -> Sequence[RecordingGpu]:
        return [self._recording(gpu) for gpu in self._driver.gpus()]

    def _recording(self, gpu: Gpu) -> RecordingGpu:
        wrapped, recording = self._wrapped.get(gpu.index, (None, None))
        if recording is None or wrapped is not gpu:
            recording = RecordingGpu(gpu, self._recorder)
            self._wrapped[gpu.index] = (gpu, recording)
        return recording


def record(
    driver: Driver,
    settings: Settings,
    *,
    duration_seconds: float,
    interval_seconds: float,
    mask: bool = True,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """The recording of one scrape every interval. Raises RecordingError without a driver."""
    recorder = Recorder(clock)
    scraper = Scraper(RecordingDriver(driver, recorder), settings)
    started = clock()
    while True:
        families = {family.metric: family.samples for family in scraper.scrape()}
        if not families[metrics.DRIVER_UP][()]:
            raise RecordingError("no NVIDIA driver answers here: is it installed and loaded?")
        left = started + duration_seconds - clock()
        if left <= 0:
            break
        sleep(min(interval_seconds, left))
    scraper.close()
    recording = {
        "format": FORMAT,
        "version": VERSION,
        "masked": mask,
        "seconds": round(max(clock() - started, interval_seconds), 3),
        "gpus": [{"index": i, "uuid": uuid} for i, uuid in sorted(recorder.gpus.items())],
        "calls": recorder.calls,
    }
    return masked(recording) if mask else recording


def masked(recording: dict[str, Any]) -> dict[str, Any]:
    """Serial numbers and UUIDs replaced by numbers in the order in which they come up."""
    names: dict[str, str] = {}
    for call in recording["calls"]:
        answer = call["answer"]
        if call["function"] == "nvmlDeviceGetUUID" and isinstance(answer, str):
            names.setdefault(answer, f"GPU-00000000-0000-0000-0000-{len(names):012}")
        elif call["function"] == "nvmlDeviceGetSerial" and isinstance(answer, str):
            names.setdefault(answer, f"{len(names):013}")
    if not names:
        return recording
    pattern = re.compile("|".join(re.escape(name) for name in sorted(names, key=len)[::-1]))
    result: dict[str, Any] = _replaced(
        recording, lambda text: pattern.sub(lambda m: names[m[0]], text)
    )
    return result


def _replaced(value: Any, replace: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, list):
        return [_replaced(item, replace) for item in value]
    if isinstance(value, dict):
        return {key: _replaced(item, replace) for key, item in value.items()}
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--duration", type=float, default=0.0, metavar="SECONDS", help="0: one sample (default)"
    )
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="between samples (default 1)"
    )
    parser.add_argument(
        "--no-mask", action="store_true", help="keep serial numbers and UUIDs as they are"
    )


def run(namespace: argparse.Namespace, settings: Settings) -> int:
    for name in ("duration", "interval"):
        seconds = getattr(namespace, name)
        if not 0 <= seconds <= 7 * 86400 or (name == "interval" and seconds < 0.1):
            raise SettingsError(f"--{name}: give seconds from 0.1 to {7 * 86400}, not {seconds:g}")
    recording = record(
        make_driver(settings.backend)[0],
        settings,
        duration_seconds=namespace.duration,
        interval_seconds=namespace.interval,
        mask=not namespace.no_mask,
    )
    _write(namespace.file, json.dumps(recording))
    gpus, calls = len(recording["gpus"]), len(recording["calls"])
    hidden = "masked" if recording["masked"] else "as they are"
    sys.stdout.write(
        f"{namespace.file}: {gpus} GPUs, {calls} answers; serial numbers and UUIDs {hidden}\n"
    )
    return 0


def _write(path: Path, text: str) -> None:
    """All of it or nothing."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RecordingError(
            f"{path}: {error.strerror}: give a file that can be written"
        ) from error
