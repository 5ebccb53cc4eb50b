"""The lease on a real API server: one acts, another takes over, a sleeper finds its time over."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from lightkube import Client

from agentaflow_advisor.lease import Lease
from agentaflow_advisor.model.names import LEASE
from agentaflow_advisor.observe.cluster import connect
from tools.control_plane import ControlPlane


@dataclass
class Watch:
    """A clock that the test turns."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Office:
    """A namespace in which advisors ask for the lease."""

    cluster: ControlPlane
    client: Client
    namespace: str
    watch: Watch

    def advisor(self, identity: str) -> Lease:
        return Lease(self.client, self.namespace, identity, monotonic=self.watch)

    def spec(self) -> dict[str, object]:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{LEASE}"
        seen: dict[str, object] = self.cluster.must("GET", path)["spec"]
        return seen


@pytest.fixture
def office(cluster: ControlPlane) -> Iterator[Office]:
    name = f"lease-{secrets.token_hex(4)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.must("POST", "/api/v1/namespaces", body)
    with connect(cluster.kubeconfig, None) as client:
        yield Office(cluster, client, name, Watch())


def test_the_first_leads_and_the_second_is_told_who_does(office: Office) -> None:
    """Only one of them may act."""
    one, two = office.advisor("one"), office.advisor("two")
    one.tick()
    two.tick()
    assert (one.follower(), one.transitions) == (None, 0)
    assert two.follower() == f"one holds lease {office.namespace}/{LEASE}"


def test_a_leader_that_renews_keeps_it(office: Office) -> None:
    """However long the other waits."""
    one, two = office.advisor("one"), office.advisor("two")
    for _ in range(12):
        one.tick()
        two.tick()
        office.watch.seconds += 5
    one.tick()
    assert one.follower() is None
    assert two.follower() is not None


def test_a_leader_that_sleeps_is_replaced_and_knows_it_when_it_wakes(office: Office) -> None:
    """Before it asks anybody: its own clock says so."""
    one, two = office.advisor("one"), office.advisor("two")
    one.tick()
    two.tick()
    office.watch.seconds += 16
    assert "was renewed 16 s ago" in str(one.follower())
    two.tick()
    assert (two.follower(), two.transitions) == (None, 1)
    one.tick()
    assert one.follower() == f"two holds lease {office.namespace}/{LEASE}"
    assert office.spec()["leaseTransitions"] == 1


def test_a_lease_that_was_given_back_is_taken_at_once(office: Office) -> None:
    """Nobody waits for the end of a process that has ended well."""
    one, two = office.advisor("one"), office.advisor("two")
    one.tick()
    one.release()
    assert one.follower() == "the lease was given back"
    two.tick()
    assert two.follower() is None


def test_of_two_that_take_an_ended_lease_one_gets_it(office: Office) -> None:
    """The API server refuses the second write: it was read before the first."""
    one, two, three = map(office.advisor, ("one", "two", "three"))
    one.tick()
    two.tick()
    three.tick()
    office.watch.seconds += 16
    two.tick()
    three.tick()
    assert [each.follower() is None for each in (two, three)] == [True, False]


def test_a_leader_that_cannot_renew_stops_to_act_before_another_may(office: Office) -> None:
    """Ten seconds to renew, fifteen until it is taken: never both at once."""
    one, two = office.advisor("one"), office.advisor("two")
    one.tick()
    two.tick()
    for _ in range(20):
        office.watch.seconds += 1
        two.tick()
        assert not (one.follower() is None and two.follower() is None)
    assert two.follower() is None
