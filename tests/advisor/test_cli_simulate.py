"""`agentaflow simulate`: jobs that come and go, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Cli

TRACE = """timestamp,duration,num_gpus,cluster,priority
0,100,8,a,0
10,100,16,b,0
20,50,8,a,5
30,500,1,b,0
"""
QUOTA = """clusterQueues:
- {name: a, nominalQuota: 8, cohort: all}
- {name: b, nominalQuota: 8, cohort: all, borrowingLimit: 8, lendingLimit: 4}
"""


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "jobs.csv"
    path.write_text(TRACE)
    return str(path)


def test_a_trace_as_a_table(cli: Cli, trace: str) -> None:
    """A row for each strategy and queue policy, and what the columns are."""
    ran = cli(
        *("simulate", "--trace", trace, "--num-nodes", "2", "--seeds", "1-2", "--jobs", "1"),
        *("--strategy", "best_fit", "--strategy", "random"),
        *("--queue-policy", "strict_fifo", "--queue-policy", "best_effort_fifo"),
    )
    assert ran.code == 0
    head, *rows, told = ran.out.splitlines()
    assert head.split()[:4] == ["STRATEGY", "QUEUE", "POLICY", "QUEUE"]
    assert [row.split()[:3] for row in rows] == [
        ["best_fit", "strict_fifo", "all"],
        ["random", "strict_fifo", "all"],
        ["best_fit", "best_effort_fifo", "all"],
        ["random", "best_effort_fifo", "all"],
    ]
    assert told.startswith("4 jobs, 2 nodes, 16 GPUs; mean of 2 seeds. Unmet: ")


def test_a_trace_as_json(cli: Cli, trace: str) -> None:
    """Every measure in all and by queue, mean and sd; strict_fifo by hand: 0, 90, 180, 170 s."""
    ran = cli(
        *("simulate", "--trace", trace, "--num-nodes", "2", "--seeds", "3", "--jobs", "1"),
        *("--queue-policy", "strict_fifo", "-o", "json"),
    )
    (outcome,) = ran.json["outcomes"]
    assert ran.json["size"] == {"jobs": 4, "nodes": 2, "gpus": 16}
    assert (outcome["strategy"], outcome["queue_policy"]) == ("least_waste", "strict_fifo")
    alike = dict.fromkeys(("mean", "p25", "p50", "p75"), 180.0)
    assert outcome["overall"]["waited_max_seconds"] == {**alike, "sd": 0.0}
    assert outcome["overall"]["waited_p50_seconds"]["mean"] == 130.0
    assert outcome["queues"]["a"]["waited_max_seconds"]["mean"] == 180.0
    assert outcome["queues"]["b"]["refused_jobs"]["mean"] == 0


def test_quota_from_a_file(cli: Cli, trace: str, tmp_path: Path) -> None:
    """In Kueue's words; a may lend its GPUs, so the gang of b starts once they are free."""
    quota = tmp_path / "quota.yaml"
    run = ("simulate", "--trace", trace, "--num-nodes", "9", "--seeds", "3", "--jobs", "1")
    quota.write_text(QUOTA)
    rows = cli(*run, "--by-queue", "--quota", str(quota)).out.splitlines()
    assert [row.split()[0] for row in rows[2:4]] == ["a", "b"]
    asked = (*run, "--quota", str(quota), "-o", "json")
    free = cli(*run, "-o", "json").json["outcomes"][0]["overall"]
    held = cli(*asked).json["outcomes"][0]["overall"]
    assert free["waited_max_seconds"]["mean"] == 0
    assert held["waited_max_seconds"]["mean"] > 0
    quota.write_text(QUOTA.replace("borrowingLimit: 8", "borrowingLimit: 0"))
    assert cli(*asked).json["outcomes"][0]["overall"]["refused_jobs"]["mean"] == 1


def test_drawn_times(cli: Cli) -> None:
    """Lists of nodes and pods, as for replay, with durations and arrivals that a seed decides."""
    run = (
        *("simulate", "--nodes", "tests/data/openb/nodes.csv"),
        *("--pods", "tests/data/openb/pods_default.csv", "--num-jobs", "200"),
        *("--num-nodes", "2", "--median", "10m", "--seeds", "5", "--jobs", "1", "-o", "json"),
    )
    first, second = (cli(*run).json["outcomes"][0] for _ in range(2))
    assert first["overall"] == second["overall"]
    assert (
        cli(*run[:-6], "--seeds", "6", *run[-4:]).json["outcomes"][0]["overall"]
        != (first["overall"])
    )


