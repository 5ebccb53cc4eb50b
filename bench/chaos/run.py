"""Batches of decisions, workers that die, a Prometheus that dies and lies; then the reckoning."""

from __future__ import annotations

import multiprocessing
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from agentaflow_advisor.act.points import Point
from agentaflow_advisor.decide.approval import approve
from agentaflow_advisor.decide.errors import JournalError
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Action, State
from bench.chaos import worker
from bench.chaos.faults import STALE_SECONDS, ChaosProxy
from bench.chaos.fleet import GPUS, METRIC_LIES, Advisor, DyingProxy, Liar, fleet
from bench.chaos.follower import Follower
from bench.chaos.people import People
from bench.chaos.reckoning import Reckoning, reckon, writes
from bench.chaos.summary import missing, tell
from bench.chaos.world import World
from tests.support.loopback import serve
from tools.control_plane import ControlPlane
from tools.processes import NotInTime, eventually
from tools.terminal import say

BATCH = 40
DEATH = 0.12  # chance of a worker to die at each point that it passes
LIVES = 250  # of workers for one batch, at most
WORKER_SECONDS = 120.0
STALE_EVERY = 10  # of the decisions made here, one in so many rests on evidence that is too old
THOROUGH = 1000  # from so many decisions on, every kind of fault has to have struck
LAST_BATCHES = 3  # more, where something was not tried by then


