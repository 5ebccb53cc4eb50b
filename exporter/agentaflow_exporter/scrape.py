"""One scrape: ask every GPU within one deadline; export what answered, never what did before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentaflow_exporter import metrics
from agentaflow_exporter.collector import Collector, Sources
from agentaflow_exporter.collectors import COLLECTORS
from agentaflow_exporter.crew import Crew, Job, ThreadCrew
from agentaflow_exporter.driver import Driver, DriverError, DriverUnavailable, Gpu
from agentaflow_exporter.health import Health
from agentaflow_exporter.log import Log
from agentaflow_exporter.metric import Family
from agentaflow_exporter.passes import GpuPass, Identity, NodePass, Question
from agentaflow_exporter.result import Counters, Result
from agentaflow_exporter.selfmetrics import SelfMetrics
from agentaflow_exporter.session import Session
from agentaflow_exporter.settings import Settings

# A GPU that hangs leaves this to what comes after it; of a short scrape, a third.
_SHARE_OF_REST, _LEAST_REST_SECONDS = 0.1, 0.3
_TICK_SECONDS = 1.0  # at most, and a millisecond or so if no GPU hangs: a scrape may wait for it
_FORGOTTEN_SECONDS = 600.0  # nobody needs ticks when nobody has scraped for so long
_HANGS = "hangs"


class ScrapeBusy(Exception):
    """Another scrape took all the time that this one had."""


class _Slot:
    """What is known at an index, and the job that it was last given."""

    def __init__(self, gpu: Gpu) -> None:
        self.identity = Identity(gpu)
        self.current: GpuPass | None = None
        self.job: Job | None = None
        self.asked = False  # in the scrape under way; False where the last call still hangs

    @property
    def hangs(self) -> bool:
        return self.job is not None and self.job.hangs


class Scraper:
    """Safe to call from several threads: scrapes run one after another."""

    def __init__(
        self,
        driver: Driver,
        settings: Settings | None = None,
        *,
        sources: Sources | None = None,
        log: Log | None = None,
        crew: Crew | None = None,
        collectors: Sequence[Collector] = COLLECTORS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = settings or Settings()
        self._timeout_seconds = settings.scrape_timeout_seconds
        self._collectors = tuple(c for c in collectors if c.name in settings.collectors)
        self._fields = tuple(dict.fromkeys(i for c in self._collectors for i in c.fields))
        self._driver = driver
        self._session = Session(driver, clock)
        self._sources = sources or Sources()
        self._log = log or Log("error")
        self._clock = clock
        self._crew = crew or ThreadCrew(clock)
        self._node_job: Job | None = None
        self._slots: dict[int, _Slot] = {}
        self._answering: list[_Slot] = []  # in the last scrape
        self._background = tuple(c for c in self._collectors if c.background)
        self._scraped_at = self._collected_at = -_FORGOTTEN_SECONDS
        self._minors: dict[str, str] = {}  # by uuid
        self._instances: dict[str, Mapping[str, tuple[str, str]]] = {}  # MIG devices, by GPU
        self._questions: dict[str, Question] = {}  # by collector, of this scrape or an earlier one
        self._health = Health(self._log)
        self._counters = Counters()
        self._failing: dict[str, str] = {}
        self._self = SelfMetrics()
        self._lock = threading.Lock()

    def scrape(
        self, timeout_seconds: float | None = None, only: frozenset[str] | None = None
    ) -> list[Family]:
        """The families of this scrape, of the collectors in `only` (default: all that are on).

        Raises ScrapeBusy where another scrape takes longer than `timeout_seconds`.
        """
        timeout = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        started = self._clock()
        if not self._lock.acquire(timeout=timeout):
            raise ScrapeBusy(f"another scrape has been running for {timeout:g} s: try again")
        try:
            return self._scrape(started, timeout, only)
        finally:
            self._lock.release()

    def tick(self, interval_seconds: float) -> float:
        """Run the collectors that lose something between scrapes, and export nothing of it.

        Only if no scrape is under way and none came for `interval_seconds`; of the GPUs that
        answered in the last one, and errors are left for the next. Answers how many seconds there
        are until it may be time again.
        """
        if not self._background or not self._lock.acquire(blocking=False):
            return interval_seconds
        try:
            now = self._clock()
            left = self._collected_at + interval_seconds - now
            if left > 0:
                return left
            if now - self._scraped_at < _FORGOTTEN_SECONDS:
                awake = [slot.identity.gpu for slot in self._answering if not slot.hangs]
                self._ask(awake, self._background, now + _TICK_SECONDS)
                self._collected_at = now
            return interval_seconds
        finally:
            self._lock.release()

    def close(self, timeout_seconds: float = 1.0) -> None:
        """Shut the driver down, unless a call hangs in it, and let the threads go."""
        if not self.hangs():
            self._call_node(self._driver.close, self._clock() + timeout_seconds)
        self._crew.close()

    def _scrape(self, started: float, timeout: float, only: frozenset[str] | None) -> list[Family]:
        collectors = [c for c in self._collectors if only is None or c.name in only]
        result = Result((c.name for c in collectors), self._counters)
        gpus = self._enumerate(started + timeout, result)
        self._scraped_at, self._answering = started, []
        questions = self._questions_of(collectors)
        rest = max(timeout * _SHARE_OF_REST, min(timeout / 3, _LEAST_REST_SECONDS))
        deadline = started + timeout - rest
        asked = self._ask(gpus or (), collectors, deadline, tuple(questions.values()))
        if gpus is not None:
            self._answering = [slot for slot in asked if self._judge(slot, result)]
            self._session.judge(healthy=self._health.all_answer())
        if only is None or any(c.name in only for c in self._background):
            self._collected_at = started
        for index, uuid, up in self._health.gpus():
            result.add(metrics.GPU_UP, (index, uuid), int(up))
            self._counters.timeouts[index, uuid] += 0
        self._ask_node(gpus is not None, collectors, questions, started + timeout, result)
        self._log_failures(result)
        for metric, labels, value in self._self.readings():
            result.add(metric, labels, value)
        result.add(metrics.SCRAPE_DURATION, (), self._clock() - started)
        return result.families()

    def _enumerate(self, deadline: float, result: Result) -> Sequence[Gpu] | None:
        """The driver's GPUs; None if it is not there, or hangs."""
        idle = not self.hangs()
        answer = self._call_node(lambda: self._session.gpus(idle=idle), deadline)
        result.add(metrics.DRIVER_UP, (), 0 if isinstance(answer, Exception) else 1)
        if isinstance(answer, Exception):
            if isinstance(answer, DriverError) and answer.function:
                self._counters.error("", answer)
            self._health.driver_failed(str(answer))
            for collector in self._collectors:
                if collector.gpu and not collector.ask and collector.name in result.seconds:
                    result.failed[collector.name] = "no driver"
            return None
        self._health.driver_answered()
        gpus: Sequence[Gpu] = answer
        result.add(metrics.GPU_DEVICES, (), len(gpus))
        return gpus

    def _questions_of(self, collectors: Sequence[Collector]) -> dict[str, Question]:
        """New ones, but of those whose last one still hangs."""
        asked = {}
        for collector in collectors:
            last = self._questions.get(collector.name)
            if collector.ask is not None and (last is None or not last.hangs):
                question = Question(collector.ask, self._sources)
                self._questions[collector.name] = asked[collector.name] = question
        return asked

    def _ask(
        self,
        gpus: Sequence[Gpu],
        collectors: Sequence[Collector],
        deadline: float,
        questions: Sequence[Job] = (),
    ) -> list[_Slot]:
        """Give every GPU that does not hang its pass, and wait for them until the deadline.

        Questions come last, and whoever takes long to answer one holds up none of the GPUs.
        """
        slots = [self._slot(gpu) for gpu in gpus]
        jobs: list[Job] = []
        for slot in slots:
            slot.asked = not slot.hangs
            if slot.asked:
                slot.current = GpuPass(slot.identity, collectors, self._fields, self._sources)
                slot.job = Job(slot.current.run)
                jobs.append(slot.job)
        self._crew.run([*jobs, *questions], deadline - self._clock())
        return slots

    def _judge(self, slot: _Slot, result: Result) -> bool:
        """Take over what a GPU said, or that it said nothing: a half answer is none."""
        done, uuid = slot.current, slot.identity.uuid
        index = str(slot.identity.gpu.index)
        if done is None or not slot.asked or not done.finished:
            self._counters.timeouts[index, uuid] += 1
            stage = done.stage if done else ""
            self._health.failed(index, uuid, f"hangs in collector {stage or 'none'}")
            if stage in result.seconds:
                result.failed[stage] = _HANGS
        elif done.lost is not None:
            self._health.failed(index, uuid, str(done.lost))
            result.note_failures(index, done)
        else:
            self._health.answered(index, done.uuid)
            if slot.identity.minor:
                self._minors[done.uuid] = slot.identity.minor
            if done.instances is not None:
                self._instances[done.uuid] = done.instances
            result.take(index, (index, done.uuid), done)
            return True
        return False

    def _ask_node(
        self,
        available: bool,
        collectors: Sequence[Collector],
        questions: Mapping[str, Question],
        deadline: float,
        result: Result,
    ) -> None:
        known = sorted(self._health.gpus(), key=lambda state: state[2])
        node = NodePass(
            self._driver,
            available,
            [(index, uuid) for index, uuid, _ in known if uuid],
            self._sources,
            collectors,
            minors=self._minors,
            mig={uuid: place for of in self._instances.values() for uuid, place in of.items()},
            questions=questions,
        )
        self._call_node(node.run, deadline)
        if node.finished:
            result.take("", (), node)
        else:
            names = [c.name for c in collectors if c.node is not None]
            result.failed.update(dict.fromkeys(names, _HANGS))

    def _call_node(self, call: Callable[[], Any], deadline: float) -> Any:
        """What the job returned or raised, or that it hangs; never later than the deadline."""
        hangs = DriverUnavailable("a call to the driver hangs")
        if self._node_job is not None and self._node_job.hangs:
            return hangs
        self._node_job = job = Job(call)
        self._crew.run([job], deadline - self._clock())
        return job.answer if job.finished else hangs

    def _slot(self, gpu: Gpu) -> _Slot:
        """The index keeps its job when the driver was opened again and the GPU is a new one."""
        slot = self._slots.get(gpu.index)
        if slot is None or (slot.identity.gpu is not gpu and not slot.hangs):
            slot = self._slots[gpu.index] = _Slot(gpu)
        return slot

    def hangs(self) -> bool:
        """Whether a call is under way in the driver now."""
        jobs = [slot.job for slot in self._slots.values()]
        return any(job is not None and job.hangs for job in (*jobs, self._node_job))

    def _log_failures(self, result: Result) -> None:
        """Each collector's failure once, and its end."""
        for name in result.seconds:
            reason = result.failed.get(name)
            if reason is None and self._failing.pop(name, None) is not None:
                self._log.info("collector works again", collector=name)
            elif reason is not None and name not in self._failing:
                self._failing[name] = reason
                self._log.warning("collector failed", collector=name, reason=reason)
