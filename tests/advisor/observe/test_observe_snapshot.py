"""The snapshot: answers become GPUs, what is missing stays missing, doubles are one."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.model import ClusterState, Held, Node, PodRef, Snapshot, Usage
from agentaflow_advisor.observe import Prometheus, take
from agentaflow_advisor.observe.dialects import ours
from tests.support.prometheus_answers import (
    NOW,
    PERCENTILE,
    POINTS,
    WINDOW,
    PrometheusAnswers,
    Table,
    gpu,
    merged,
    whole_gpu,
)


def look(
    table: Table,
    state: ClusterState | None = None,
    *,
    cluster_name: str | None = None,
) -> Snapshot:
    with PrometheusAnswers(table) as answers, Prometheus(answers.url) as prometheus:
        return take(
            prometheus,
            window_seconds=WINDOW,
            percentile=PERCENTILE,
            cluster_state=state,
            cluster_name=cluster_name,
        )


def test_a_whole_gpu() -> None:
    """Every signal lands in its field, in base units, at Prometheus' own time."""
    labels = gpu("GPU-1", index="3")
    pod = {**labels, "namespace": "research", "pod": "notebook", "container": "main"}
    table = merged(
        whole_gpu(labels, utilization_max=0.5, utilization_high=0.4, utilization_mean=0.1),
        {"pods": [(pod, 1)], "held": [({**labels, "namespace": "research"}, POINTS / 2)]},
    )
    snapshot = look(table)
    (seen,) = snapshot.gpus
    assert snapshot.taken_at == NOW
    assert (seen.cluster, seen.node, seen.index, seen.uuid) == ("a", "node-0", "3", "GPU-1")
    assert seen.utilization == Usage(0.5, 0.4, 5760, 15.0, WINDOW, 0.1)
    assert (seen.model, seen.up, seen.processes) == ("NVIDIA H100 80GB HBM3", True, 1)
    assert (seen.memory_total_bytes, seen.memory_used_max_bytes) == (80e9, 1e9)
    assert (seen.power_mean_watts, seen.energy_joules) == (70.0, 6_048_000.0)
    assert seen.temperature_max_celsius == 41.0
    assert seen.pods == (PodRef("research", "notebook", "main"),)
    assert seen.present_seconds == WINDOW
    assert seen.held == (Held("research", WINDOW / 2),)
    assert snapshot.refusals == ()


def test_measures_and_counts_have_their_canonical_names() -> None:
    """A number for each signal, and one for each reason or code; what nobody told is not there."""
    labels = gpu("GPU-1")
    table = merged(
        whole_gpu(labels, sm_active_mean=0.4, pcie_width=8, ecc_uncorrected=0),
        {
            "throttled_seconds": [
                ({**labels, "reason": "sw_power_cap"}, 60),
                ({**labels, "reason": "sync_boost"}, "NaN"),
            ],
            "xids": [({**labels, "xid": "79"}, 2), ({**labels, "xid": "48"}, 1)],
        },
    )
    (seen,) = look(table).gpus
    assert seen.measures == {"sm_active_mean": 0.4, "pcie_width": 8.0, "ecc_uncorrected": 0.0}
    assert seen.counts == {
        "throttled_seconds": {"sw_power_cap": 60.0},
        "xids": {"79": 2.0, "48": 1.0},
    }
    assert seen.dialect == "agentaflow"


@pytest.mark.parametrize("blank", ["2147483632", "140737488355328", "9223372036854775792"])
@pytest.mark.parametrize("signal", ["sm_active_high", "ecc_corrected", "pcie_width", "mig_enabled"])
def test_blank_values_are_no_measures(signal: str, blank: str) -> None:
    """DCGM's marks for "not there" are not taken for readings."""
    snapshot = look(whole_gpu(gpu("GPU-1"), **{signal: blank}))
    assert signal not in snapshot.gpus[0].measures
    assert [refusal.subject for refusal in snapshot.refusals] == [f"signal {signal}"]


def test_the_number_of_queries_does_not_grow_with_the_fleet() -> None:
    """One for each signal and the clock, three for the dialects, whatever the number of GPUs."""
    asked = []
    for count in (1, 50):
        table = merged(*(whole_gpu(gpu(f"GPU-{i}")) for i in range(count)))
        with PrometheusAnswers(table) as answers, Prometheus(answers.url) as prometheus:
            snapshot = take(
                prometheus, window_seconds=WINDOW, percentile=PERCENTILE, cluster_state=None
            )
        asked.append(len(answers.asked))
        assert len(snapshot.queries) == len(ours.DIALECT) + 3
    assert asked == [len(ours.DIALECT) + 4] * 2


