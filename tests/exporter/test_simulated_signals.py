"""The laws of the simulation's signals: an integral is the integral, however it is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter.signals import (
    Bursts,
    Constant,
    Noise,
    Signal,
    Wave,
    pulses,
    scatter,
    total,
)

SIGNALS: dict[str, Signal] = {
    "constant": Constant(0.3),
    "wave": Wave(0.5, 0.2),
    "noise": Noise(7, 0.1),
    "bursts": Bursts(Wave(0.2, 0.1), 7, 600.0, 0.4, 0.9),
    "pulses": pulses(7, share=0.25, slot_seconds=600.0),
    "sum": total(Wave(0.5, 0.2), Noise(8, 0.1), pulses(9, share=0.1, slot_seconds=900.0)),
}
times = st.floats(0, 1e8)
keys = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("name", SIGNALS)
@given(start=times)
def test_the_integral_is_the_integral(name: str, start: float) -> None:
    """Over half an hour it is what adding up the values at fine steps comes to."""
    signal, step = SIGNALS[name], 0.5
    added_up = sum(signal.at(start + (i + 0.5) * step) for i in range(3600)) * step
    assert signal.integral(start + 1800) - signal.integral(start) == pytest.approx(
        added_up, abs=1.0
    )


@pytest.mark.parametrize("name", sorted(SIGNALS.keys() - {"noise"}))
@given(start=times, seconds=st.floats(0.1, 1e5))
def test_what_is_never_negative_never_counts_down(name: str, start: float, seconds: float) -> None:
    """The integral of a signal that is never negative is monotone, but for float noise."""
    signal = SIGNALS[name]
    assert signal.integral(start + seconds) >= signal.integral(start) - 1e-6


@given(key=keys, time=times)
def test_noise_is_bounded(key: int, time: float) -> None:
    """It never exceeds its amplitude, so that sums of signals stay in their range."""
    assert abs(Noise(key, 0.1).at(time)) <= 0.1


@given(key=keys, slot=st.integers(0, 10_000))
def test_each_slot_delivers_its_share(key: int, slot: int) -> None:
    """Pulses are on for exactly their share of every slot, at one moment of it or another."""
    signal = pulses(key, share=0.25, slot_seconds=600.0)
    start = slot * 600.0
    assert signal.integral(start + 600.0) - signal.integral(start) == pytest.approx(150.0)
    assert {signal.at(start + i) for i in range(0, 600, 10)} == {0.0, 1.0}


@given(key=keys, index=st.integers(-(10**12), 10**12))
def test_scatter_is_a_function(key: int, index: int) -> None:
    """The same arguments give the same number in [0, 1)."""
    assert 0 <= scatter(key, index) == scatter(key, index) < 1


def test_scatter_is_even() -> None:
    """Ten thousand numbers of one key fill the interval evenly."""
    numbers = [scatter(42, index) for index in range(10_000)]
    assert all(900 < sum(int(n * 10) == tenth for n in numbers) < 1100 for tenth in range(10))
