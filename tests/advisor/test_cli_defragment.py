"""`agentaflow defragment`, on a cluster and on lists: it says what could be moved, no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.support.fake_prometheus import fake_prometheus

NODES = "sn,cpu_milli,memory_mib,gpu,model\na,90000,1000,4,T4\nb,90000,1000,4,T4\n"
PODS = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec
p0,1000,1,1,470,
p1,1000,1,1,470,
p2,1000,1,4,1000,
"""
BUDGETS = "/apis/policy/v1/poddisruptionbudgets"


@pytest.fixture
def lists(tmp_path: Path) -> tuple[str, ...]:
    nodes, pods = tmp_path / "nodes.csv", tmp_path / "pods.csv"
    nodes.write_text(NODES)
    pods.write_text(PODS)
    return ("--nodes", str(nodes), "--pods", str(pods))


def test_lists(cli: Cli, lists: tuple[str, ...]) -> None:
    """Each seed's end state with what moves make of it, and the mean; the same as a document."""
    told = (*lists, "--strategy", "least_utilized", "--seeds", "1-4", "--load", "130")
    more = ("--budget", "1")
    ran = cli("defragment", *told, *more)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].split()[:4] == ["SEED", "PODS", "WAITING", "MOVES"]
    assert "mean ± sd of 4 seeds" in ran.out
    document = cli("defragment", *told, *more, "-o", "json").json
    spread = document["unallocated_percent"]
    assert spread["after"]["mean"] < spread["before"]["mean"]
    assert len(document["seeds"]) == 4
    steps = [step for seed in document["seeds"] for step in seed["plan"]["steps"]]
    assert {step["step"] for step in steps} == {"move", "admit"}
    assert all(step["room_for"] for step in steps if step["step"] == "move")


def test_one_seed_lists_its_moves(cli: Cli, lists: tuple[str, ...]) -> None:
    """In their order; without a budget there are none."""
    told = (*lists, "--strategy", "least_utilized", "--seeds", "1", "--load", "130")
    ran = cli("defragment", *told, "--budget", "0")
    assert "0 moves of 0 allowed make room for 0 pods" in ran.out
    assert "nothing was done" in ran.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--nodes", "x.csv"), "give both --nodes and --pods"),
        (("--seeds", "x"), "--seeds x: give numbers"),
        (("--strategy", "magic"), "--strategy magic: there is none of that name"),
        (("--load", "nan"), "--load nan: give a number from 1 to 130"),
        (("--load", "inf"), "--load inf: give a number from 1 to 130"),
        (("--load", "-1"), "--load -1: give a number from 1 to 130"),
        (("--load", "all"), "Invalid value for '--load'"),
        (("--budget", "nan"), "--budget should be less than or equal to 1, not 'nan'"),
        (("--top", "-1"), "Invalid value for '--top'"),
    ],
)
def test_options_that_cannot_be(
    cli: Cli, lists: tuple[str, ...], options: tuple[str, ...], said: str
) -> None:
    """One line, and code 2."""
    ran = cli("defragment", *(() if "x.csv" in options else lists), *options)
    assert ran.code == 2
    assert said in ran.error


@pytest.fixture
def kubernetes(tmp_path: Path) -> Iterator[FakeKubernetes]:
    """Two nodes of 4 GPUs, each with a pod on 2 of them; one waits for 4."""
    with fake_kubernetes(tmp_path, {"a": 4, "b": 4}) as fake:
        for name, gpus, on in (("one", 2, "a"), ("two", 2, "b"), ("train", 4, None)):
            fake.add_pod(name, namespace="research", gpus=gpus, gates=())
            pod = fake.objects[f"/api/v1/namespaces/research/pods/{name}"]
            if on:
                pod["spec"]["nodeName"], pod["status"] = on, {"phase": "Running"}
                owner = {"kind": "ReplicaSet", "name": "w", "controller": True}
                pod["metadata"]["ownerReferences"] = [{**owner, "apiVersion": "v1", "uid": "u"}]
        yield fake


def allowed(fake: FakeKubernetes, number: int) -> None:
    """The API server has a budget over all of the namespace that allows so many."""
    status = {
        "disruptionsAllowed": number,
        "currentHealthy": 1,
        "desiredHealthy": 1,
        "expectedPods": 1,
    }
    metadata = {"name": "pdb", "namespace": "research"}
    budget: dict[str, Any] = {"metadata": metadata, "spec": {"selector": {}}, "status": status}
    fake.objects[BUDGETS] = {"metadata": {}, "items": [budget]}


@pytest.fixture
def live(cli: Cli, kubernetes: FakeKubernetes) -> Iterator[Cli]:
    with fake_prometheus() as prometheus:
        url = f"--prometheus-url={prometheus.url}"
        yield cli.having(url, f"--kubeconfig={kubernetes.kubeconfig}")


def test_a_cluster(live: Cli, kubernetes: FakeKubernetes) -> None:
    """The move, its worth and for whom; and nothing is written to the API."""
    allowed(kubernetes, 1)
    ran = live("defragment")
    assert ran.code == 0, ran.err
    row = ran.out.splitlines()[1].split()
    assert row == ["1", "research/one", "a/0,1", "b/2,3", "4.00", "research/train"]
    assert "unallocated 4.0 → 0.0 of 8 GPUs" in ran.out
    assert {request.method for request in kubernetes.requests} == {"GET"}
    document = live("defragment", "-o", "json").json
    assert [step["step"] for step in document["steps"]] == ["move", "admit"]
    assert document["waiting"] == ["research/train"]


def test_what_may_not_move(live: Cli, kubernetes: FakeKubernetes) -> None:
    """A budget that allows nothing is named; one that cannot be read refuses it all."""
    allowed(kubernetes, 0)
    assert (
        "2 with GPUs stay: PodDisruptionBudget pdb allows no disruption" in live("defragment").out
    )
    del kubernetes.objects[BUDGETS]
    ran = live("defragment")
    assert ran.code == 0
    assert "PodDisruptionBudgets are not known" in ran.out


def test_nobody_waits(live: Cli, kubernetes: FakeKubernetes) -> None:
    """That is said, too."""
    allowed(kubernetes, 1)
    del kubernetes.objects["/api/v1/namespaces/research/pods/train"]
    assert "no pod waits for GPUs that could not have them now" in live("defragment").out
