"""The part of the loop that changes a cluster: propose, carry out, verify, follow up; as leader."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from lightkube import Client

from agentaflow_advisor.act.apply import Clock
from agentaflow_advisor.act.channels import admission_check
from agentaflow_advisor.act.errors import ApiTrouble
from agentaflow_advisor.act.resources import nodes, recommendations, workloads
from agentaflow_advisor.act.resources.kinds import installed
from agentaflow_advisor.advice import Advice
from agentaflow_advisor.connections import open_cluster
from agentaflow_advisor.cycle import act, propose_advice, propose_placements, revert_harmful
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.lease import Lease
from agentaflow_advisor.model import AdmitWorkload, Decision, Refusal, Snapshot, State
from agentaflow_advisor.model.names import LEASE
from agentaflow_advisor.observe.errors import ObserveError
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.price import NodePrice
from agentaflow_advisor.settings import Settings
from agentaflow_advisor.telling import DRAIN_SECONDS, Teller
from agentaflow_advisor.verify import measure_effects, verify_applied
from agentaflow_advisor.web.status import Measured
from agentaflow_exporter.log import Log

SHOWN_SECONDS = 3600.0  # how long what has ended is still to be seen in the API
LIVE = frozenset({State.PROPOSED, State.APPROVED, State.INTENDED, State.APPLIED})
LEASE_SECONDS = 2.0  # how long a stop waits for the lease to be given back


class Stopped(Exception):
    """The service was told to stop while a decision waited for the API server."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the journal tells after a cycle."""

    decisions: Mapping[State, int]
    effects: Mapping[str, Measured]  # by channel
    notices: Mapping[str, int]  # delivered, failed and dropped