def test_only_declared_signals_are_asked_for() -> None:
    """An analysis that needs two signals costs two queries beside those for the dialects."""
    with (
        PrometheusAnswers(whole_gpu(gpu("GPU-1"))) as answers,
        Prometheus(answers.url) as prometheus,
    ):
        snapshot = take(
            prometheus,
            window_seconds=WINDOW,
            percentile=PERCENTILE,
            cluster_state=None,
            at=NOW,
            signals={"up", "info"},
        )
    assert len(answers.asked) == 5
    assert {query.signal for query in snapshot.queries} == {"dialects", "up", "info"}
    assert snapshot.gpus[0].utilization is None


@pytest.mark.parametrize(
    ("signal", "field"),
    [
        ("up", "up"),
        ("present", "present_seconds"),
        ("memory_total", "memory_total_bytes"),
        ("memory_used_max", "memory_used_max_bytes"),
        ("power_mean", "power_mean_watts"),
        ("energy", "energy_joules"),
        ("temperature_max", "temperature_max_celsius"),
        ("processes", "processes"),
        ("utilization_max", "utilization"),
        ("utilization_high", "utilization"),
        ("utilization_samples", "utilization"),
        ("utilization_present", "utilization"),
    ],
)
def test_what_is_missing_is_none(signal: str, field: str) -> None:
    """No series means None, never 0; and half a utilization is none at all."""
    (seen,) = look(whole_gpu(gpu("GPU-1"), **{signal: None})).gpus
    assert getattr(seen, field) is None


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-0.01", "100"])
@pytest.mark.parametrize("signal", ["utilization_max", "utilization_high"])
def test_what_is_not_plausible_counts_as_absent_and_is_told(signal: str, value: str) -> None:
    """NaN, infinities and ratios outside 0 to 1 are left out, with a line about it."""
    snapshot = look(whole_gpu(gpu("GPU-1"), **{signal: value}))
    assert snapshot.gpus[0].utilization is None
    (refusal,) = snapshot.refusals
    assert refusal.subject == f"signal {signal}"
    assert refusal.reason.startswith("1 series were NaN, infinite or implausible")


def test_a_gpu_with_a_broken_sample_has_no_utilization_and_is_told() -> None:
    """A NaN that its maximum hides spoils the other figures."""
    snapshot = look(whole_gpu(gpu("GPU-1"), utilization_broken=1))
    assert snapshot.gpus[0].utilization is None
    (refusal,) = snapshot.refusals
    assert refusal.subject == "signal utilization_broken"
    assert refusal.reason == "1 GPUs have samples that are NaN or infinite: no use of theirs counts"


def test_a_mean_that_was_not_asked_for_is_no_doubt() -> None:
    """Verdicts rest on maxima and high percentiles, not on means."""
    (seen,) = look(whole_gpu(gpu("GPU-1"), utilization_mean=None)).gpus
    assert seen.utilization
    assert (seen.utilization.maximum, seen.utilization.mean) == (0.0, None)


def test_a_stale_sample_is_infinitely_old() -> None:
    """Where Prometheus no longer answers with a sample, its age has no bound."""
    (seen,) = look(whole_gpu(gpu("GPU-1"), utilization_age=None)).gpus
    assert seen.utilization
    assert seen.utilization.newest_age_seconds == math.inf


def test_two_targets_that_see_one_gpu_are_one() -> None:
    """The higher use, the lower age and the worse health count; nothing is added or averaged."""
    one = {**gpu("GPU-1"), "instance": "a:9837"}
    two = {**gpu("GPU-1"), "instance": "b:9837"}
    table = merged(
        whole_gpu(one, utilization_max=0.0, utilization_age=5, energy=100),
        whole_gpu(two, utilization_max=0.9, utilization_age=50, energy=101, up=0),
    )
    (seen,) = look(table).gpus
    assert seen.utilization
    assert seen.utilization.maximum == 0.9
    assert seen.utilization.samples == 5760
    assert seen.utilization.newest_age_seconds == 5.0
    assert seen.energy_joules == 101.0
    assert seen.up is False


@pytest.mark.parametrize(
    ("instance", "node"),
    [
        ("gpu-17:9837", "gpu-17"),
        ("gpu-17", "gpu-17"),
        ("[fd00::1]:9837", "fd00::1"),
        ("fd00::1", "fd00::1"),
        ("gpu-17:metrics", "gpu-17:metrics"),
    ],
)
def test_without_a_node_label_the_instance_stands_in(instance: str, node: str) -> None:
    """The host of the target's address is the node's name, without its port."""
    labels = {"instance": instance, "gpu": "0", "uuid": "GPU-1"}
    assert look(whole_gpu(labels)).gpus[0].node == node


def test_one_gpu_under_two_names_is_counted_once() -> None:
    """A UUID on two nodes is one card: the node that Kubernetes knows wins, and a line says so."""
    named, nameless = gpu("GPU-1"), {"cluster": "a", "instance": "10.0.0.5:9837", "uuid": "GPU-1"}
    state = ClusterState(nodes=(Node("", "node-0", 1),))
    snapshot = look(merged(whole_gpu(nameless, utilization_age=1), whole_gpu(named)), state)
    assert [seen.node for seen in snapshot.gpus] == ["node-0"]
    (refusal,) = snapshot.refusals
    assert "seen on node-0 and on 10.0.0.5: counted once" in refusal.reason


