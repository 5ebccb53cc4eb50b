"""Several exporters in one Prometheus: each GPU once, told by one, and disagreements by name."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.model import ClusterState, Node, PodRef, Snapshot
from agentaflow_advisor.observe import Prometheus, take
from tests.support.prometheus_answers import (
    NOW,
    PERCENTILE,
    POINTS,
    WINDOW,
    PrometheusAnswers,
    Table,
    merged,
    whole_gpu,
)
from tests.support.prometheus_answers import gpu as labelled

UNTOLD_BY_DCGM = {"processes": None, "lost_seconds": None}


def dcgm_gpu(uuid: str, host: str = "node-0", cluster: str = "a") -> dict[str, str]:
    """The labels of its series."""
    return {"cluster": cluster, "Hostname": host, "gpu": "0", "UUID": uuid}


def whole_dcgm(labels: Mapping[str, str], model: str = "H100", **values: object) -> dict[str, Any]:
    told = whole_gpu(labels, **{**UNTOLD_BY_DCGM, **values})
    return {**told, "info": [({**labels, "modelName": f"NVIDIA {model} 80GB HBM3"}, 1)]}


def look(
    ours: Table,
    dcgm: Table,
    smi: Table | None = None,
    *,
    state: ClusterState | None = None,
    at: float | None = NOW,
) -> Snapshot:
    others = {"dcgm": dcgm, "nvidia_gpu_exporter": smi or {}}
    with PrometheusAnswers(ours, others=others) as answers, Prometheus(answers.url) as prometheus:
        return take(
            prometheus,
            window_seconds=WINDOW,
            percentile=PERCENTILE,
            cluster_state=state,
            at=at,
        )


def reasons(snapshot: Snapshot) -> dict[str, str]:
    return {refusal.subject: refusal.reason for refusal in snapshot.refusals}


def test_a_mixed_fleet() -> None:
    """GPUs of both exporters, each once, each by its own names."""
    snapshot = look(whole_gpu(labelled("GPU-1")), whole_dcgm(dcgm_gpu("GPU-2", "node-1")))
    assert [(gpu.node, gpu.uuid, gpu.dialect) for gpu in snapshot.gpus] == [
        ("node-0", "GPU-1", "agentaflow"),
        ("node-1", "GPU-2", "dcgm"),
    ]
    assert {gpu.model for gpu in snapshot.gpus} == {"NVIDIA H100 80GB HBM3"}
    assert snapshot.refusals == ()
    assert snapshot.dialects == ("agentaflow", "dcgm")


def test_ours_wins_and_dcgm_fills_in() -> None:
    """The whole utilization is ours; who holds it, only DCGM knows here."""
    pod = {**dcgm_gpu("GPU-1"), "namespace": "ml", "pod": "train", "container": "main"}
    snapshot = look(
        whole_gpu(labelled("GPU-1"), utilization_max=0.02, power_mean=None),
        merged(
            whole_dcgm(dcgm_gpu("GPU-1"), utilization_max=0.04, power_mean=99, energy=1),
            {"pods": [(pod, 1)], "held": [(pod, POINTS)]},
        ),
    )
    (gpu,) = snapshot.gpus
    assert gpu.utilization
    assert (gpu.dialect, gpu.utilization.maximum) == ("agentaflow", 0.02)
    assert (gpu.power_mean_watts, gpu.energy_joules) == (99.0, 6_048_000.0)
    assert gpu.pods == (PodRef("ml", "train", "main"),)
    assert snapshot.refusals == ()


def test_a_nan_of_ours_is_not_papered_over() -> None:
    """Where ours tells a part of the utilization, another's does not stand in for the rest."""
    (gpu,) = look(
        whole_gpu(labelled("GPU-1"), utilization_broken=1), whole_dcgm(dcgm_gpu("GPU-1"))
    ).gpus
    assert (gpu.dialect, gpu.utilization) == ("agentaflow", None)


def test_the_worse_health_of_two_exporters_counts() -> None:
    """DCGM goes on telling what ours says is lost."""
    lost = whole_gpu(labelled("GPU-1"), up=0, utilization_age=None)
    (gpu,) = look(lost, whole_dcgm(dcgm_gpu("GPU-1"))).gpus
    assert (gpu.dialect, gpu.up) == ("dcgm", False)


def test_names_of_a_node() -> None:
    """Kubernetes' name is taken; the difference is one line for the node, however many GPUs."""
    ours = merged(*(whole_gpu(labelled(f"GPU-{i}", "10.0.0.1")) for i in range(3)))
    dcgm = merged(*(whole_dcgm(dcgm_gpu(f"GPU-{i}")) for i in range(3)))
    snapshot = look(ours, dcgm, state=ClusterState(nodes=(Node("", "node-0", 3),)))
    assert {gpu.node for gpu in snapshot.gpus} == {"node-0"}
    assert reasons(snapshot)["node a/node-0"].startswith(
        "3 GPUs are told on 10.0.0.1 by agentaflow: counted once, on a/node-0"
    )


