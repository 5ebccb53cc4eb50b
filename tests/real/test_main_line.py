"""The line, end to end: a number in the driver moves a pod, once, whatever dies on the way.

Only the silicon is made up: NVML is a C library that pynvml loads as it would load the driver's.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import State
from agentaflow_advisor.model.names import DECISION, HOSTNAME
from tests.support.fault_proxy import Fault, FaultProxy, Kind
from tests.support.leaders import Advisor, advisor
from tests.support.line import Line, running_line
from tools.control_plane import ControlPlane
from tools.processes import eventually


@pytest.fixture(scope="module")
def line(
    own_cluster: ControlPlane,
    prometheus_binary: Path,  # noqa: ARG001 it skips where there is none
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Line]:
    with running_line(own_cluster, "line", tmp_path_factory.mktemp("line")) as running:
        yield running


def test_a_number_from_nvml_becomes_advice_in_money(line: Line) -> None:
    """The GPUs that the driver calls idle are recommended at their price; the busy ones are not."""
    answer = line.run("recommend")
    found = {(each["where"]["node"], each["where"]["gpu"]) for each in answer["recommendations"]}
    assert found == {(line.idle_node, str(gpu)) for gpu in range(8)}
    for each in answer["recommendations"]:
        money = each["saves"]["per_month"]
        assert (money["currency"], float(money["amount"]) > 1000) == ("USD", True)
        assert each["evidence"]["samples"] >= 3
    assert answer["prices"]["assumed_nodes"] == 0  # the node's label says which machine it is


def test_thin_evidence_is_refused_with_a_reason(line: Line) -> None:
    """With the settings that users have, some seconds of samples prove nobody idle."""
    answer = line.run(
        "recommend",
        AGENTAFLOW_IDLE_MIN_WINDOW_SECONDS="",
        AGENTAFLOW_IDLE_MIN_COVERAGE_RATIO="",
    )
    assert answer["recommendations"] == []
    short = "a window of 5 min is too short, 1 h is the least"
    refused = {each["subject"] for each in answer["refusals"] if each["reason"] == short}
    assert refused == {f"{line.idle_node}/gpu {gpu}" for gpu in range(8)}


def test_the_line_from_the_driver_to_a_verified_placement(line: Line) -> None:
    """place, approve, apply: the gated pod runs where the driver measured the least work."""
    line.scene.add_pod("whole-line")
    (proposed,) = line.run("place", "--strategy=least_utilized")["placements"]
    assert proposed["node"] == line.idle_node
    assert line.scene.pod("whole-line")["spec"].get("nodeName") is None

    line.run("approve", proposed["decision"])
    line.run("apply", "--channel=scheduling-gate", "--wait=30")
    assert line.scene.bound_to("whole-line") == line.idle_node

    shown = line.run("journal", "show", proposed["decision"])
    states = [event["to_state"] for event in shown["events"]]
    assert states == ["proposed", "approved", "intended", "applied", "verified"]
    assert line.run("journal", "verify")["problems"] == []


@pytest.mark.parametrize(
    ("fault", "patched"),
    [
        pytest.param(Fault(Kind.HOLD), False, id="between journal commit and patch"),
        pytest.param(Fault(Kind.FORWARD_THEN_HOLD), True, id="between patch and answer"),
    ],
)
def test_the_advisor_killed_while_applying_patches_exactly_once(
    line: Line, own_cluster: ControlPlane, fault: Fault, patched: bool
) -> None:
    """`agentaflow apply`, killed and started again, ends with one patch, bound and verified."""
    name = f"killed-{secrets.token_hex(3)}"
    line.scene.add_pod(name)
    (proposed,) = line.run("place", "--strategy=least_utilized")["placements"]
    made = proposed["decision"]
    line.run("approve", made)
    apply = ("apply", "--channel=scheduling-gate", "--wait=30")

    with FaultProxy(own_cluster.url, own_cluster.ca_file) as proxy:
        proxy.inject(fault)
        first = line.start(*apply, server=proxy.url)
        try:
            proxy.wait_until_struck(fault.kind)
        finally:
            first.process.kill()
            first.stop()
        with Journal(line.journal) as journal:
            assert journal.get(made).state is State.INTENDED
        annotations = line.scene.pod(name)["metadata"].get("annotations", {})
        assert (DECISION in annotations) == patched

        second = line.start(*apply, server=proxy.url)
        assert second.process.wait(60) == 0, second.log.read_text()
        assert len(proxy.writes()) == 1

    assert line.scene.bound_to(name) == proposed["node"]
    pod = line.scene.pod(name)
    assert pod["metadata"]["annotations"][DECISION] == made
    assert pod["spec"]["nodeSelector"] == {HOSTNAME: proposed["node"]}
    with Journal(line.journal) as journal:
        assert journal.get(made).state is State.VERIFIED
        assert journal.verify() == ()


def test_a_leader_that_is_paused_while_it_writes_comes_back_to_find_it_done(line: Line) -> None:
    """Another leads by then and has placed the pod: it is placed once, the first leads on."""
    pod, other, resumed = "contested", "next", threading.Event()
    with advisor(line, "first") as first:
        eventually(lambda: first.leads, what="the first leads")
        with advisor(line, "second") as second:
            eventually(lambda: "advises only" in second.said(), what="the second stands by")

            def sleep_through_a_term() -> None:
                first.pause()
                eventually(lambda: second.writes(pod) == [200], what="the second has placed it")
                first.resume()
                resumed.set()

            edit = Fault(Kind.EDIT_THEN_FORWARD, path=f"/pods/{pod}", edit=sleep_through_a_term)
            first.proxy.inject(edit)
            line.scene.add_pod(pod)
            assert resumed.wait(60)
            eventually(lambda: first.writes(pod), what="the write of the paused one has arrived")
            eventually(lambda: "holds lease" in first.said(), what="the first stands by")
            assert (first.writes(pod), second.writes(pod)) == ([409], [200])
            (done,) = second.decisions(pod)
            assert line.scene.pod(pod)["metadata"]["annotations"][DECISION] == done.id
            assert line.scene.bound_to(pod) == done.action.node
            assert second.program.stop(gently_for=15) == 0
        eventually(lambda: first.leads, what="the first leads again")
        line.scene.add_pod(other)
        eventually(lambda: first.writes(other) == [200], what="the first acts again")
        eventually(lambda: states(first, other) == [State.VERIFIED], what="verified")
        assert states(first, pod) == [State.SUPERSEDED]
        assert first.writes(pod) == [409]


def states(advisor: Advisor, pod: str) -> list[State]:
    return [each.state for each in advisor.decisions(pod)]
