"""Several clusters through a real Thanos Query: kept apart, and silent about what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli, Ran
from tests.support.clusters import CLUSTERS, TOKENS, Clusters, running_clusters
from tests.support.parts import need
from tests.support.prometheus_proxy import prometheus_proxy, without
from tools.processes import eventually
from tools.programs import thanos_program

GPUS = len(CLUSTERS["a"])
FOUND = {
    ("a", "GPU-0", "idle-gpu"),
    ("a", "GPU-2", "unallocated-gpu"),
    ("b", "GPU-1", "idle-gpu"),
    ("b", "GPU-2", "idle-gpu"),
}
OF_A = {each for each in FOUND if each[0] == "a"}
OF_B = FOUND - OF_A
HOLDERS = ("agentaflow_gpu_pod_info", "agentaflow_gpu_processes")
UTILIZATION = ("agentaflow_gpu_utilization_ratio",)
FETCH = 'fetch series for {cluster="b", replica="0"} Addr: 10.9.9.9:1 MinTime: 1 MaxTime: 2: EOF'


@pytest.fixture(scope="module")
def clusters(
    prometheus_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clusters]:
    assert prometheus_binary
    need("thanos", thanos_program() is not None)
    with running_clusters(tmp_path_factory.mktemp("thanos")) as running:
        promql = 'count by (cluster) (agentaflow_gpu_up{job="agentaflow-exporter"})'
        sides = running.sidecars.values()
        eventually(lambda: all(side.prometheus.query(promql) for side in sides), what="scrapes")
        yield running


@pytest.fixture
def asking(
    clusters: Clusters,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Cli:
    monkeypatch.setenv("AGENTAFLOW_KUBERNETES", "off")
    journal = tmp_path / "journal.db"
    return Cli(capsys, ("--prometheus-url", clusters.thanos.url, "--journal", str(journal)))


def recommended(ran: Ran) -> set[tuple[str, str, str]]:
    assert ran.code == 0, ran.err
    return {
        (each["where"]["cluster"], each["where"]["uuid"], each["kind"])
        for each in ran.json["recommendations"]
    }


def recommend(asking: Cli) -> Ran:
    return asking("recommend", "--window", "6h", "-o", "json")


def cost(asking: Cli, by: str) -> dict[tuple[str, str], Any]:
    ran = asking("report", "cost", "--window", "6h", "--by", by, "-o", "json")
    assert ran.code == 0, ran.err
    return {(row["cluster"], row["name"]): row for row in ran.json["rows"]}


def amount(money: Any) -> Decimal:
    return Decimal(money["amount"])


def refused(ran: Ran, subject: str) -> list[str]:
    return [each["reason"] for each in ran.json["refusals"] if each["subject"] == subject]


def only_a_is_judged(ran: Ran) -> None:
    """The other cluster's advice is as ever; of b there is a line, and no verdict and no money."""
    assert recommended(ran) == OF_A
    (reason,) = refused(ran, "cluster b")
    assert reason.startswith("a partial response leaves out parts of cluster b")
    assert not any(each["subject"] == "cluster a" for each in ran.json["refusals"])
    assert "agentaflow: warning: cluster b: a partial response" in ran.err


def test_one_fleet_of_two_clusters_is_not_one_cluster(asking: Cli) -> None:
    """The same uuids on the same nodes are other GPUs, and a pair of replicas is no second GPU."""
    ran = recommend(asking)
    assert recommended(ran) == FOUND
    assert ran.json["evidence"]["gpus"] == 2 * GPUS
    assert ran.json["evidence"]["nodes"] == 4
    assert len({each["id"] for each in ran.json["recommendations"]}) == len(FOUND)
    assert ran.err == ""


def test_what_clusters_cost_is_not_added_across(asking: Cli) -> None:
    """Equal names of namespaces, nodes and GPUs are rows of their own; rows add up to the bill."""
    by_cluster = cost(asking, "cluster")
    assert set(by_cluster) == {("a", "a"), ("b", "b")}
    for cluster, unallocated in (("a", 6.0), ("b", 0.0)):
        row = by_cluster[cluster, cluster]
        assert float(row["gpu_hours"]) == pytest.approx(24, rel=0.03)
        share = amount(row["unallocated"]) / amount(row["cost"]) * 24
        assert float(share) == pytest.approx(unallocated, rel=0.05)
    by_namespace = cost(asking, "namespace")
    hours = {place: float(row["gpu_hours"]) for place, row in by_namespace.items()}
    assert hours["a", "research"] == pytest.approx(6, rel=0.05)
    assert hours["b", "research"] == pytest.approx(12, rel=0.05)
    assert ("b", "(none)") not in hours
    assert len(cost(asking, "gpu")) == 2 * GPUS
    assert len(cost(asking, "node")) == 4


def test_how_well_clusters_are_used_is_not_averaged_across(asking: Cli) -> None:
    """The GPUs of b draw five times the power of a's on nodes of the same names."""
    ran = asking("report", "efficiency", "--window", "6h", "--by", "node", "-o", "json")
    watts = Counter(
        {(row["cluster"], row["name"]): row["power_mean_watts"] for row in ran.json["rows"]}
    )
    assert watts == {(c, f"node-{n}"): w for c, w in (("a", 100), ("b", 500)) for n in range(2)}


def test_a_cluster_whose_sidecar_just_died_is_not_judged(asking: Cli, clusters: Clusters) -> None:
    """Thanos asks it in vain and warns, naming its labels."""
    with clusters.without_sidecar("b"):
        ran = recommend(asking)
    only_a_is_judged(ran)
    assert "fetch series for" in refused(ran, "cluster b")[0]


