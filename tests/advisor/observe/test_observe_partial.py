"""Partial responses: which clusters they leave out, and that nothing is judged there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agentaflow_advisor.model import ClusterState, Node, Snapshot
from agentaflow_advisor.observe import Prometheus, take
from agentaflow_advisor.observe.dialects import ours
from tests.support.fault_http import FaultServer, answer
from tests.support.prometheus_answers import (
    PERCENTILE,
    WINDOW,
    PrometheusAnswers,
    Table,
    gpu,
    merged,
    whole_gpu,
)

TWO = merged(whole_gpu(gpu("GPU-1")), whole_gpu(gpu("GPU-1", cluster="b")))
RANGE = "MinTime: 1795405778000 MaxTime: 9223372036854775807"
DOWN = "rpc error: code = Unavailable desc = connection refused"
FETCH = f'fetch series for {{cluster="b", replica="0"}} Addr: 10.0.0.2:10901 {RANGE}: {DOWN}'
RECEIVE = f"receive series from Addr: 10.0.0.2:10901 {RANGE}: {DOWN}"


def store(address: str, *label_sets: Mapping[str, str], error: str | None = None) -> dict[str, Any]:
    return {"name": address, "labelSets": list(label_sets), "lastError": error}


A = store("10.0.0.1:10901", {"cluster": "a", "replica": "0"})
B = store("10.0.0.2:10901", {"cluster": "b", "replica": "0"})


def look(
    table: Table = TWO,
    state: ClusterState | None = None,
    *,
    cluster_name: str | None = None,
    **answers: Any,
) -> Snapshot:
    with PrometheusAnswers(table, **answers) as server, Prometheus(server.url) as prometheus:
        return take(
            prometheus,
            window_seconds=WINDOW,
            percentile=PERCENTILE,
            cluster_state=state,
            cluster_name=cluster_name,
        )


def doubted(snapshot: Snapshot) -> set[str]:
    """The clusters of the GPUs in doubt."""
    return {gpu.cluster for gpu in snapshot.gpus if gpu.doubt}


@pytest.mark.parametrize("signal", ["pods", "utilization_max", "processes"])
def test_a_store_that_is_named_by_its_labels(signal: str) -> None:
    """Whichever answer it was missing from, its cluster is in doubt and said once."""
    snapshot = look(partial={signal: FETCH})
    assert doubted(snapshot) == {"b"}
    (refusal,) = snapshot.refusals
    assert refusal.subject == "cluster b"
    assert "leaves out parts of cluster b" in refusal.reason
    assert "connection refused" in refusal.reason


def test_what_every_answer_says_is_said_once() -> None:
    """With how often it was said."""
    (refusal,) = look(warnings=(FETCH,)).refusals
    assert refusal.reason.endswith(f"({len(ours.DIALECT) + 3} times)")


def test_a_store_that_is_named_by_its_address_alone() -> None:
    """The list of stores says whose it is; without the list it may be anyone's."""
    assert doubted(look(partial={"pods": RECEIVE}, stores={"sidecar": [A, B]})) == {"b"}
    alone = look(partial={"pods": RECEIVE})
    assert doubted(alone) == {"a", "b"}
    assert [refusal.subject for refusal in alone.refusals] == ["fleet"]


@pytest.mark.parametrize(
    "warning",
    [
        "No StoreAPIs matched for this query",
        "error forwarding request",
        f'fetch series for {{replica="0"}} Addr: 10.0.0.2:10901 {RANGE}: {DOWN}',
        f'fetch series for {{cluster="b"}},{{replica="0"}} Addr: 10.0.0.2:10901 {RANGE}: {DOWN}',
        f"fetch series for Store Gateway Addr: 10.0.0.2:10901 {RANGE}: {DOWN}",
        f'receive series from Addr: 10.0.0.9:10901 {RANGE}: fetch series for {{cluster="b"}} '
        f"Addr: 10.0.0.2:10901 {RANGE}: {DOWN}",
    ],
)
def test_a_warning_from_which_the_clusters_cannot_be_told_is_about_all(warning: str) -> None:
    """A store without a cluster label, or one that is not known, may hold anything."""
    snapshot = look(partial={"pods": warning})
    assert doubted(snapshot) == {"a", "b"}
    assert [refusal.subject for refusal in snapshot.refusals] == ["fleet"]


