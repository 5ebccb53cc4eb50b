"""One GPU's, or the machine's, share of one scrape: runs the collectors and notes what failed.

A pass belongs to one thread until it is `finished`; the scrape reads it only then, apart from
`stage`, which says where a pass that hangs is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

from agentaflow_exporter.attribution.devices import placement
from agentaflow_exporter.collector import Collector, GpuReader, Reading, Sources, T
from agentaflow_exporter.crew import Job
from agentaflow_exporter.driver import (
    Driver,
    DriverError,
    DriverUnavailable,
    FieldsFailed,
    Gpu,
    GpuLost,
    Number,
)
from agentaflow_exporter.instances import MigDevice, mig_devices, placements

_NONE: Mapping[str, Any] = {}

_MIG_MODE = "nvmlDeviceGetMigMode"


class Pass:
    """What both kinds have in common."""

    def __init__(self, target: Driver | Gpu, sources: Sources) -> None:
        self._target = target
        self.sources = sources
        self.finished = False
        self.stage = ""
        self.readings: list[Reading] = []
        self.errors: list[DriverError] = []
        self.failed: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def read(self, function: str, *arguments: int) -> Any:
        return self._answer(self._target.read, function, *arguments)

    def _answer(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """None where the call failed; that the GPU or the driver is gone ends the pass."""
        try:
            return call(*arguments)
        except (GpuLost, DriverUnavailable):
            raise
        except FieldsFailed as error:
            self._failed(error)
            return error.values
        except DriverError as error:
            self._failed(error)
            return None

    def _failed(self, error: DriverError) -> None:
        self.errors.append(error)
        self.failed[self.stage] = str(error)

    def _collect(self, collector: Collector, readings: Callable[[Any], Iterator[Reading]]) -> None:
        """A defect in one collector costs that collector alone."""
        self.stage = collector.name
        started = perf_counter()
        try:
            self.readings.extend(readings(self))
        except (GpuLost, DriverUnavailable) as error:
            self.failed[self.stage] = str(error)
            raise
        except Exception as error:
            self.failed[self.stage] = f"{type(error).__name__}: {error}"
        self.seconds[self.stage] = perf_counter() - started


class Identity:
    """What is known of the GPU at one index beyond a scrape: its uuid and its constants."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.uuid = ""
        self.constants: dict[tuple[str, tuple[int, ...]], Any] = {}
        self.kept: dict[str, Any] = {}  # by collector

    @property
    def minor(self) -> str:
        """The minor number; empty where no collector asked for it or the GPU did not tell."""
        return str(self.constants.get(("nvmlDeviceGetMinorNumber", ()), ""))


