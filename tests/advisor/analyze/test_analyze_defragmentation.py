"""Defragmentation as advice: which moves would let waiting pods in, at what those GPUs cost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agentaflow_advisor.analyses import run
from agentaflow_advisor.analyze import (
    DefragmentationSettings,
    Findings,
    SettingsError,
    defragmentation,
)
from agentaflow_advisor.configuration import load
from agentaflow_advisor.model import (
    DisruptionBudget,
    Disruptions,
    Missing,
    Money,
    Refusal,
    Snapshot,
)
from agentaflow_advisor.price import NodeKey, NodePrice
from agentaflow_advisor.savings import saved
from tests.support.advice import about
from tests.support.fleet import gated_pod, node, running_pod, snapshot

PRICE = NodePrice(
    "own", Money(Decimal(64)), Money(Decimal(8)), Money(Decimal(5)), assumed=False, how="own"
)
PRICES: dict[NodeKey, NodePrice | Refusal] = {("", "a"): PRICE, ("", "b"): PRICE}
NOBODY_MAY_GO = Disruptions((DisruptionBudget("research", "pdb", 0, {}),))


def scene(**changes: Any) -> Snapshot:
    """Nodes a and b with 8 GPUs and 6 taken on each by a web's pods; a training pod waits for 4."""
    pods = [
        running_pod(f"{on}{number}", on, 2, owner="ReplicaSet/web")
        for on in "ab"
        for number in range(3)
    ]
    seen = snapshot([node("a"), node("b")], [*pods, gated_pod("train", 4)])
    return replace(seen, **{"disruptions": Disruptions(), **changes})


def find(seen: Snapshot, prices: dict[NodeKey, NodePrice | Refusal] | None = None) -> Findings:
    there = PRICES if prices is None else prices
    return defragmentation.analyze(seen, there, DefragmentationSettings())


def test_a_move_that_lets_a_waiting_pod_in() -> None:
    """One pod goes from a to b, four GPUs get of use: 4 x 5 USD x 730 h."""
    (found,) = find(scene()).recommendations
    assert found.kind == "defragmentation"
    assert found.what == (
        "moving 1 pod would make room for 1 of 1 pod that wait, 4 GPUs: "
        "move research/a0 from a to b; room for research/train (4 on a)"
    )
    assert found.saves
    assert found.saves.per_month == Money(Decimal(4 * 5 * 730))
    assert (found.saves.inputs["moves"], found.saves.inputs["gpus_of_use"]) == ("1", "4.00")
    assert found.enforceable == "node"
    assert "checkpoint" in found.risk
    assert 0 < found.confidence < 1


def test_the_same_finding_has_the_same_id() -> None:
    """Another pod waits, and more of them: the id hangs on the cluster alone."""
    (one,) = find(scene()).recommendations
    seen = scene()
    other = replace(seen, workloads=(*seen.workloads[:-1], gated_pod("another", 4)))
    (two,) = find(other).recommendations
    assert one.id == two.id


def test_it_is_not_counted_beside_fragmentation() -> None:
    """Both are about the whole cluster: the larger of the two counts."""
    (found,) = find(scene()).recommendations
    fragments = about("999999")
    assert saved([found, fragments]) == (Money(Decimal(999999)),)
    assert saved([found, about("1")]) == (Money(Decimal(4 * 5 * 730)),)


def test_a_budget_that_forbids_it_is_said() -> None:
    """The waiting pod is refused by name, with what keeps the others in their places."""
    findings = find(scene(disruptions=NOBODY_MAY_GO))
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert refusal.subject == "research/train"
    assert "6 with GPUs stay: PodDisruptionBudget pdb allows no disruption now" in refusal.reason


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"has_cluster": False}, "give --kubeconfig"),
        ({"disruptions": Disruptions(unknown="forbidden")}, "are not known: forbidden"),
        ({"missing": Missing(anywhere="a partial response")}, "a partial response"),
    ],
)
def test_what_is_not_known_is_refused(changes: dict[str, Any], why: str) -> None:
    """Without Kubernetes, its disruption budgets or a whole answer nothing is recommended."""
    findings = find(scene(**changes))
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert why in refusal.reason


def test_prices() -> None:
    """Without any there is no recommendation but the reason."""
    assert find(scene(), {}) == Findings((), (Refusal("node a", "no price"),))


def test_a_pod_that_came_just_now_is_given_time() -> None:
    """It may get its place by itself."""
    seen = scene()
    young = replace(seen.workloads[-1], created_at=seen.taken_at - 60)
    findings = find(replace(seen, workloads=(*seen.workloads[:-1], young)))
    assert findings == Findings((), ())


def test_nobody_waits() -> None:
    """However scattered the pods are, nothing is to be said."""
    seen = scene()
    assert find(replace(seen, workloads=seen.workloads[:-1])) == Findings((), ())


def test_it_is_among_the_analyses() -> None:
    """`recommend` runs it with the settings in force; a budget of none moves none."""
    outcome = run(scene(), PRICES, load())
    assert "defragmentation" in outcome.found_by.values()
    none = load(None, {"defragment_budget_ratio": "0"})
    assert "defragmentation" not in run(scene(), PRICES, none).found_by.values()


def test_settings_out_of_bounds() -> None:
    """Said with what is allowed."""
    with pytest.raises(SettingsError, match="min_waiting_seconds is -1: give "):
        DefragmentationSettings(min_waiting_seconds=-1)