OLD = f'receive series from Addr: h:1 LabelSets: {{cluster="b",replica="0"}} {RANGE}: EOF'
GATEWAY = f'fetch series for {{cluster="a"}},{{cluster="b", replica="1"}} Addr: h:1 {RANGE}: EOF'
QUOTED = (
    f'fetch series for {{cluster="b", x="}} Addr: {{cluster=\\"a\\"}}"}} Addr: h:1 {RANGE}: EOF'
)
SUPER = f'fetch series for {{supercluster="a", cluster="b"}} Addr: h:1 {RANGE}: EOF'


@pytest.mark.parametrize(
    ("warning", "clusters"),
    [(OLD, {"b"}), (GATEWAY, {"a", "b"}), (QUOTED, {"b"}), (SUPER, {"b"})],
)
def test_the_label_sets_of_other_versions_and_stores(warning: str, clusters: set[str]) -> None:
    """As older versions write them, of gateways to several clusters, with quotes in a value."""
    assert doubted(look(partial={"pods": warning})) == clusters


def test_a_store_that_is_not_asked_any_more() -> None:
    """It failed its health check: no answer warns, and the list of stores tells."""
    gone = {**B, "lastError": "rpc error: code = DeadlineExceeded"}
    snapshot = look(stores={"sidecar": [A, gone]})
    assert doubted(snapshot) == {"b"}
    (refusal,) = snapshot.refusals
    assert "Thanos does not ask its store 10.0.0.2:10901: rpc error" in refusal.reason


def test_stores_that_are_well_say_nothing() -> None:
    """A Thanos Query in good health is as good as a Prometheus."""
    snapshot = look(stores={"sidecar": [A, B]})
    assert (doubted(snapshot), snapshot.refusals) == (set(), ())


@pytest.mark.parametrize("stores", [[], {"sidecar": None}, {"sidecar": [7, {"name": 7}]}, "x"])
def test_a_list_of_stores_that_is_none(stores: object) -> None:
    """What is not understood is passed over."""
    assert look(stores=stores).refusals == ()


def test_remarks_on_a_query_leave_nobody_in_doubt() -> None:
    """PromQL's own warnings are told, its infos are not."""
    snapshot = look(partial={"pods": "PromQL warning: odd", "held": "PromQL info: no counter"})
    assert doubted(snapshot) == set()
    (refusal,) = snapshot.refusals
    assert (refusal.subject, refusal.reason) == (
        "signal pods",
        "Prometheus warns: PromQL warning: odd",
    )


def test_nothing_of_the_future_is_missing() -> None:
    """Old versions warn that no store matches where samples ahead of the clock are asked for."""
    nothing = "No StoreAPIs matched for this query"
    assert doubted(look(partial={"utilization_ahead": nothing})) == set()
    assert doubted(look(partial={"utilization_ahead": FETCH})) == {"b"}


def test_an_answer_that_says_itself_that_it_is_partial() -> None:
    """As VictoriaMetrics says it, beside the data."""
    data = {"resultType": "vector", "result": []}
    content = {"status": "success", "isPartial": True, "data": data}
    with FaultServer([answer(content)]) as server, Prometheus(server.url) as client:
        assert client.ask("up").warnings == ("the answer is partial",)


def test_a_fleet_that_is_all_left_out_is_not_an_empty_one() -> None:
    """It says that parts are missing, not that nothing is scraped."""
    (refusal,) = look({}, warnings=(FETCH,)).refusals
    assert refusal.subject == "cluster b"


HERE = ClusterState(nodes=(Node("", "node-0", 8),))
ONLY_A = whole_gpu(gpu("GPU-1"))


def test_kubernetes_is_not_taken_for_the_cluster_that_is_left() -> None:
    """While b is missing, nodes of the same names are no proof that this Kubernetes is a."""
    snapshot = look(ONLY_A, HERE, warnings=(FETCH,))
    assert not any(node.known for node in snapshot.nodes if node.cluster == "a")
    assert any("kubernetes_cluster" in refusal.reason for refusal in snapshot.refusals)
    (known,) = [node for node in snapshot.nodes if node.known]
    assert snapshot.missing.why(known.cluster)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_named_kubernetes_cluster_is_what_it_is_called(name: str) -> None:
    """A name needs no guess; that nodes have no series then makes them neither idle nor free."""
    snapshot = look(ONLY_A, HERE, cluster_name=name, warnings=(FETCH,))
    (known,) = [node for node in snapshot.nodes if node.known]
    assert known.cluster == name
    assert bool(snapshot.missing.why(name)) is (name == "b")
    assert [refusal.subject for refusal in snapshot.refusals] == ["cluster b"]