@dataclass(slots=True)
class Acting:
    """One of several advisors acts: the holder of the lease, where `elect` was called."""

    settings: Settings
    stop: threading.Event
    actor: str
    log: Log
    _lock: threading.Lock = field(default_factory=threading.Lock)  # held while it may write
    _elects: bool = False
    _lease: Lease | None = None
    _released: threading.Event = field(default_factory=threading.Event)
    _teller: Teller = field(init=False)

    def __post_init__(self) -> None:
        self._teller = Teller(self.settings, self.log)

    # -- life -------------------------------------------------------------------

    def elect(self) -> None:
        """Ask for the lease from now on, in a thread."""
        self._elects = True
        threading.Thread(target=self._lead, name="lease", daemon=True).start()

    def end(self, *, within_seconds: float) -> None:
        """Wait for the act that runs; no other begins any more, and the lease is given back."""
        self._lock.acquire(timeout=max(0.0, within_seconds - DRAIN_SECONDS))
        if self._elects:
            self._released.wait(LEASE_SECONDS)
        self._teller.end()

    def _lead(self) -> None:
        settings = self.settings
        try:
            with open_cluster(settings) as client:
                self._lease = Lease(
                    client,
                    settings.namespace,
                    f"{socket.gethostname()}-{os.getpid()}",
                    duration_seconds=settings.lease_duration_seconds,
                    renew_seconds=settings.lease_renew_seconds,
                )
                while not self.stop.is_set():
                    self._lease.tick()
                    self.stop.wait(settings.lease_retry_seconds)
                self._lease.release()
        except ObserveError as error:
            self.log.error(str(error), component="lease")
        finally:
            self._released.set()

    def follower(self) -> str | None:
        """Why another process is the one that acts; None where it is this one."""
        if not self._elects:
            return None
        return self._lease.follower() if self._lease else "the lease was not asked for yet"

    @property
    def leader(self) -> str:
        """Who acts, and in which term: written down with every step of a decision."""
        term = self._lease.transitions if self._lease else None
        return self.actor if term is None else f"{self.actor}, term {term} of {LEASE}"

    # -- a cycle ----------------------------------------------------------------

    def act(
        self, snapshot: Snapshot, advice: Advice | None, prometheus: Prometheus, client: Client
    ) -> Outcome | None:
        """All that follows from a look; None where another leads. Raises JournalError, Stopped."""
        if why := self.follower():
            self.log.info(f"advises only: {why}", component="lease")
            self._teller.stand_by()
            return None
        tell = self._teller.tell
        with self._lock, Journal(self.settings.journal) as journal:
            self._teller.begin(journal)
            unplaced = self._propose(snapshot, advice, client, journal)
            with self._resources():
                self._adopt(client, journal)
            tell(client, journal)
            results: Iterable[Decision] = ()
            try:
                results = self._carry_out(prometheus, client, journal)
            finally:  # a stop may end it half-way, and what was done by then is told
                tell(client, journal, results)
            verify_applied(journal, client, now=time.time(), actor=self.actor)
            tell(client, journal, self._undo_harm(prometheus, client, journal))
            self._measure(snapshot, advice, prometheus, journal)
            tell(client, journal)
            with self._resources():
                self._publish(snapshot, advice, client, journal, unplaced)
                if AdmitWorkload.channel in self.settings.channels:
                    admission_check.activate(client)
            counts = Counter(decision.state for decision in journal.list())
            return Outcome(counts, _effects(journal), self._teller.notices)

    def _propose(
        self, snapshot: Snapshot, advice: Advice | None, client: Client, journal: Journal
    ) -> tuple[Refusal, ...]:
        """Why what waits found no place is the answer."""
        now = time.time()
        placed = propose_placements(self.settings, snapshot, journal, actor=self.actor, now=now)
        if advice is None:
            return placed.refusals
        _, refusals = propose_advice(
            self.settings, advice.active, snapshot, journal, client, actor=self.actor, now=now
        )
        for refusal in refusals:
            self.log.debug(f"{refusal.subject} is not proposed: {refusal.reason}", component="act")
        return placed.refusals

    @contextmanager
    def _resources(self) -> Iterator[None]:
        """Our own resources mirror what is going on; without them it goes on all the same."""
        try:
            yield
        except ApiTrouble as trouble:
            self.log.warning(str(trouble), component="resources")

    def _adopt(self, client: Client, journal: Journal) -> None:
        if installed(client):
            policy, home = self.settings.policy(), self.settings.namespace
            recommendations.adopt(client, home, journal, policy, now=time.time())

    def _publish(
        self,
        snapshot: Snapshot,
        advice: Advice | None,
        client: Client,
        journal: Journal,
        unplaced: Iterable[Refusal],
    ) -> None:
        if not installed(client):
            return
        since, home = time.time() - SHOWN_SECONDS, self.settings.namespace
        shown = [each for each in journal.list() if each.state in LIVE or each.state_at > since]
        recommendations.publish(client, home, shown, self.settings.policy())
        recommendations.forget(client, home, (each.id for each in shown))
        if advice is not None:
            nodes.publish(client, nodes.statuses(snapshot, advice.active, advice.prices))
        for trouble in workloads.reconcile(client, unplaced):
            self.log.warning(trouble, component="resources")

    def _carry_out(
        self, prometheus: Prometheus, client: Client, journal: Journal
    ) -> Iterable[Decision]:
        return act(
            self.settings,
            journal,
            client,
            prometheus.now,
            actor=self.leader,
            clock=Clock(sleep=self._sleep),
            follower=self.follower,
        )

    def _undo_harm(
        self, prometheus: Prometheus, client: Client, journal: Journal
    ) -> Iterable[Decision]:
        return revert_harmful(
            self.settings,
            journal,
            client,
            prometheus.now,
            actor=self.leader,
            now=time.time(),
            follower=self.follower,
        )

    def _measure(
        self, snapshot: Snapshot, advice: Advice | None, prometheus: Prometheus, journal: Journal
    ) -> None:
        prices = advice.prices if advice else {}
        measure_effects(
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
