"""Guards: each forbids what it is named for, says why, and hides no other."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.act.channels import GUARDS
from agentaflow_advisor.model import Taint, Toleration
from agentaflow_advisor.model.names import HOSTNAME
from tests.support.decisions import ACTING, NOW, context, decision, judged, names
from tests.support.fleet import gated_pod, node

POD = gated_pod("train", gpus=2)
TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")


def test_nothing_is_vetoed_when_every_fact_is_in_order() -> None:
    """An opted-in, gated, unchanged pod with room on its node passes all guards."""
    assert judged(decision(POD), context(POD)) == ()


def test_a_tolerated_taint_does_not_make_a_node_unusable() -> None:
    """A pod that tolerates the node's taint may go there."""
    pod = replace(POD, tolerations=(Toleration("nvidia.com/gpu", "Exists", None, None),))
    facts = context(pod, node=node("node-0", taints=(TAINT,)))
    assert judged(decision(pod), facts) == ()


def test_a_status_write_is_no_change_of_the_pod() -> None:
    """A new resourceVersion, phase or annotation alone vetoes nothing."""
    pod = replace(POD, resource_version="99", annotations={"note": "seen"}, created_at=5.0)
    assert judged(decision(POD), context(pod)) == ()


def test_pods_sent_to_the_node_but_not_yet_bound_take_its_room() -> None:
    """What an earlier decision promised is not promised twice."""
    sent = gated_pod("sent", gpus=7, gates=(), node_selector={HOSTNAME: "node-0"})
    assert names(judged(decision(POD), context(POD, others=(sent,)))) == ["node_has_room"]


def test_the_pod_itself_takes_none_of_the_room_that_it_needs() -> None:
    """The list of pods may hold the pod that is judged."""
    pod = gated_pod("train", gpus=8)
    assert judged(decision(pod), context(pod, others=(pod,))) == ()


def test_every_guard_is_asked() -> None:
    """All that is wrong is told at once."""
    facts = context(replace(POD, deleting=True), stopped="stop", namespace_labels={})
    assert names(judged(decision(POD), facts)) == [
        "kill_switch",
        "namespace_opted_in",
        "target_not_deleting",
    ]


@given(
    stopped=st.none() | st.just("stop"),
    channels=st.frozensets(st.sampled_from(["scheduling-gate", "evict"])),
    labels=st.none() | st.dictionaries(st.just("agentaflow.io/managed"), st.text(max_size=4)),
    age=st.floats(-1e4, 1e4),
    gpus=st.integers(0, 16),
)
def test_only_a_decision_that_is_in_order_throughout_gets_through(
    stopped: str | None,
    channels: frozenset[str],
    labels: dict[str, str] | None,
    age: float,
    gpus: int,
) -> None:
    """Whatever the facts, no veto means: not stopped, switched on, opted in, fresh, with room."""
    facts = context(
        POD,
        stopped=stopped,
        policy=replace(ACTING, channels=channels),
        namespace_labels=labels,
        prometheus_now=NOW + age,
        node=node("node-0", gpus=gpus),
    )
    in_order = (
        stopped is None
        and "scheduling-gate" in channels
        and (labels or {}).get("agentaflow.io/managed") == "true"
        and -1800 <= age + 15 <= 1800
        and gpus >= POD.gpus
    )
    assert (not judged(decision(POD), facts)) == in_order


def test_guards_have_names_of_their_own() -> None:
    """A veto is recorded by its guard's name, so no two may share one."""
    assert len({guard.__name__ for guard in GUARDS}) == len(GUARDS)
