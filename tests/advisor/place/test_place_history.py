"""A cluster's own past as a workload: what is known is kept, what is assumed is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.model import Past, PastNode, PodRun
from agentaflow_advisor.place.history import history
from agentaflow_advisor.place.measures import measures
from agentaflow_advisor.place.simulations import Study

START, END = 1000.0, 1000.0 + 8 * 3600
HOUR = 3600.0
NODES = tuple(PastNode("c", f"n{i}", 8, 64.0, 2.0**38) for i in range(2))


def run(name: str, gpus: int, created: float, **more: object) -> PodRun:
    """Times are seconds after the window's beginning; without more it never started."""
    moved = {
        key: value + START if isinstance(value, float) and key.endswith("_at") else value
        for key, value in more.items()
    }
    kept = {"node": "", "started_at": None, "ended_at": None, **moved}
    return PodRun("c", "ns", name, name, created_at=START + created, gpus=gpus, **kept)  # type: ignore[arg-type]


def of(*runs: PodRun) -> Past:
    return Past(START, END, NODES, runs, ())


def test_times_are_those_that_really_were() -> None:
    """From the window's beginning; what ran before it began is there, on its node, for the rest."""
    own = history(
        of(
            run("old", 2, -HOUR, started_at=-1800.0, ended_at=HOUR, node="n1"),
            run("new", 4, 600.0, started_at=1200.0, ended_at=HOUR + 1200.0, node="n0"),
        ),
        "c",
    )
    old, new = own.records
    assert (old.job.submitted, old.started, old.job.duration_seconds) == (0.0, 0.0, HOUR)
    assert (new.job.submitted, new.started, new.job.duration_seconds) == (600.0, 1200.0, HOUR)
    assert own.begun == {"old": "n1"}
    assert (own.unstarted, own.unfinished) == (0, 0)


def test_what_never_ran_would_have_run_as_long_as_its_like() -> None:
    """The median of its owner's pods, else of its namespace's; what still ran runs on."""
    ended = [
        run(f"e{n}", 1, 0.0, started_at=0.0, ended_at=n * HOUR, node="n0", owner="Job/a")
        for n in (1, 2, 6)
    ]
    waits = run("waits", 8, HOUR, owner="Job/a")
    other = run("other", 8, HOUR, owner="Job/b")
    stays = run("stays", 1, HOUR, started_at=HOUR, node="n0")
    own = history(of(*ended, waits, other, stays), "c")
    lasts = {record.job.name: record.job.duration_seconds for record in own.records}
    assert lasts["waits"] == lasts["other"] == 2 * HOUR
    assert lasts["stays"] == END - START
    assert (own.unstarted, own.unfinished) == (2, 1)


def test_what_others_ask_for_on_a_node_is_taken_from_it() -> None:
    """The most at once; pods without GPUs come to no queue."""
    web = [
        run("a", 0, 0.0, started_at=0.0, ended_at=HOUR, node="n0", cpu_cores=8.0),
        run("b", 0, 0.0, started_at=1800.0, node="n0", cpu_cores=4.0),
        run("c", 0, 0.0, started_at=2 * HOUR, node="n0", cpu_cores=2.0),
    ]
    own = history(of(*web), "c")
    assert [one.cpu_millicores for one in own.machines] == [52_000, 64_000]
    assert own.records == ()


def test_packing_would_have_run_what_spreading_kept_out() -> None:
    """Two pods on two nodes kept one of eight GPUs waiting; by hand 5 h x 8 GPUs were lost."""
    small = [
        run(f"s{n}", 2, 0.0, started_at=1.0, ended_at=6 * HOUR, node=f"n{n}") for n in range(2)
    ]
    big = run("big", 8, HOUR, started_at=6 * HOUR, node="n0")
    own = history(of(*small, big), "c")
    real = measures(own.records, 16_000, own.window_seconds)
    ran = Study(own, "best_effort_fifo", lambda: 0.0, horizon_seconds=own.window_seconds).once(
        "fragmentation", 1
    )
    more = (ran.overall.allocation_mean_ratio - real.allocation_mean_ratio) * 16 * 8
    assert more == pytest.approx(5 * 8, abs=0.01)
    assert ran.overall.waited_max_seconds == 0.0


lives = st.tuples(
    st.integers(1, 8),  # GPUs
    st.floats(-2 * HOUR, 7 * HOUR),  # created
    st.floats(0, 2 * HOUR),  # waited
    st.one_of(st.none(), st.floats(1, 4 * HOUR)),  # ran
)


@given(st.lists(lives, min_size=1, max_size=12))
def test_the_real_gpu_hours_are_those_of_the_pods(
    pods: list[tuple[int, float, float, float]],
) -> None:
    """What is measured of the records is what the pods held within the window, added up by hand."""
    runs, held = [], 0.0
    for number, (gpus, created, waited, ran) in enumerate(pods):
        started = created + waited
        ended = None if ran is None else started + ran
        if started >= END - START or (ended is not None and ended <= 0):
            continue
        end = END - START if ended is None else min(ended, END - START)
        held += gpus * (end - max(0.0, started))
        times = {"started_at": started, "ended_at": ended}
        runs.append(run(f"p{number}", gpus, created, node="n0", **times))
    if not runs:
        return
    own = history(of(*runs), "c")
    found = measures(own.records, 16_000, own.window_seconds)
    served = (found.asked_gpu_hours - found.unmet_gpu_hours) * HOUR
    assert served == pytest.approx(held, rel=1e-6, abs=20 * len(runs))
