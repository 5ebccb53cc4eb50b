"""What the simulation says of a GPU is what anybody can see in its metrics over a day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache

import pytest

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.simulated import SimulatedFleet
from agentaflow_exporter.stories import TRUTHS, landing_rows

NOW = 1_795_000_000.0
STEP_SECONDS = 150
STEPS = 24 * 3600 // STEP_SECONDS
UNCORRECTED = nvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL


@dataclass(frozen=True)
class Day:
    """A day of one GPU, as a monitoring system would have it."""

    role: str
    utilization: list[int]
    celsius: list[int]
    slowdowns: int
    memory_ratio: float
    processes: int
    uncorrected: int
    namespaces: set[str]
    slowdown_celsius: int


@cache
def days(seed: int) -> list[Day]:
    now = NOW
    fleet = SimulatedFleet(nodes=8, gpus_per_node=8, seed=seed, clock=lambda: now)
    found = []
    for node in fleet.nodes:
        for gpu in fleet.driver(node).gpus():
            story = fleet.truth(node, gpu.index)
            utilization, celsius, slowdowns, uncorrected = [], [], 0, []
            for step in range(STEPS):
                now = NOW + step * STEP_SECONDS
                utilization.append(gpu.read("nvmlDeviceGetUtilizationRates").gpu)
                celsius.append(gpu.read("nvmlDeviceGetTemperatureV", nvml.NVML_TEMPERATURE_GPU))
                slowdowns += bool(gpu.read("nvmlDeviceGetCurrentClocksEventReasons") & 0x60)
                uncorrected.append(int(gpu.fields(UNCORRECTED)[UNCORRECTED]))
            memory = gpu.read("nvmlDeviceGetMemoryInfo", nvml.nvmlMemory_v2)
            found.append(
                Day(
                    role=story.name,
                    utilization=utilization,
                    celsius=celsius,
                    slowdowns=slowdowns,
                    memory_ratio=memory.used / memory.total,
                    processes=len(gpu.read("nvmlDeviceGetComputeRunningProcesses")),
                    uncorrected=uncorrected[-1] - uncorrected[0],
                    namespaces={pod.namespace for pod in story.pods},
                    slowdown_celsius=gpu.read("nvmlDeviceGetTemperatureThreshold", 1),
                )
            )
    return found


def of(role: str) -> list[Day]:
    found = [day for seed in (1, 7) for day in days(seed) if day.role == role]
    assert found, role
    return found


def test_idle_notebooks_hold_memory_and_compute_nothing() -> None:
    """Utilization is exactly zero all day, memory and a pod in `research` are held."""
    for day in of("idle_notebook"):
        assert set(day.utilization) == {0}
        assert day.memory_ratio > 0.3
        assert day.processes >= 1
        assert day.namespaces == {"research"}


def test_forgotten_processes_belong_to_no_pod() -> None:
    """A process holds memory, computes nothing, and no pod owns it."""
    for day in of("forgotten_process"):
        assert set(day.utilization) == {0}
        assert day.memory_ratio > 0.1
        assert day.processes >= 1
        assert not day.namespaces


def test_oversized_inference_stays_between_8_and_20_percent() -> None:
    """Never idle, never in need of more than a fifth of the GPU."""
    for day in of("oversized_inference"):
        assert 8 <= min(day.utilization) <= max(day.utilization) <= 20


@pytest.mark.parametrize("role", ["busy_training", "training", "ecc_errors", "hot_node"])
def test_training_is_never_idle(role: str) -> None:
    """Busy day and night, apart from checkpoints."""
    for day in of(role):
        assert min(day.utilization) > 20
        assert sorted(day.utilization)[STEPS // 10] > 60
        assert day.namespaces == {"training"}


def test_ordinary_inference_is_busy_now_and_then() -> None:
    """Idle at most moments and yet clearly in use within every two hours."""
    for day in of("inference"):
        assert day.utilization.count(0) > STEPS / 3
        two_hours = 7200 // STEP_SECONDS
        parts = [day.utilization[i : i + two_hours] for i in range(0, STEPS, two_hours)]
        assert all(max(part) > 5 for part in parts)
        assert day.namespaces == {"serving"}


def test_unallocated_gpus_are_empty() -> None:
    """No pod, no process, no memory, nothing computed."""
    for day in of("unallocated"):
        assert set(day.utilization) == {0}
        assert (day.memory_ratio, day.processes, day.namespaces) == (0, 0, set())


def test_only_hot_nodes_get_hot() -> None:
    """They reach the slowdown threshold and are slowed down; all others stay well below it."""
    for seed in (1, 7):
        for day in days(seed):
            if day.role == "hot_node":
                assert max(day.celsius) >= day.slowdown_celsius > min(day.celsius)
                assert STEPS / 10 < day.slowdowns < STEPS / 2
            else:
                assert max(day.celsius) < day.slowdown_celsius - 10
                assert day.slowdowns == 0


def test_only_sick_gpus_have_uncorrected_errors() -> None:
    """Their uncorrected errors grow by the day."""
    for seed in (1, 7):
        for day in days(seed):
            assert (day.uncorrected >= 3) == (day.role == "ecc_errors")
            assert day.uncorrected == 0 or day.role == "ecc_errors"


@pytest.mark.parametrize("nodes", [2, 8, 9, 64])
def test_every_story_is_told(nodes: int) -> None:
    """From two nodes of eight GPUs on, all stories are there, and most GPUs are ordinary."""
    fleet = SimulatedFleet(nodes, 8, seed=3)
    told = Counter(story.name for story in fleet.stories())
    ordinary = Counter(fleet.truth(node, gpu).name for node in fleet.nodes for gpu in range(8))
    assert told.keys() | ordinary.keys() <= TRUTHS.keys()
    assert told.keys() == TRUTHS.keys() - {"training", "inference", "unallocated"}
    assert told["hot_node"] % 8 == 0
    assert nodes < 8 or sum(told.values()) < nodes * 8 / 2


@pytest.mark.parametrize(("nodes", "gpus"), [(1, 1), (1, 8), (1, 3), (3, 1)])
def test_small_fleets_have_what_fits(nodes: int, gpus: int) -> None:
    """The most useful stories come first, and nothing fails for want of room."""
    fleet = SimulatedFleet(nodes, gpus, seed=3)
    assert "busy_training" in {story.name for story in fleet.stories()}
    assert len(fleet.stories()) <= nodes * gpus


def test_growing_the_fleet_does_not_move_the_stories() -> None:
    """The first nodes are the same in a fleet of 16 as in one of 64."""
    small, large = SimulatedFleet(16, 8, seed=3), SimulatedFleet(64, 8, seed=3)
    assert small.stories() == tuple(s for s in large.stories() if s.node in small.nodes)


def test_pods_are_those_of_the_truths() -> None:
    """A node's pods are exactly those of its GPUs' stories, with their uuids."""
    fleet = SimulatedFleet(8, 8, seed=7)
    for node in fleet.nodes:
        told = [pod for gpu in range(8) for pod in fleet.truth(node, gpu).pods]
        assert list(fleet.pods(node)) == told == list(fleet.driver(node).sources.pods())
    assert len({(pod.device, pod.pod) for node in fleet.nodes for pod in fleet.pods(node)}) == sum(
        len(fleet.pods(node)) for node in fleet.nodes
    )


def test_people_read_one_row_for_a_hot_node() -> None:
    """The landing page's rows name a GPU, or a node where all of it is meant."""
    rows = landing_rows(SimulatedFleet(8, 8, seed=7).stories())
    assert [story for _, story, _ in rows].count("hot_node") == 1
    assert all(" GPU " in where for where, story, _ in rows if story != "hot_node")
