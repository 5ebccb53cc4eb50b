"""Pace: whatever a runaway strategy proposes, no more is carried out than each limit allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.act.apply import Clock
from agentaflow_advisor.configuration import load
from agentaflow_advisor.cycle import act
from agentaflow_advisor.decide.approval import approve
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.model.names import DECISION, MANAGED
from agentaflow_advisor.observe.kubernetes import workload
from tests.support.applying import pod_manifest
from tests.support.decisions import ACTING, NOW, decision
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_kubernetes import node_manifest

HOUR = 3600.0
NODES, NAMESPACES = ("node-0", "node-1"), ("research", "vision")


@dataclass
class Runaway:
    """A strategy that proposes everything, and people who say yes to all of it."""

    journal: Journal
    limits: dict[str, Any]
    cluster: FakeCluster = field(default_factory=lambda: FakeCluster(world()))
    now: float = NOW
    number: int = 0
    acts: list[tuple[float, int, Decision]] = field(default_factory=list)  # time, cycle, what

    def propose(self, number: int) -> None:
        """So many pods more, over all nodes and namespaces."""
        for _ in range(number):
            self.number += 1
            namespace = NAMESPACES[self.number // 2 % 2]
            manifest = pod_manifest(f"p{self.number}", namespace=namespace, gpus=1)
            manifest["metadata"] |= {"uid": f"uid-{self.number}", "resourceVersion": "1"}
            path = f"/api/v1/namespaces/{namespace}/pods/p{self.number}"
            self.cluster.objects[path] = manifest
            pod = workload(cast(Pod, Pod.from_dict(manifest)))
            made = self.journal.add(decision(pod, on=NODES[self.number % 2], now=self.now))
            approve(self.journal, made.id, actor="alice", now=self.now, policy=ACTING)

    def cycle(self, number: int) -> int:
        """How many writes the API server was sent."""
        before = len(self.cluster.accepted)
        sent = self.sent
        chosen = load(None, {"channels": ["scheduling-gate"], **self.limits})
        act(
            chosen,
            self.journal,
            self.cluster.client,
            lambda: NOW,
            actor="test",
            clock=Clock(now=lambda: self.now, monotonic=lambda: 0.0, sleep=lambda _: None),
        )
        for patch in self.cluster.accepted[before:]:
            marker = patch["metadata"]["annotations"][DECISION]
            self.acts.append((self.now, number, self.journal.get(marker)))
        return self.sent - sent

    @property
    def sent(self) -> int:
        return sum(
            request.method == "PATCH" and "dryRun" not in request.url.params
            for request in self.cluster.requests
        )


def world() -> dict[str, dict[str, Any]]:
    """Two nodes and two namespaces that opted in."""
    nodes = {f"/api/v1/nodes/{name}": node_manifest(name, 100) for name in NODES}
    return nodes | {
        f"/api/v1/namespaces/{name}": {"metadata": {"name": name, "labels": {MANAGED: "true"}}}
        for name in NAMESPACES
    }


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


Counts = Callable[[float, int, Decision], Callable[[float, int, Decision], bool]]
PACES: dict[str, Counts] = {
    "max_decisions_per_cycle": lambda _, cycle, __: lambda _, other, __: other == cycle,
    "max_decisions_per_hour": lambda at, _, __: lambda then, _, __: at - HOUR < then <= at,
    "max_decisions_per_node_hour": lambda at, _, made: (
        lambda then, _, one: at - HOUR < then <= at and one.action.node == made.action.node
    ),
    "max_decisions_per_namespace_hour": lambda at, _, made: (
        lambda then, _, one: (
            at - HOUR < then <= at and one.action.namespace == made.action.namespace
        )
    ),
}
"""Setting → which acts count together with one of them."""


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    limits=st.fixed_dictionaries({name: st.integers(0, 4) for name in PACES}),
    cycles=st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from([60.0, 800.0, 3000.0])), min_size=1, max_size=5
    ),
)
def test_no_limit_is_ever_exceeded(
    tmp_path_factory: pytest.TempPathFactory,
    limits: dict[str, int],
    cycles: list[tuple[int, float]],
) -> None:
    """However much is proposed and approved, and whenever: each limit holds for each act."""
    with Journal(tmp_path_factory.mktemp("pace") / "journal.db") as book:
        strategy = Runaway(book, limits)
        for turn, (number, pause) in enumerate(cycles):
            strategy.propose(number)
            strategy.cycle(turn)
            strategy.now += pause
    for act_ in strategy.acts:
        for name, most in limits.items():
            together = PACES[name](*act_)
            assert sum(together(*other) for other in strategy.acts) <= most, name


@pytest.mark.parametrize("limit", PACES)
def test_each_limit_alone_holds_back_what_is_too_much(journal: Journal, limit: str) -> None:
    """One is carried out for each of what is counted; the others stay approved and wait."""
    strategy = Runaway(journal, {limit: 1})
    strategy.propose(8)
    strategy.cycle(0)
    apart = 1 if limit in ("max_decisions_per_cycle", "max_decisions_per_hour") else 2
    assert len(strategy.acts) == apart
    assert len(journal.list((State.APPROVED,))) == 8 - apart


@pytest.mark.parametrize("most", [1, 3])
def test_the_breaker_opens_after_so_many_failures_and_closes_an_hour_later(
    journal: Journal, most: int
) -> None:
    """While it is open nothing is sent at all."""
    strategy = Runaway(journal, {"breaker_failures": most})
    strategy.cluster.faults = repeat("403")
    strategy.propose(8)
    assert strategy.cycle(0) == most
    strategy.now += HOUR - 1
    strategy.propose(8)
    assert strategy.cycle(1) == 0
    strategy.now += 1
    assert strategy.cycle(2) == most