def test_a_stand_in_for_the_node_claims_nothing() -> None:
    """The address that stands in for a missing node label is no disagreement, and gives way."""
    smi = {"cluster": "a", "instance": "10.0.0.1:9835", "index": "0", "uuid": "1"}
    snapshot = look({}, whole_dcgm(dcgm_gpu("GPU-1")), whole_gpu(smi))
    assert [gpu.node for gpu in snapshot.gpus] == ["node-0"]
    assert snapshot.refusals == ()


@pytest.mark.parametrize(("model", "doubted"), [("H100", False), ("A100", True)])
def test_names_of_a_card(model: str, doubted: bool) -> None:
    """Two product names for one uuid allow no verdict."""
    snapshot = look(whole_gpu(labelled("GPU-1")), whole_dcgm(dcgm_gpu("GPU-1"), model))
    assert bool(snapshot.gpus[0].doubt) == doubted
    assert ("GPU GPU-1" in reasons(snapshot)) == doubted


def test_a_target_without_a_cluster_label() -> None:
    """It belongs to the one cluster that has the uuid; between two it is not guessed."""
    nameless = whole_dcgm(dcgm_gpu("GPU-1", cluster=""))
    (gpu,) = look(whole_gpu(labelled("GPU-1")), nameless).gpus
    assert (gpu.cluster, gpu.dialect) == ("a", "agentaflow")
    two = merged(whole_gpu(labelled("GPU-1")), whole_gpu(labelled("GPU-1", cluster="b")))
    unsure = look(two, nameless)
    assert [gpu.cluster for gpu in unsure.gpus] == ["", "a", "b"]
    assert "without a cluster label, and in a and b" in reasons(unsure)["GPU GPU-1"]


def test_samples_from_the_future() -> None:
    """Nodes are named, with their cluster, and their GPUs get no verdict; of the past none asks."""
    clusters = (labelled("GPU-1"), labelled("GPU-1", cluster="b"))
    ahead = merged(*(whole_gpu(labels, utilization_ahead=4) for labels in clusters))
    snapshot = look(ahead, {}, at=None)
    assert "ahead of Prometheus' clock" in snapshot.gpus[0].doubt
    assert set(reasons(snapshot)) == {"node a/node-0", "node b/node-0"}
    assert look(ahead, {}, at=NOW).refusals == ()


def test_a_series_without_any_name_of_a_node_is_told() -> None:
    """DCGM's series of which relabelling took Hostname and node cannot be placed."""
    labels = {"cluster": "a", "gpu": "0", "UUID": "GPU-1"}
    snapshot = look({}, {"up": [(labels, 1)]})
    assert snapshot.gpus == ()
    assert "had no UUID label or none of a node" in reasons(snapshot)["signal up"]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.integers(0, 20), st.integers(0, 20)),
        min_size=1,
        max_size=5,
    ),
    st.randoms(use_true_random=False),
)
def test_each_gpu_once_whoever_tells_it(
    fleet: list[tuple[bool, bool, int, int]], rng: random.Random
) -> None:
    """Exactly those told; what one of them saw is what stands; order changes nothing."""
    ours, dcgm = [], []
    for number, (by_us, by_dcgm, our_use, their_use) in enumerate(fleet):
        if by_us:
            labels = labelled(f"GPU-{number}")
            ours.append(whole_gpu(labels, utilization_max=our_use / 20, power_mean=None))
        if by_dcgm:
            other = dcgm_gpu(f"GPU-{number}")
            dcgm.append(whole_dcgm(other, utilization_max=their_use / 20, power_mean=number))
    tables = merged(*ours), merged(*dcgm)
    snapshot = look(*tables)
    told = {f"GPU-{i}" for i, (us, them, *_) in enumerate(fleet) if us or them}
    assert sorted(gpu.uuid for gpu in snapshot.gpus) == sorted(told)
    for gpu in snapshot.gpus:
        by_us, by_dcgm, our_use, their_use = fleet[int(gpu.uuid.removeprefix("GPU-"))]
        seen = [use / 20 for by, use in ((by_us, our_use), (by_dcgm, their_use)) if by]
        assert gpu.utilization
        assert gpu.utilization.maximum in seen
        assert gpu.utilization.maximum >= max(seen) - 0.051
        assert (gpu.power_mean_watts is not None) == by_dcgm
    shuffled = [
        {signal: rng.sample(series, len(series)) for signal, series in table.items()}
        for table in tables
    ]
    assert look(*shuffled).gpus == snapshot.gpus
