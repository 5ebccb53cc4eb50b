"""Batches of decisions, workers that die, a Prometheus that comes and goes; then the reckoning."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Action, State
from bench.chaos.faults import ChaosProxy, LyingTime
from bench.chaos.follower import Follower
from bench.chaos.reckoning import Reckoning, reckon, writes
from bench.chaos.world import World, audit_policy
from tests.support.prometheus_proxy import prometheus_proxy
from tools.control_plane import ControlPlane
from tools.processes import Program
from tools.prometheus import PrometheusServer
from tools.terminal import say

ROOT = Path(__file__).parents[2]
BATCH = 40
DEATH = 0.02  # chance of a worker to die at each point that it passes
LIVES = 200  # of workers for one batch, at most
WORKER_SECONDS = 120.0


def main(decisions: int, seed: int) -> bool:
    """Prints the reckoning; whether all that it counts as wrong is 0."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, ExitStack() as stack:
        chaos = Chaos(Path(folder), seed, stack)
        while chaos.made < decisions:
            chaos.batch(min(BATCH, decisions - chaos.made))
            say(f"{chaos.made} of {decisions} decisions, {chaos.kills} kills")
        found = chaos.reckoning()
        _tell(found, chaos, seed, time.monotonic() - started)
    return found.clean and not chaos.follower.lost


class Chaos:
    """Two journals, as two advisors that do not know of each other have them."""

    def __init__(self, folder: Path, seed: int, stack: ExitStack) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.made = self.kills = self.prometheus_kills = 0
        self.points: Counter[str] = Counter()
        self.marked: dict[str, str] = {}
        self.cluster = stack.enter_context(ControlPlane(apiserver_arguments=audit_policy(folder)))
        self.world = World(self.cluster, seed)
        self.proxy = stack.enter_context(
            ChaosProxy(self.cluster.url, self.cluster.ca_file, seed, self.world.meddle)
        )
        self.prometheus = stack.enter_context(PrometheusServer(folder / "prometheus"))
        self.clock = stack.enter_context(prometheus_proxy(self.prometheus.url))
        self.lies = self.clock.falsify = LyingTime(seed)
        self.journals = [
            stack.enter_context(Journal(folder / f"{name}.db")) for name in ("first", "second")
        ]
        self.kubeconfig = self.cluster.write_kubeconfig(
            "chaos", self.cluster.token, server=self.proxy.url
        )
        self.follower = stack.enter_context(
            Follower(self.kubeconfig, self.cluster.kubeconfig, self.proxy)
        )

    def batch(self, size: int) -> None:
        """Decided, carried out through everything that goes wrong, looked at, cleared away."""
        actions: list[Action] = []
        rival = self.made // BATCH % 4 == 1  # the second advisor decides on the same objects
        for action in self.world.batch(size):
            self.made += 1
            actions.append(self.world.decided(self.journals[0], action, self.made).action)
            if rival:
                self.world.decided(self.journals[1], action, self.made)
        self._carry_out(2 if rival else 1, actions)
        self.follower.compare()
        self.marked |= self.world.uids()
        self.world.clear()

    def _carry_out(self, leaders: int, actions: list[Action]) -> None:
        for life in range(LIVES):
            self.proxy.calm = self.lies.calm = life >= LIVES - 2
            if life == 1 and self.random.random() < 0.15:
                self._kill_prometheus()
            workers = [self._worker(number) for number in range(leaders)]
            self._end(workers)
            self.world.refill(actions)
            if not any(self._open(journal) for journal in self.journals):
                break
        self.proxy.calm = self.lies.calm = False

    def _worker(self, number: int) -> Program:
        journal = self.journals[number].path
        chance = 0.0 if self.proxy.calm else DEATH
        arguments: list[str | Path] = [
            self.kubeconfig,
            journal,
            self.world.namespace,
            self.clock.url,
        ]
        return Program(
            [
                sys.executable,
                "-m",
                "bench.chaos.worker",
                *arguments,
                str(self.random.randrange(2**31)),
                str(chance),
            ],
            self.folder / f"worker-{number}.log",
            folder=ROOT,
        )

    def _end(self, workers: list[Program]) -> None:
        """Each by itself, by its own hand, or by ours after a time that nobody foresees."""
        deadline = time.monotonic() + (
            WORKER_SECONDS if self.proxy.calm else self.random.uniform(1.0, 12.0)
        )
        for worker in workers:
            code = None
            with suppress(subprocess.TimeoutExpired):
                code = worker.process.wait(max(0.0, deadline - time.monotonic()))
            if code is None:
                worker.process.kill()
            if code in (None, -signal.SIGKILL):
                self.kills += 1
            elif code:
                raise RuntimeError(f"a worker failed:\n{worker.log.read_text()[-2000:]}")
            worker.stop()

    def _kill_prometheus(self) -> None:
        self.prometheus.kill()
        self.prometheus.start()
        self.prometheus_kills += 1

    def _open(self, journal: Journal) -> bool:
        undone = any(each.strategy == "taken back" for each in journal.list((State.APPLIED,)))
        return undone or bool(journal.list((State.APPROVED, State.INTENDED)))

    def reckoning(self) -> Reckoning:
        """Journals against the audit log."""
        for journal in self.journals:
            assert journal.verify() == (), "a journal's chain is broken"
            kills = journal.path.with_suffix(".kills")
            self.points.update(kills.read_text().split() if kills.exists() else ())
        decisions = [each for journal in self.journals for each in journal.list()]
        done = writes(self.folder / "audit.log")
        return reckon(decisions, done, self.marked, frozenset(self.world.replaced))


def _tell(found: Reckoning, chaos: Chaos, seed: int, seconds: float) -> None:
    faults = chaos.proxy.counted.total() + chaos.lies.lies.total() + chaos.prometheus_kills
    print(
        f"decisions {found.decisions}, kills {chaos.kills}, faults {faults}: "
        f"lost {len(found.lost)}, applied twice {len(found.twice)}, "
        f"innocent pods touched {len(found.innocent)}, "
        f"acts on stale evidence {len(found.stale)} (seed {seed}, {seconds:.0f} s)"
    )
    print("came to: " + ", ".join(f"{state} {n}" for state, n in sorted(found.states.items())))
    print("killed at: " + ", ".join(f"{at} {n}" for at, n in sorted(chaos.points.items())))
    print("faults: " + ", ".join(f"{kind} {n}" for kind, n in sorted(chaos.proxy.counted.items())))
    follower = chaos.follower
    print(
        f"the view: changes {follower.events}, lists anew {follower.relists}, "
        f"comparisons with a list {follower.compared}: lost {len(follower.lost)}"
    )
    lies = ", ".join(f"{lie} {n}" for lie, n in sorted(chaos.lies.lies.items()))
    print(f"Prometheus: killed {chaos.prometheus_kills}, lied: {lies or 'never'}")
    for wrong in (*found.lost, *found.twice, *found.innocent, *found.stale, *follower.lost)[:20]:
        print(f"  {wrong}")