def test_a_cluster_that_thanos_no_longer_asks_is_said(asking: Cli, clusters: Clusters) -> None:
    """A store that failed its health check is left out without any warning: the stores tell."""
    recommend(asking)
    with clusters.without_sidecar("b"):
        clusters.noticed()
        ran = recommend(asking)
        listed = asking("recommendations", "list", "-o", "json")
    only_a_is_judged(ran)
    assert "Thanos does not ask its store" in refused(ran, "cluster b")[0]
    states = {(each["where"]["cluster"], each["state"]) for each in listed.json["recommendations"]}
    assert states == {("a", "active"), ("b", "active")}


def test_a_cluster_whose_prometheus_died_is_found_by_its_stores_address(
    asking: Cli, clusters: Clusters
) -> None:
    """The warning has an address and no labels; the list of stores knows whose that is."""
    with clusters.without_prometheus("b"):
        ran = recommend(asking)
        bill = asking("report", "cost", "--window", "6h", "--by", "cluster", "-o", "json")
    only_a_is_judged(ran)
    assert "receive series from Addr" in refused(ran, "cluster b")[0]
    assert {row["name"] for row in bill.json["rows"]} == {"a"}
    assert refused(bill, "cluster b")


def test_one_of_a_pair_of_replicas_leaves_its_cluster_in_doubt(
    asking: Cli, clusters: Clusters
) -> None:
    """Whether it was a replica or a shard with GPUs of its own, its labels do not tell."""
    with clusters.without_sidecar("a", "1"):
        ran = recommend(asking)
    assert recommended(ran) == OF_B
    assert refused(ran, "cluster a")


@pytest.mark.parametrize("lost", [HOLDERS, HOLDERS[:1], HOLDERS[1:], UTILIZATION])
def test_a_cluster_lost_between_two_queries_is_not_judged(
    asking: Cli, clusters: Clusters, lost: tuple[str, ...]
) -> None:
    """With its utilization told and its holders lost, its GPUs would look held by nobody."""
    with prometheus_proxy(clusters.thanos.url) as proxy:
        proxy.falsify = without("b", FETCH, *lost)
        only_a_is_judged(recommend(asking.having("--prometheus-url", proxy.url)))


def test_lost_holders_are_no_unallocated_hours(asking: Cli, clusters: Clusters) -> None:
    """What was seen of b is unjudged: neither idle nor unallocated, whoever held it."""
    whole = cost(asking, "cluster")
    with prometheus_proxy(clusters.thanos.url) as proxy:
        proxy.falsify = without("b", FETCH, "agentaflow_gpu_pod_info")
        partial = cost(asking.having("--prometheus-url", proxy.url), "cluster")
    row = partial["b", "b"]
    assert amount(row["unjudged"]) == amount(row["cost"])
    assert amount(row["unallocated"]) == amount(row["idle"]) == amount(row["used"]) == 0
    for part in ("unallocated", "idle", "used"):
        assert float(amount(partial["a", "a"][part])) == pytest.approx(
            float(amount(whole["a", "a"][part])), rel=0.01
        )


def test_a_warning_that_names_no_cluster_leaves_all_in_doubt(
    asking: Cli, clusters: Clusters
) -> None:
    """Nothing is recommended rather than something wrong, and one line says so."""
    with prometheus_proxy(clusters.thanos.url) as proxy:
        proxy.falsify = without("b", "a store of mine is gone", "agentaflow_gpu_pod_info")
        ran = recommend(asking.having("--prometheus-url", proxy.url))
    assert recommended(ran) == set()
    assert any("a store of mine is gone" in reason for reason in refused(ran, "fleet"))


def test_a_forecast_leaves_out_the_cluster_that_is_lost(asking: Cli, clusters: Clusters) -> None:
    """A history that a partial response cut is no demand that fell to zero."""
    command = ["report", "forecast", "--by", "cluster", "--days", "1", "--window", "6h"]
    command += ["--forecast-history", "11d", "-o", "json"]
    assert {row["cluster"] for row in asking(*command).json["rows"]} == {"a", "b"}
    with clusters.without_prometheus("b"):
        ran = asking(*command)
    assert {row["cluster"] for row in ran.json["rows"]} == {"a"}
    assert refused(ran, "cluster b")


def test_tokens_of_a_cluster_that_is_lost_have_no_price(asking: Cli, clusters: Clusters) -> None:
    """Fewer tokens for the same GPUs would look dearer than they are."""
    command = ("report", "cost", "--window", "6h", "--tokens", "-o", "json")
    assert {row["cluster"] for row in asking(*command).json["tokens"]} == {"a", "b"}
    with prometheus_proxy(clusters.thanos.url) as proxy:
        proxy.falsify = without("b", FETCH, TOKENS)
        ran = asking.having("--prometheus-url", proxy.url)(*command)
    assert {row["cluster"] for row in ran.json["tokens"]} == {"a"}
    assert refused(ran, "cluster b")


def test_a_budget_of_a_cluster_that_is_lost_is_not_judged(
    asking: Cli, clusters: Clusters, tmp_path: Path
) -> None:
    """What was spent there is not known, nor what a namespace of several clusters spent."""
    file = tmp_path / "cost.yaml"
    entries = (("cluster", "a"), ("cluster", "b"), ("namespace", "research"))
    lines = [f"- {{scope: {scope}, name: {name}, per_month: 1000000}}" for scope, name in entries]
    file.write_text("\n".join(["budgets:", *lines]))
    command = ("report", "cost", "--window", "6h", "--cost-file", str(file), "-o", "json")
    assert [amount(each["spent"]) > 0 for each in asking(*command).json["budgets"]] == [True] * 3
    with clusters.without_prometheus("b"):
        ran = asking(*command)
    assert [each["name"] for each in ran.json["budgets"]] == ["a"]
    assert refused(ran, "budget of cluster b")
    assert refused(ran, "budget of namespace research")
