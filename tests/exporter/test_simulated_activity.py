"""GPM and samples of the simulation: whoever reads them, at whatever times, finds the truth."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.activity import Activity
from agentaflow_exporter.boards import A100, H100, L4, Board
from agentaflow_exporter.collectors.busy import BUSY, OBSERVED
from agentaflow_exporter.collectors.gpm import REQUEST
from agentaflow_exporter.crew import InlineCrew
from agentaflow_exporter.driver import WHOLE_GPU
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.simulated import SimulatedFleet
from agentaflow_exporter.stories import TRUTHS, behaviour
from tests.support.scraping import Clock, Seen

NOW = 60_000_000.0  # seconds since the simulated machines were started
IDLE = ("idle_notebook", "forgotten_process", "unallocated")
GPU, MEMORY = nvml.NVML_GPU_UTILIZATION_SAMPLES, nvml.NVML_MEMORY_UTILIZATION_SAMPLES


@pytest.mark.parametrize("role", TRUTHS)
def test_metrics_hang_together(role: str) -> None:
    """SMs are active for no longer than the GPU, a pipe for no longer than its SM."""
    activity = Activity(H100, behaviour(role, 0x1234567890ABCDEF))
    found = dict(activity.metrics(REQUEST, NOW) or ())
    graphics, sm = found[nvml.NVML_GPM_METRIC_GRAPHICS_UTIL], found[nvml.NVML_GPM_METRIC_SM_UTIL]
    assert 0 <= sm <= graphics <= 100
    assert all(found[i] <= sm for i in range(3, 14) if i in found)
    assert (role in IDLE) <= (graphics == 0)


@pytest.mark.parametrize("board", [A100, L4])
def test_boards_before_hopper_have_no_gpm(board: Board) -> None:
    """They answer that they do not support it."""
    assert Activity(board, behaviour("training", 1)).metrics(REQUEST, NOW) is None


def test_what_gpm_is_not_asked_for() -> None:
    """Only metrics that were named are answered, and no instance that is not there."""
    activity = Activity(H100, behaviour("training", 1))
    assert [i for i, _ in activity.metrics((WHOLE_GPU, 2, 9999), NOW) or ()] == [2]
    assert activity.metrics((3, 2), NOW) is None


@given(
    st.sampled_from(sorted(TRUTHS)),
    st.lists(st.integers(0, 9000), min_size=2, max_size=12, unique=True),
)
def test_samples_are_the_integral(role: str, seconds: list[int]) -> None:
    """Summed up by a reader at any times, samples are what the utilization integrates to."""
    activity, signal = Activity(H100, behaviour(role, 99)), behaviour(role, 99).utilization
    last, busy, seen = 0, 0.0, []
    for number, second in enumerate(sorted(seconds)):
        samples = activity.samples((GPU, last), NOW + second) or []
        for stamp, percent in samples:
            assert 0 <= percent <= 100
            if number and last and stamp - last <= 5_000_000:
                busy += (stamp - last) * percent / 1e8
                seen.append((last, stamp))
            last = stamp
    true = sum(
        signal.integral(after / 1e6) - signal.integral(before / 1e6) for before, after in seen
    )
    assert busy == pytest.approx(true, abs=1e-6 * (1 + len(seen)))


def test_the_ring() -> None:
    """A sample each five seconds, the last 120 of them; none twice, and none of the future."""
    activity = Activity(H100, behaviour("training", 1))
    ring = activity.samples((GPU, 0), NOW + 3) or []
    assert len(ring) == 120
    assert ring[-1][0] == NOW * 1e6
    assert {after - before for (before, _), (after, _) in pairwise(ring)} == {5_000_000}
    assert activity.samples((GPU, ring[-1][0]), NOW + 3) == []
    assert len(activity.samples((MEMORY, ring[-3][0]), NOW + 3) or ()) == 2
    assert activity.samples((nvml.NVML_DEC_UTILIZATION_SAMPLES, 0), NOW) is None
    assert activity.samples((GPU, 0), -5.0) == []


@pytest.mark.parametrize("step", [1, 5, 13, 60, 300])
def test_busy_seconds_at_any_interval(step: int) -> None:
    """Whatever the scrape interval, all of an hour is observed, and busy for the same time."""
    clock = Clock()
    clock.now = 1_795_000_000.0
    fleet = SimulatedFleet(nodes=1, gpus_per_node=2, seed=7, clock=clock)
    driver = fleet.driver("node-0")
    scraper = Scraper(driver, sources=driver.sources, crew=InlineCrew())
    for _ in range(0, 3600 + step, step):
        seen = Seen(scraper.scrape())
        clock.now += step
    for (gpu, uuid, engine), observed in seen.families[OBSERVED].items():
        assert observed == pytest.approx(3600, abs=step + 5)
        assert seen.families[BUSY][gpu, uuid, engine] <= observed