def main(decisions: int, seed: int) -> bool:
    """Prints the reckoning; whether nothing went wrong and everything was tried."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, ExitStack() as stack:
        chaos = Chaos(Path(folder), seed, stack)
        while chaos.made < decisions:
            chaos.batch(min(BATCH, max(12, decisions - chaos.made)))
            say(f"{chaos.made} of {decisions} decisions, {chaos.kills} kills")
        thorough = decisions >= THOROUGH
        for _ in range(LAST_BATCHES):
            if missing(chaos, thorough=thorough):
                chaos.batch(12)
        found, untried = chaos.reckoning(), missing(chaos, thorough=thorough)
        tell(found, chaos, untried, seed, time.monotonic() - started)
    return found.clean and not chaos.follower.lost and not untried


class Chaos:
    """Two journals, as two advisors that do not know of each other have them."""

    def __init__(self, folder: Path, seed: int, stack: ExitStack) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.batches = self.made = self.kills = self.prometheus_kills = self.refills = 0
        self.points: Counter[str] = Counter()
        self.due = list(Point)  # where no worker has died yet
        self.marked: dict[str, str] = {}
        self.lying_looks: Counter[str] = Counter()
        self.baseless: set[str] = set()  # decisions made of what was no truth
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(["bench.chaos.worker", "httpcore2"])
        self._start(folder, seed, stack)

    def _start(self, folder: Path, seed: int, stack: ExitStack) -> None:
        self.prometheus = stack.enter_context(fleet(folder))
        self.clock = DyingProxy(self.prometheus.url)
        self.clock.url = stack.enter_context(serve(self.clock.handle))
        self.lies = self.clock.falsify = Liar(seed)
        self.cluster = stack.enter_context(ControlPlane(apiserver_arguments=audit_policy(folder)))
        rows = self.prometheus.query("count by (node) (agentaflow_gpu_info)")
        nodes = sorted(row["metric"]["node"] for row in rows)
        self.world = World(self.cluster, seed, nodes, GPUS)
        self.people = People(self.world, seed)
        self.proxy = stack.enter_context(
            ChaosProxy(self.cluster.url, self.cluster.ca_file, seed, self.people.meddle)
        )
        self.journals = [
            stack.enter_context(Journal(folder / f"{name}.db")) for name in ("first", "second")
        ]
        self.kubeconfig = self.cluster.write_kubeconfig(
            "chaos", self.cluster.token, server=self.proxy.url
        )
        self.advisor = Advisor(self.clock.url, self.kubeconfig, self.world.namespace)
        self.follower = stack.enter_context(
            Follower(self.kubeconfig, self.cluster.kubeconfig, self.proxy)
        )

    def batch(self, size: int) -> None:
        """Decided, carried out through everything that goes wrong, looked at, cleared away."""
        actions = self.world.batch(size)
        rival = self.batches % 4 == 1  # the second advisor decides on the same objects
        journals = self.journals[: 2 if rival else 1]
        for number, action in enumerate(actions):
            stale = number % STALE_EVERY == STALE_EVERY - 1
            evidence = self.advisor.evidence(age_seconds=STALE_SECONDS * stale)
            for journal in journals:
                self.world.decided(journal, action, evidence, stale=stale)
                self.made += 1
        for journal in journals:
            self._propose(journal)
        self._carry_out(len(journals), actions)
        self.follower.compare()
        self.marked |= self.world.uids()
        self.world.clear()
        self.batches += 1

    def _propose(self, journal: Journal) -> None:
        """What waits: first while Prometheus lies about all it measured, then for good."""
        lies = METRIC_LIES if self.batches == 0 else (self.random.choice(METRIC_LIES),)
        for lie in (*lies, ""):
            self.lies.metrics = lie
            made = self.advisor.propose(journal)
            self.lies.metrics = ""
            if lie:
                self.lying_looks[lie] += 1
                self.baseless |= {each.id for each in made}
            self.made += len(made)
            for each in made:
                now = time.time()
                approve(journal, each.id, actor="alice", now=now, policy=worker.POLICY)

    def _carry_out(self, leaders: int, actions: list[Action]) -> None:
        dead = 1 if self.batches == 0 else self.random.randrange(60)  # in which life
        for life in range(LIVES):
            self.proxy.calm = self.lies.calm = life >= LIVES - 2
            if life == dead:
                self._live(leaders, life, without_prometheus=True)
            else:
                self._live(leaders, life)
            self.people.refill(actions)
            if not any(self._open(journal) for journal in self.journals):
                break
        self.proxy.calm = self.lies.calm = False

    def _live(self, leaders: int, life: int, *, without_prometheus: bool = False) -> None:
        """One life of each worker; Prometheus is killed under them, and comes back."""
        if without_prometheus:
            self.prometheus.kill()
            self.prometheus_kills += 1
        workers = [self._worker(number, life) for number in range(leaders)]
        if without_prometheus:
            met = self.clock.met
            with suppress(NotInTime):
                eventually(lambda: self.clock.met > met, 5, what="a worker asked it")
            self.prometheus.start()
        self._end(workers)

    def _worker(self, number: int, life: int) -> ForkServerProcess:
        calm = self.proxy.calm
        order = worker.Order(
            kubeconfig=self.kubeconfig,
            journal=self.journals[number].path,
            namespace=self.world.namespace,
            prometheus=self.clock.url,
            seed=self.random.randrange(2**31),
            chance=0.0 if calm else DEATH,
            point=self.due[life % len(self.due)] if self.due and not calm else "",
        )
        process = self.processes.Process(target=worker.main, args=(order,))
        process.start()
        return process

    def _end(self, workers: list[ForkServerProcess]) -> None:
        """Each by itself, by its own hand, or by ours after a time that nobody foresees."""
        seconds = WORKER_SECONDS if self.proxy.calm else self.random.uniform(0.2, 4.0)
        deadline = time.monotonic() + seconds
        for process in workers:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                process.kill()
                process.join()
            if process.exitcode == -signal.SIGKILL:
                self.kills += 1
            elif process.exitcode:
                raise RuntimeError(f"a worker failed: exit code {process.exitcode}, see above")
            process.close()
        self._count_points()

    def _count_points(self) -> None:
        self.points.clear()
        for journal in self.journals:
            kills = journal.path.with_suffix(".kills")
            self.points.update(kills.read_text().split() if kills.exists() else ())
        self.due = [point for point in self.due if not self.points[point]]

    def _open(self, journal: Journal) -> bool:
        undone = any(map(worker.taken_back, journal.list((State.APPLIED,))))
        return undone or bool(journal.list((State.APPROVED, State.INTENDED)))

    def reckoning(self) -> Reckoning:
        """Journals against the audit log."""
        for journal in self.journals:
            if journal.verify() != ():
                raise JournalError(f"the chain of {journal.path} is broken")
        decisions = [each for journal in self.journals for each in journal.list()]
        done = writes(self.folder / "audit.log")
        replaced, removed = frozenset(self.people.replaced), frozenset(self.people.removed)
        return reckon(decisions, done, self.marked, replaced, frozenset(self.baseless), removed)


def audit_policy(folder: Path) -> tuple[str, ...]:
    """The API server's flags for a log of every write with its body, and where that is."""
    policy = folder / "audit-policy.yaml"
    policy.write_text(
        '{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],'
        ' "rules": [{"level": "Request", "verbs": ["patch", "create"],'
        ' "resources": [{"group": ""}, {"group": "batch"}, {"group": "resource.k8s.io"},'
        ' {"group": "kueue.x-k8s.io"}]}]}'
    )
    return (f"--audit-policy-file={policy}", f"--audit-log-path={folder / 'audit.log'}")
