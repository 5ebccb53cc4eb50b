"""Right-sizing's truth is what pods did after the tool had judged them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.truth.duty import traces
from bench.truth.holdout import Case

PODS = {"a": (10.0, 20.0), "b": (80.0, 30.0)}
"""Duty cycle in percent and GiB, of the first hour; both double in the second."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    duty, memory = ["value,timestamp_anon,container_ip"], ["timestamp_anon,value,container_ip"]
    for pod, (percent, gib) in PODS.items():
        for minute in reversed(range(120)):
            times = 1 if minute < 60 else 2
            duty.append(f"{percent * times},{minute * 60.0},{pod}")
            memory.append(f"{minute * 60.0},{gib * times * 2**30},{pod}")
    (tmp_path / "pod_gpu_duty_cycle_anon.csv").write_text("\n".join(duty))
    (tmp_path / "pod_gpu_memory_used_bytes_anon.csv").write_text("\n".join(memory))
    return tmp_path


@pytest.fixture
def case(folder: Path) -> Case:
    """Pod a: 10 % and 20 GiB seen, 20 % and 40 GiB later."""
    trace = traces(folder)["a"]
    return Case("a", 0.0, trace.between(0, 3600), trace.between(3600, 7200))


def test_traces_are_read_in_order_of_time_and_cut_in_two(case: Case) -> None:
    """The first part is what the tool sees, the later one what it is held against."""
    assert case.peaks == ((0.1, 20 * 1024), (0.2, 40 * 1024))
    assert [at for at, _ in case.later.percent] == [float(at) for at in range(3600, 7200, 60)]


@pytest.mark.parametrize(
    ("home", "holds"),
    [
        ((40 * 1024, 5.0), True),
        ((40 * 1024 - 1, 5.0), False),
        ((40 * 1024, 5.1), False),
        (None, False),
    ],
)
def test_a_home_is_right_if_it_holds_what_came_later(
    case: Case, home: tuple[float, float] | None, holds: bool
) -> None:
    """Without head-room; a home that is not on the list is wrong, not an error of the bench."""
    assert case.holds(home) is holds


def test_room_is_asked_for_in_both_parts(case: Case) -> None:
    """A fifth more memory and 80 % busy, of whichever part needs more."""
    assert case.has_room((48 * 1024, 4.0), 1.2, 0.8)
    assert not case.has_room((47 * 1024, 4.0), 1.2, 0.8)
    assert not case.has_room((48 * 1024, 4.1), 1.2, 0.8)