class GpuPass(Pass):
    """Implements GpuReader."""

    def __init__(
        self,
        identity: Identity,
        collectors: Sequence[Collector],
        fields: Collection[int],
        sources: Sources,
    ) -> None:
        super().__init__(identity.gpu, sources)
        self.lost: DriverError | None = None
        self.uuid = ""
        self._identity = identity
        self._gpu = identity.gpu
        self._collectors = collectors
        self._field_ids = fields
        self._fields: Mapping[int, Number] | None = None
        self._fields_failure = ""
        self._failed_fields: Collection[int] = ()
        self._told: dict[object, tuple[Any, str | None]] = {}  # with why it failed

    def run(self) -> None:
        try:
            self._identify()
            for collector in self._collectors:
                if collector.gpu is not None:
                    self._collect(collector, collector.gpu)
            if not all(collector.background for collector in self._collectors):
                self._notice_mode()
        except DriverError as error:
            self.errors.append(error)
            self.lost = error
        self.finished = True

    def constant(self, function: str, *arguments: int) -> Any:
        key = (function, arguments)
        answer = self._identity.constants.get(key)
        if answer is None:
            answer = self.shared(function, *arguments)
            if answer is not None:
                self._identity.constants[key] = answer
        return answer

    def shared(self, function: str, *arguments: int) -> Any:
        return self._tell((function, arguments), self.read, function, *arguments)

    def once(self, ask: Callable[[GpuReader], T]) -> T:
        answer: T = self._tell(ask, ask, self)
        return answer

    def _tell(self, key: object, call: Callable[..., Any], *arguments: Any) -> Any:
        """Called once in the pass; a failure is every asking collector's, and one error."""
        if key not in self._told:
            before = self.failed.pop(self.stage, None)
            answer = call(*arguments)
            self._told[key] = answer, self.failed.get(self.stage)
            if before is not None:
                self.failed.setdefault(self.stage, before)
        answer, failure = self._told[key]
        if failure is not None:
            self.failed[self.stage] = failure
        return answer

    def field(self, field_id: int) -> Number | None:
        if self._fields is None:
            self._fields = self._read_fields()
        value = self._fields.get(field_id)
        if value is None and field_id in self._failed_fields:
            self.failed[self.stage] = self._fields_failure
        return value

    def mig(self, device: int, function: str, *arguments: int) -> Any:
        return self._answer(self._gpu.read_mig, device, function, *arguments)

    @property
    def instances(self) -> Mapping[str, tuple[str, str]] | None:
        """Of its MIG devices, its own uuid and the GPU instance, by the device's uuid and by where
        it lies; None if nobody asked.
        """
        if mig_devices not in self._told:
            return None
        devices: Sequence[MigDevice] = self._told[mig_devices][0]
        lying: Sequence[tuple[int, int, int]] = self._told.get(placements, ((), None))[0]
        return {
            **{device.uuid: (self.uuid, str(device.gpu_instance)) for device in devices},
            **{placement(self.uuid, p, start): (self.uuid, str(i)) for i, p, start in lying},
        }

    def kept(self, make: Callable[[], T]) -> T:
        kept: T | None = self._identity.kept.get(self.stage)
        if kept is None:
            kept = self._identity.kept[self.stage] = make()
        return kept

    def _identify(self) -> None:
        """Labels follow the GPU that answers, not the index at which it did before."""
        self.uuid = self._gpu.read("nvmlDeviceGetUUID") or self._gpu.uuid
        if self.uuid != self._identity.uuid:
            self._identity.constants.clear()
            self._identity.kept.clear()
            self._identity.uuid = self.uuid

    def _notice_mode(self) -> None:
        """What a GPU supports changes with its MIG mode, whether or not a collector asks for it."""
        if (_MIG_MODE, ()) not in self._told:
            self.stage = ""
            self.shared(_MIG_MODE)
            self.failed.pop(self.stage, None)

    def _read_fields(self) -> Mapping[int, Number]:
        try:
            return self._gpu.fields(*self._field_ids)
        except (GpuLost, DriverUnavailable):
            raise
        except FieldsFailed as error:
            self.errors.append(error)
            self._fields_failure = str(error)
            self._failed_fields = error.failed
            values: Mapping[int, Number] = error.values
            return values
        except DriverError as error:
            self.errors.append(error)
            self._fields_failure = str(error)
            self._failed_fields = self._field_ids
            return {}


class Question(Job):
    """What one collector asks others than the driver."""

    def __init__(self, ask: Callable[[Sources], Any], sources: Sources) -> None:
        super().__init__(lambda: ask(sources))
        self.seconds = 0.0

    def run(self) -> None:
        started = perf_counter()
        super().run()
        self.seconds = perf_counter() - started


class NodePass(Pass):
    """Implements NodeReader. Without a driver `read` fails without a call."""

    def __init__(
        self,
        driver: Driver,
        available: bool,
        gpus: Sequence[tuple[str, str]],
        sources: Sources,
        collectors: Sequence[Collector],
        *,
        minors: Mapping[str, str] = _NONE,
        mig: Mapping[str, tuple[str, str]] = _NONE,
        questions: Mapping[str, Question] = _NONE,
    ) -> None:
        """`questions` are those of this scrape, by collector: one that hangs is not asked again."""
        super().__init__(driver, sources)
        self.gpus = gpus
        self.minors = minors
        self.mig = mig
        self._available = available
        self._collectors = collectors
        self._questions = questions

    def run(self) -> None:
        for collector in self._collectors:
            if collector.node is not None:
                try:
                    self._collect(collector, collector.node)
                except DriverError as error:
                    if self._available:
                        self.errors.append(error)
                if collector.name in self._questions:
                    self.seconds[collector.name] += self._questions[collector.name].seconds
        self.finished = True

    @property
    def answer(self) -> Any:
        question = self._questions.get(self.stage)
        if question is None or not question.finished:
            raise TimeoutError("no answer in time")
        if isinstance(question.answer, Exception):
            raise question.answer
        return question.answer

    def read(self, function: str, *arguments: int) -> Any:
        if not self._available:
            raise DriverUnavailable("no driver", function=function)
        return super().read(function, *arguments)