def test_series_without_a_uuid_are_told() -> None:
    """What cannot be told apart is not mixed up: it is left out by name."""
    labels = {name: text for name, text in gpu("").items() if name != "uuid"}
    snapshot = look({"up": [(labels, 1)]})
    assert snapshot.gpus == ()
    assert any("had no uuid label" in refusal.reason for refusal in snapshot.refusals)


def test_pod_labels_that_prometheus_renamed() -> None:
    """Where the target has labels namespace and pod of its own, ours are the exported_ ones."""
    labels = {
        **gpu("GPU-1"),
        "namespace": "monitoring",
        "pod": "agentaflow-exporter-x",
        "exported_namespace": "research",
        "exported_pod": "notebook",
        "exported_container": "main",
    }
    table = merged(whole_gpu(gpu("GPU-1")), {"pods": [(labels, 1)], "held": [(labels, POINTS)]})
    (seen,) = look(table).gpus
    assert seen.pods == (PodRef("research", "notebook", "main"),)
    assert seen.held == (Held("research", WINDOW),)


def test_held_never_exceeds_presence() -> None:
    """Namespaces together hold a GPU no longer than it was there."""
    labels = gpu("GPU-1")
    held = [({**labels, "namespace": name}, POINTS) for name in ("a", "b")]
    (seen,) = look(merged(whole_gpu(labels, present=POINTS / 2), {"held": held})).gpus
    assert [part.seconds for part in seen.held] == [WINDOW / 4, WINDOW / 4]


def test_an_empty_prometheus_is_told() -> None:
    """No series at all is no fleet at rest: it says what to check."""
    snapshot = look({})
    assert (snapshot.gpus, snapshot.nodes) == ((), ())
    assert "check that it scrapes agentaflow-exporter" in snapshot.refusals[0].reason


def test_nodes_are_made_from_metrics_without_a_cluster() -> None:
    """Each node that the metrics name is there, with its GPUs, and not known to Kubernetes."""
    table = merged(whole_gpu(gpu("GPU-1")), whole_gpu(gpu("GPU-2")), whole_gpu(gpu("GPU-3", "n2")))
    snapshot = look(table)
    assert [(node.name, node.gpus, node.known) for node in snapshot.nodes] == [
        ("n2", 1, False),
        ("node-0", 2, False),
    ]
    assert not snapshot.has_cluster


def test_kubernetes_nodes_take_their_metrics_cluster() -> None:
    """The cluster label is found by the nodes' names; another cluster's nodes are no strangers."""
    table = merged(whole_gpu(gpu("GPU-1")), whole_gpu(gpu("GPU-2", "other", cluster="b")))
    snapshot = look(table, ClusterState(nodes=(Node("", "node-0", 8),)))
    assert [(node.cluster, node.name, node.known) for node in snapshot.nodes] == [
        ("a", "node-0", True),
        ("b", "other", False),
    ]
    assert snapshot.refusals == ()
    assert snapshot.has_cluster


def test_a_node_that_kubernetes_does_not_know_is_kept_and_told() -> None:
    """Its GPUs stay in the snapshot, beside a line that names it."""
    table = merged(whole_gpu(gpu("GPU-1")), whole_gpu(gpu("GPU-2", "stranger")))
    snapshot = look(table, ClusterState(nodes=(Node("", "node-0", 8),)))
    assert len(snapshot.gpus) == 2
    assert [refusal.subject for refusal in snapshot.refusals] == ["node stranger"]


def test_ambiguous_clusters_ask_for_a_name() -> None:
    """The same node name in two clusters is not guessed at; a given name settles it."""
    table = merged(whole_gpu(gpu("GPU-1")), whole_gpu(gpu("GPU-2", cluster="b")))
    state = ClusterState(nodes=(Node("", "node-0", 8),))
    assert any("fit several clusters" in one.reason for one in look(table, state).refusals)
    named = look(table, state, cluster_name="b")
    assert named.refusals == ()
    assert ("b", "node-0", True) in {(one.cluster, one.name, one.known) for one in named.nodes}


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_answers_changes_nothing(rng: random.Random) -> None:
    """Series come in any order; the snapshot is the same."""
    tables = [whole_gpu(gpu(f"GPU-{i}", f"node-{i % 2}"), power_mean=i) for i in range(4)]
    twice = {**gpu("GPU-0"), "instance": "again"}
    table = merged(*tables, whole_gpu(twice, power_mean=7))
    shuffled = {signal: rng.sample(series, len(series)) for signal, series in table.items()}
    assert look(shuffled).gpus == look(table).gpus
