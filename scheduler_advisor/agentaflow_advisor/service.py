"""The loop: look, advise, propose, carry out, verify; and then again, whatever happened before."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from lightkube import Client

from agentaflow_advisor.acting import Acting, Stopped
from agentaflow_advisor.advice import SIGNALS, advise, load_prices, observe, price_warning
from agentaflow_advisor.connections import open_cluster, open_cluster_if_given, open_prometheus
from agentaflow_advisor.cycle import (
    PLACE_SIGNALS,
)
from agentaflow_advisor.decide.errors import JournalError
from agentaflow_advisor.model import ClusterState, Snapshot
from agentaflow_advisor.observe.cluster import read_cluster
from agentaflow_advisor.observe.errors import ObserveError
from agentaflow_advisor.observe.view import ClusterView
from agentaflow_advisor.price import PriceTable
from agentaflow_advisor.render import counted
from agentaflow_advisor.review import review
from agentaflow_advisor.settings import Settings
from agentaflow_advisor.web.decisions import Decisions
from agentaflow_advisor.web.metrics import registry
from agentaflow_advisor.web.pages import Pages
from agentaflow_advisor.web.status import Status
from agentaflow_exporter import stopping
from agentaflow_exporter.connection import Limits
from agentaflow_exporter.log import Log
from agentaflow_exporter.web import Server

LIMITS = Limits(methods=("GET", "HEAD", "POST"))
FIRST_BACKOFF_SECONDS = 1.0
STOP_SECONDS = 8.0
"""How long a stop waits for the act that runs; what is cut off is settled at the next start."""


def run(settings: Settings, *, actor: str, log: Log) -> int:
    """Serve until SIGTERM or SIGINT. Raises what cannot be started with."""
    stopping.hold_signals()
    stop = threading.Event()
    service = Service(settings, load_prices(settings), stop, actor=actor, log=log)
    pages = Pages(
        lambda: service.status,
        registry(lambda: service.status, most=settings.metrics_max_recommendations),
        ready_max_age_seconds=settings.ready_within_seconds,
        decisions=Decisions(settings.journal, settings.policy(), settings.approval_token_file),
    )
    say = partial(log.info, component="web")
    server = Server(
        [settings.listen_address], pages, config=settings.web_config_file, limits=LIMITS, log=say
    )
    server.start()
    host, port = server.addresses[0]
    say(f"listening on {f'[{host}]' if ':' in host else host}:{port}")
    if settings.channels:
        service.acting.elect()
    threading.Thread(target=_loop, args=(service,), name="loop", daemon=True).start()
    try:
        stopping.wait()
        stop.set()
        service.acting.end(within_seconds=STOP_SECONDS)
    finally:
        server.stop(timeout_seconds=1.0)
    return 1 if service.crashed else 0


def _loop(service: Service) -> None:
    try:
        service.loop()
    finally:
        if service.crashed:
            stopping.ask()


@dataclass(slots=True)
class Service:
    """The loop's thread. Everything that others read of it is in `status`."""

    settings: Settings
    table: PriceTable
    stop: threading.Event
    actor: str
    log: Log
    status: Status = field(default_factory=Status)
    crashed: bool = False
    acting: Acting = field(init=False)
    _follows: bool = False
    _view: ClusterView | None = None
    _failures: int = 0  # in a row
    _history_problem: str | None = None  # told once, not each minute

    def __post_init__(self) -> None:
        self.acting = Acting(self.settings, self.stop, self.actor, self.log)

    def loop(self) -> None:
        """Cycle until told to stop. A cycle that fails is tried again, sooner than the next."""
        self._follows = True
        try:
            while not self.stop.is_set():
                self.cycle()
                self.stop.wait(self.pause_seconds())
        except Exception:
            self.crashed = True  # a bug: better restarted than half alive
            self.stop.set()
            raise
        finally:
            if self._view is not None:
                self._view.__exit__()

    def cycle(self) -> None:
        """One pass. Where looking fails, the advice there is stays, marked as stale."""
        started = time.monotonic()
        with suppress(Stopped):
            try:
                self._pass()
                self._failures = 0
            except ObserveError as error:
                self._failures += 1
                self.status = replace(self.status.failed("observe"), error=str(error))
                self.log.error(str(error), component="observe")
        self.status = replace(
            self.status,
            cycles=self.status.cycles + 1,
            cycle_seconds=self.status.cycle_seconds + time.monotonic() - started,
        )

    def pause_seconds(self) -> float:
        """The interval after a success; after failures from a second upwards, with jitter."""
        if not self._failures:
            return self.settings.interval_seconds
        backoff = FIRST_BACKOFF_SECONDS * 2.0 ** min(self._failures - 1, 16)
        limit = min(backoff, self.settings.interval_seconds)
        return limit * random.uniform(0.5, 1.0)  # noqa: S311 jitter is no secret

    def _pass(self) -> None:
        """What was seen is shown even if acting on it fails."""
        acting = bool(self.settings.channels)
        opened = (open_cluster if acting else open_cluster_if_given)(self.settings)
        with opened as client, open_prometheus(self.settings) as prometheus:
            signals = SIGNALS | PLACE_SIGNALS
            snapshot = observe(self.settings, prometheus, client, signals, self._cluster)
            self.status = self._advised(snapshot)
            self.log.info(_told(self.status), component="observe")
            if acting and client is not None:
                try:
                    outcome = self.acting.act(snapshot, self.status.advice, prometheus, client)
                    if outcome is not None:
                        self.status = replace(
                            self.status,
                            decisions=outcome.decisions,
                            effects=outcome.effects,
                            notices=outcome.notices,
                        )
                except JournalError as error:
                    self.status = self.status.failed("act")
                    self.log.error(str(error), component="act")

    def _cluster(self, client: Client) -> ClusterState:
        """Followed from the loop's first look to its end; a cycle by itself only lists."""
        if not self._follows:
            return read_cluster(client)
        if self._view is None:
            self._view = ClusterView(client)
            self._view.__enter__()
            return read_cluster(client)
        return self._view.state(client)

    def _advised(self, snapshot: Snapshot) -> Status:
        advice = advise(self.settings, snapshot, self.table)
        reviewed, problem = review(self.settings, advice, actor=self.actor)
        if problem and problem != self._history_problem:
            self.log.warning(problem, component="record")
        self._history_problem = problem
        return replace(
            self.status.failed("record") if problem else self.status,
            advice=reviewed,
            price_warning=price_warning(self.settings, advice.table, snapshot.taken_at),
            observed_at=time.time(),
            error=None,
            queries=self.status.queries + len(snapshot.queries),
        )


def _told(status: Status) -> str:
    advice = status.advice
    found = len(advice.active) if advice else 0
    hidden = sum(advice.hidden.values()) if advice else 0
    gpus = len(advice.snapshot.gpus) if advice else 0
    beside = f", {hidden} hidden" if hidden else ""
    lost = advice.snapshot.missing.reason if advice else ""
    beside += f"; {lost}" if lost else ""
    return f"looked at {counted(gpus, 'GPU')}: {counted(found, 'recommendation')}{beside}"
