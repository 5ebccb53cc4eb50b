"""The loop: look, advise, propose, carry out, verify; and then again, whatever happened before."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from lightkube import Client

from agentaflow_advisor.act.apply import Clock
from agentaflow_advisor.advice import SIGNALS, advise, load_prices, observe, price_warning
from agentaflow_advisor.connections import open_cluster, open_cluster_if_given, open_prometheus
from agentaflow_advisor.cycle import (
    PLACE_SIGNALS,
    act,
    propose_advice,
    propose_placements,
    revert_harmful,
)
from agentaflow_advisor.decide.errors import JournalError
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.lease import Lease
from agentaflow_advisor.model import Decision, Snapshot, State
from agentaflow_advisor.model.names import LEASE
from agentaflow_advisor.observe.errors import ObserveError
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.price import NodePrice, PriceTable
from agentaflow_advisor.render import counted
from agentaflow_advisor.review import review
from agentaflow_advisor.settings import Settings
from agentaflow_advisor.verify import measure_effects, verify_applied
from agentaflow_advisor.web.metrics import registry
from agentaflow_advisor.web.pages import Pages
from agentaflow_advisor.web.status import Measured, Status
from agentaflow_exporter import stopping
from agentaflow_exporter.web import Server

FIRST_BACKOFF_SECONDS = 1.0
LOOK_SECONDS = 1.0  # how soon it is noticed that the loop has crashed
LEASE_SECONDS = 2.0  # how long a stop waits for the lease to be given back
STOP_SECONDS = 8.0
"""How long a stop waits for the act that runs; what is cut off is settled at the next start."""

Note = Callable[[str], None]


class Stopped(Exception):
    """The service was told to stop while a decision waited for the API server."""


def run(settings: Settings, *, actor: str, note: Note) -> int:
    """Serve until SIGTERM or SIGINT. Raises what cannot be started with."""
    stopping.hold_signals()
    stop = threading.Event()
    service = Service(settings, load_prices(settings), stop, actor=actor, note=note)
    pages = Pages(
        lambda: service.status,
        registry(lambda: service.status, most=settings.metrics_max_recommendations),
        ready_max_age_seconds=settings.ready_within_seconds,
    )
    server = Server([settings.listen_address], pages, config=settings.web_config_file, log=note)
    server.start()
    host, port = server.addresses[0]
    note(f"listening on {f'[{host}]' if ':' in host else host}:{port}")
    if settings.channels:
        service.elects = True
        threading.Thread(target=service.lead, name="lease", daemon=True).start()
    threading.Thread(target=service.loop, name="loop", daemon=True).start()
    try:
        while not stop.is_set() and not stopping.wait_for(LOOK_SECONDS):
            pass
        stop.set()
        service.acting.acquire(timeout=STOP_SECONDS)  # and never released: no act begins any more
        if service.elects:
            service.released.wait(LEASE_SECONDS)
    finally:
        server.stop(timeout_seconds=1.0)
    return 1 if service.crashed else 0


@dataclass(slots=True)
class Service:
    """The loop's thread. Everything that others read of it is in `status`."""

    settings: Settings
    table: PriceTable
    stop: threading.Event
    actor: str
    note: Note
    status: Status = field(default_factory=Status)
    crashed: bool = False
    acting: threading.Lock = field(default_factory=threading.Lock)  # held while it may write
    released: threading.Event = field(default_factory=threading.Event)  # the lease, at the end
    elects: bool = False  # several may be running: only the holder of the lease acts
    lease: Lease | None = None
    _failures: int = 0  # in a row
    _history_problem: str | None = None  # told once, not each minute

    def loop(self) -> None:
        """Cycle until told to stop. A cycle that fails is tried again, sooner than the next."""
        try:
            while not self.stop.is_set():
                self.cycle()
                self.stop.wait(self.pause_seconds())
        except Exception:
            self.crashed = True  # a bug: better restarted than half alive
            self.stop.set()
            raise

    def lead(self) -> None:
        """Keep asking for the lease, so that one of several advisors acts."""
        try:
            with open_cluster(self.settings) as client:
                self.lease = Lease(
                    client,
                    self.settings.namespace,
                    f"{socket.gethostname()}-{os.getpid()}",
                    duration_seconds=self.settings.lease_duration_seconds,
                    renew_seconds=self.settings.lease_renew_seconds,
                )
                while not self.stop.is_set():
                    self.lease.tick()
                    self.stop.wait(self.settings.lease_retry_seconds)
                self.lease.release()
        except ObserveError as error:
            self.note(f"agentaflow: {error}")
        finally:
            self.released.set()

    def _follower(self) -> str | None:
        if not self.elects:
            return None
        return self.lease.follower() if self.lease else "the lease was not asked for yet"

    def _as_leader(self) -> str:
        """Who acts, and in which term: written down with every step of a decision."""
        term = self.lease.transitions if self.lease else None
        return self.actor if term is None else f"{self.actor}, term {term} of {LEASE}"

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
                self.note(f"agentaflow: {error}")
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
            snapshot = observe(self.settings, prometheus, client, SIGNALS | PLACE_SIGNALS)
            self.status = self._advised(snapshot)
            self.note(_told(self.status))
            if acting and client is not None:
                try:
                    with self.acting:
                        self._act(snapshot, prometheus, client)
                except JournalError as error:
                    self.status = self.status.failed("act")
                    self.note(f"agentaflow: {error}")

    def _advised(self, snapshot: Snapshot) -> Status:
        advice = advise(self.settings, snapshot, self.table)
        reviewed, problem = review(self.settings, advice, actor=self.actor)
        if problem and problem != self._history_problem:
            self.note(f"agentaflow: {problem}")
        self._history_problem = problem
        return replace(
            self.status.failed("record") if problem else self.status,
            advice=reviewed,
            price_warning=price_warning(self.settings, advice.table, snapshot.taken_at),
            observed_at=time.time(),
            error=None,
            queries=self.status.queries + len(snapshot.queries),
        )

    def _act(self, snapshot: Snapshot, prometheus: Prometheus, client: Client) -> None:
        """Propose, carry out what is approved, verify what was applied: all of it only as the
        leader. Raises JournalError.
        """
        if why := self._follower():
            self.note(f"advises only: {why}")
            return
        with Journal(self.settings.journal) as journal:
            proposals = propose_placements(
                self.settings, snapshot, journal, actor=self.actor, now=time.time()
            )
            self._tell(proposals.decisions.values())
            advice = self.status.advice
            if advice is not None:
                made, _ = propose_advice(
                    self.settings,
                    advice.active,
                    snapshot,
                    journal,
                    client,
                    actor=self.actor,
                    now=time.time(),
                )
                self._tell(made)
            clock = Clock(sleep=self._sleep)
            self._tell(
                act(
                    self.settings,
                    journal,
                    client,
                    prometheus.now,
                    actor=self._as_leader(),
                    clock=clock,
                    follower=self._follower,
                )
            )
            verified = verify_applied(journal, client, now=time.time(), actor=self.actor)
            self._tell(decision for decision, _ in verified)
            self._tell(self._follow_up(snapshot, prometheus, client, journal))
            counts = Counter(decision.state for decision in journal.list())
            self.status = replace(self.status, decisions=counts, effects=_effects(journal))

    def _follow_up(
        self, snapshot: Snapshot, prometheus: Prometheus, client: Client, journal: Journal
    ) -> list[Decision]:
        """What was applied: taken back where it does harm, measured where its window is over."""
        undone = revert_harmful(
            self.settings,
            journal,
            client,
            prometheus.now,
            actor=self._as_leader(),
            now=time.time(),
            follower=self._follower,
        )
        advice = self.status.advice
        prices = advice.prices if advice else {}
        measured = measure_effects(
            journal,
            prometheus,
            dialects=snapshot.dialects,
            hourly={
                node: price.per_gpu_hour_residual
                for (_, node), price in prices.items()
                if isinstance(price, NodePrice)
            },
            window_seconds=self.settings.effect_window_seconds,
            now=time.time(),
            actor=self.actor,
        )
        return [*undone, *measured]

    def _tell(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            action, reason = decision.action, f": {decision.reason}" if decision.reason else ""
            self.note(f"decision {decision.id} {decision.state}: {action.told}{reason}")

    def _sleep(self, seconds: float) -> None:
        """A stop ends the waiting: the journal says `intended`, and the next start goes on."""
        if self.stop.wait(seconds):
            raise Stopped


def _effects(journal: Journal) -> Mapping[str, Measured]:
    """By channel, of the decisions whose saving was measured."""
    details = journal.details(State.VERIFIED)
    found: dict[str, Measured] = {}
    for decision in journal.list((State.VERIFIED,)):
        detail = details.get(decision.id, {})
        if "saved_gpus" in detail:
            channel = decision.action.channel
            found[channel] = found.get(channel, Measured()).plus(
                detail["saved_gpus"], detail["saved_gpus_error"]
            )
    return found


def _told(status: Status) -> str:
    advice = status.advice
    found = len(advice.active) if advice else 0
    hidden = sum(advice.hidden.values()) if advice else 0
    gpus = len(advice.snapshot.gpus) if advice else 0
    beside = f", {hidden} hidden" if hidden else ""
    lost = advice.snapshot.missing.reason if advice else ""
    beside += f"; {lost}" if lost else ""
    return f"looked at {counted(gpus, 'GPU')}: {counted(found, 'recommendation')}{beside}"