def test_aging_counts(cli: Cli, trace: str) -> None:
    """With a day of waiting for a level, the important job goes before the gang; with 1 s not."""
    Path(trace).write_text(TRACE.replace("20,50,", "20,500,"))
    run = ("simulate", "--trace", trace, "--num-nodes", "2", "--seeds", "3", "--jobs", "1")
    found = {
        aging: cli(*run, "--queue-policy", "priority", "--aging", aging, "-o", "json")
        for aging in ("1d", "1s")
    }
    waits = {
        aging: ran.json["outcomes"][0]["queues"]["a"]["waited_max_seconds"]["mean"]
        for aging, ran in found.items()
    }
    assert waits == {"1d": 0.0, "1s": 180.0}


def test_who_would_have_to_go(cli: Cli, trace: str) -> None:
    """At 25 s the important job waits: the cheapest of lower priority is named, nothing stopped."""
    Path(trace).write_text(TRACE.replace("10,100,16,b,0", "10,100,8,b,0"))
    run = ("simulate", "--trace", trace, "--num-nodes", "2", "--seeds", "3", "--jobs", "1")
    asked = (*run, "--queue-policy", "priority", "--proposal-at")
    told = cli(*asked, "25s").out.splitlines()[-1]
    assert told == (
        "25 s after the beginning: job-4 (8 GPUs, priority 5) could start if job-3 went, losing "
        "0.0 GPU hours of work; nothing is stopped here"
    )
    found = cli(*asked, "25s", "-o", "json").json["proposal"]
    assert found == {"job": "job-4", "victims": ["job-3"], "lost_gpu_hours": 8 * 15 / 3600}
    assert cli(*asked, "15s").out.endswith("nobody waits for whom somebody may have to go\n")
    assert cli(*run, "-o", "json").json["proposal"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "simulate: give --trace FILE with jobs, or --nodes FILE and --pods FILE"),
        (["--nodes", "tests/data/openb/nodes.csv"], "simulate: give --trace FILE"),
        (["--trace", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--trace", "TRACE", "--strategy", "best"], "--strategy best: there is none of that"),
        (["--trace", "TRACE", "--queue-policy", "fifo"], "--queue-policy fifo: there is none of"),
        (["--trace", "TRACE", "--seeds", "x"], "--seeds x: give numbers"),
        (["--trace", "TRACE", "--aging", "soon"], "--aging soon: should be seconds or a duration"),
        (["--trace", "TRACE", "--window", "0"], "--window 0: give more than 0 seconds"),
        (["--trace", "TRACE", "--since", "once"], "--since once: give a time such as 2017-10-02"),
        (["--trace", "TRACE", "--num-nodes", "999999999"], "Invalid value for '--num-nodes'"),
        (["--trace", "TRACE", "--load", "nan"], "--load nan: give a number from 0.01 to 10"),
        (["--trace", "TRACE", "--load", "inf"], "--load inf: give a number from 0.01 to 10"),
        (["--trace", "TRACE", "--window", "nan"], "--window nan: give more than 0 seconds"),
        (["--trace", "TRACE", "--since", "inf"], "--since inf: give a time such as 2017-10-02"),
        (["--trace", "TRACE", "--sigma", "-1"], "--sigma -1: give a number from 0 to 4"),
        (["--trace", "TRACE", "--quota", "nowhere.yaml"], "cannot read nowhere.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_used_is_one_line(
    cli: Cli, trace: str, options: list[str], said: str
) -> None:
    """Exit code 2, and what to give instead."""
    ran = cli("simulate", *(trace if each == "TRACE" else each for each in options))
    assert ran.code == 2
    assert ran.error.startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not YAML"),
        ("[]", "it: Input should be a valid dictionary"),
        ("clusterQueues: []", "clusterQueues: List should have at least 1 item"),
        ("clusterQueues: [{name: a}]", "clusterQueues.0.nominalQuota: Field required"),
        ("clusterQueues: [{name: a, nominalQuota: -1}]", "greater than or equal to 0"),
        ("clusterQueues: [{name: a, nominalQuota: 1, borrow: 2}]", "clusterQueues.0.borrow"),
        (
            "clusterQueues: [{name: a, nominalQuota: 1}, {name: a, nominalQuota: 2}]",
            "queue a is there twice",
        ),
        (
            "clusterQueues: [{name: a, nominalQuota: 1}]",
            "no quota for b: add a clusterQueue with that name and its nominalQuota",
        ),
    ],
)
def test_a_quota_that_cannot_be_used_is_said(
    cli: Cli, trace: str, tmp_path: Path, text: str, said: str
) -> None:
    """The file, the field, and what there has to be."""
    quota = tmp_path / "quota.yaml"
    quota.write_text(text)
    ran = cli("simulate", "--trace", trace, "--quota", str(quota))
    assert ran.code == 2
    assert ran.error.startswith(str(quota))
    assert said in ran.error
