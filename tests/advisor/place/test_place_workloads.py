"""What comes to a simulated cluster: read from a trace, or drawn; the same for the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.jobs import Job
from agentaflow_advisor.place.jobtraces import jobs, moment
from agentaflow_advisor.place.traces import TraceError
from agentaflow_advisor.place.workloads import (
    DAY,
    Recorded,
    Synthetic,
    members,
    nodes_for,
    uniform,
)

PHILLY = Path("tests/data/philly/jobs.csv")
HEAD = "timestamp,duration,num_gpus,cluster,name,priority\n"


def file(tmp_path: Path, rows: str, head: str = HEAD) -> Path:
    path = tmp_path / "jobs.csv"
    path.write_text(head + rows)
    return path


def test_a_trace_is_read(tmp_path: Path) -> None:
    """In the order of submission, from the first one on; the queue is the cluster."""
    path = file(tmp_path, "2017-10-02 00:01:40,9.5,16,b,big,7\n1506902400,60,1,,,\n")
    assert jobs(path, 8) == [
        Job("job-3", 0.0, 60.0, Demand(0, 0, 1)),
        Job("big", 100.0, 9.5, Demand(0, 0, 8), 2, "b", 7),
    ]
    assert [job.name for job in jobs(path, 8, moment("2017-10-02T00:01"))] == ["big"]
    assert [job.name for job in jobs(path, 8, seconds=50)] == ["job-3"]


def test_the_file_of_philly() -> None:
    """Four weeks, half of the jobs, and who is larger than a node is a gang."""
    some = jobs(PHILLY, 8)
    assert len(some) == 23_035
    assert some[-1].submitted < 28 * DAY
    sizes = Counter((job.members, job.demand.gpus) for job in some if job.members > 1)
    assert set(sizes) <= {(2, 6), (2, 8), (3, 8), (4, 8), (8, 8), (16, 8)}
    assert sizes[2, 8] > 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("yesterday,1,1,,,\n", ":2: timestamp is 'yesterday': give seconds or a time such as"),
        ("nan,1,1,,,\n", ":2: timestamp is 'nan'"),
        ("0,-1,1,,,\n", ":2: duration is '-1': give seconds, 0 or more"),
        ("0,inf,1,,,\n", ":2: duration is 'inf'"),
        ("0,1,1,,,\n0,1,some,,,\n", ":3: num_gpus is 'some': give a whole number"),
        ("0,1,99999999999,,,\n", ":2: num_gpus is 99999999999: give 100000 at most"),
        ("0,1e400,1,,,\n", ":2: duration is '1e400': give seconds, 0 or more, 1e+10 at most"),
        ("1e300,1,1,,,\n", ":2: timestamp is '1e300'"),
        ("0,1,²,,,\n", ":2: num_gpus is '²': give a whole number"),
        ("0,1\n", ":2: the row ends before num_gpus: give each column"),
        ("0,1,1,,,9999999999\n", ":2: priority is 9999999999: give 2147483647 at most"),
        ("0,1,0,,,\n", ":2: num_gpus is '0': give a job with a GPU, or leave it out"),
        ("0,1,1,,,high\n", ":2: priority is 'high': give a whole number"),
        ("", ": no jobs: give a list of jobs"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(tmp_path: Path, rows: str, said: str) -> None:
    """File and line, what is wrong, and what to do."""
    path = file(tmp_path, rows)
    with pytest.raises(TraceError) as caught:
        jobs(path, 8)
    assert str(caught.value).startswith(f"{path}{said}")


def test_a_missing_column_and_an_empty_window_are_said(tmp_path: Path) -> None:
    """With the column's name, and with the times that there are."""
    with pytest.raises(TraceError, match="column num_gpus is missing: add it"):
        jobs(file(tmp_path, "", "timestamp,duration\n"), 8)
    with pytest.raises(TraceError, match="no job in the window: they are from 1970-01-01 00:00:00"):
        jobs(file(tmp_path, "0,1,1,,,\n"), 8, moment("2017-10-02"))


@given(st.integers(1, 200), st.integers(1, 16))
def test_members_are_equal_and_fit_a_node(gpus: int, most: int) -> None:
    """None is larger than a node, together they are the job, and fewer would not do."""
    count = members(gpus, most)
    assert gpus % count == 0
    assert gpus // count <= most
    assert not any(gpus % fewer == 0 and gpus // fewer <= most for fewer in range(1, count))


def test_a_seed_moves_queues_by_whole_days() -> None:
    """What each queue asks for stays, and when in the day; how the queues overlap does not."""
    some = tuple(jobs(PHILLY, 8)[:3000])
    workload = Recorded(uniform(4, 8), some, 7 * DAY)
    first, again, other = workload.draw(1), workload.draw(1), workload.draw(2)
    assert first == again
    assert first != other

    def times(of: tuple[Job, ...]) -> Counter[tuple[str, int]]:
        return Counter((job.name, round(job.submitted % DAY)) for job in of)

    assert times(first.jobs) == times(some)
    assert [job.submitted for job in first.jobs] == sorted(job.submitted for job in first.jobs)


@given(st.integers(0, 1000), st.sampled_from([0.5, 0.95]), st.sampled_from([0.0, 1.0]))
def test_drawn_jobs_ask_for_the_load(seed: int, load: float, sigma: float) -> None:
    """What is asked for at a time is the load, as nearly as chance has it; the seed decides all."""
    demands = (Demand(1, 1, 1), Demand(1, 1, 1, 500), Demand(1, 1))
    workload = Synthetic(uniform(9, 4), demands, 4000, load, 600.0, sigma, 5)
    drawn = workload.draw(seed)
    assert drawn == workload.draw(seed)
    assert len(drawn.machines) == 5
    asked = sum(job.gpu_seconds for job in drawn.jobs)
    assert asked / (drawn.jobs[-1].submitted * 20) == pytest.approx(load, rel=0.25)


def test_as_many_nodes_as_the_load_says() -> None:
    """Only what falls into the window counts: a job that goes on after it does not fill it."""
    some = [
        Job("in", 0, 100, Demand(0, 0, 8), 3),
        Job("half out", 50, 1000, Demand(0, 0, 8), 2),
    ]
    assert nodes_for(some, 100, 8, 1.0) == 4
    assert nodes_for(some, 100, 8, 0.5) == 8
