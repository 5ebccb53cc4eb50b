"""The real pynvml on the stub library."""

from __future__ import annotations

import math
import struct

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter import constants
from agentaflow_exporter.driver import DriverError, DriverUnavailable, FieldsFailed, GpuLost
from agentaflow_exporter.nvml import NvmlDriver, NvmlGpu
from agentaflow_exporter.nvml.fields import decode
from tests.support.nvml_stub import NvmlStub

POWER = "nvmlDeviceGetPowerUsage"
FIELDS = "nvmlDeviceGetFieldValues"


@pytest.fixture
def gpu(driver: NvmlDriver) -> NvmlGpu:
    driver.open()
    return driver.gpus()[0]


def test_reads_what_pynvml_answers(gpu: NvmlGpu, stub: NvmlStub) -> None:
    """A function is called by its NVML name, with its arguments, and answers what pynvml does."""
    stub.script("0 nvmlDeviceGetClockInfo:1 value 1410", "0 nvmlDeviceGetName value Tesla T4")
    assert gpu.read("nvmlDeviceGetClockInfo", 1) == 1410
    assert gpu.read("nvmlDeviceGetName") == "Tesla T4"
    assert gpu.read("nvmlDeviceGetMemoryInfo", constants.nvmlMemory_v2).total == 80 << 30
    assert gpu.uuid == "GPU-0000a100-5eed-4a6b-8c1d-0123456789ab"


@pytest.mark.parametrize("code", [2, 3, 13, 25])
def test_learns_what_is_unsupported_once(gpu: NvmlGpu, stub: NvmlStub, code: int) -> None:
    """An unsupported function answers None and is never called on that GPU again."""
    stub.script(f"0 {POWER} error {code}")
    assert gpu.read(POWER) is None
    stub.script()
    stub.forget()
    assert gpu.read(POWER) is None
    assert stub.calls() == []


def test_learns_by_gpu_and_argument(driver: NvmlDriver, stub: NvmlStub) -> None:
    """What one GPU does not support for one argument, others and other arguments may."""
    driver.open()
    first, second, *_ = driver.gpus()
    stub.script("0 nvmlDeviceGetClockInfo:3 error 3")
    assert first.read("nvmlDeviceGetClockInfo", 3) is None
    assert first.read("nvmlDeviceGetClockInfo", 1) is not None
    assert second.read("nvmlDeviceGetClockInfo", 3) is not None


def test_opening_again_unlearns(driver: NvmlDriver, stub: NvmlStub) -> None:
    """After a restart of the driver everything is asked again, through new handles."""
    driver.open()
    old = driver.gpus()[0]
    stub.script(f"0 {POWER} error 3")
    assert old.read(POWER) is None
    driver.close()
    stub.script()
    driver.open()
    assert driver.gpus()[0].read(POWER) is not None


def test_void_handle_is_no_answer(driver: NvmlDriver, stub: NvmlStub) -> None:
    """A handle of an earlier nvmlInit counts as a lost GPU, not as one that supports nothing."""
    del stub
    driver.open()
    old = driver.gpus()[0]
    assert old.uuid
    driver.close()
    driver.open()
    with pytest.raises(GpuLost, match="initialised again"):
        old.read("nvmlDeviceGetUUID")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (15, GpuLost),
        (16, GpuLost),
        (999, GpuLost),
        (1, DriverUnavailable),
        (9, DriverUnavailable),
        (12, DriverUnavailable),
        (18, DriverUnavailable),
        (4, DriverError),
        (6, DriverError),
        (10, DriverError),
        (20, DriverError),
    ],
)
def test_errors_are_named(gpu: NvmlGpu, stub: NvmlStub, code: int, kind: type[DriverError]) -> None:
    """NVML's codes become the errors of the seam, with function and code; they are not learnt."""
    stub.script(f"0 {POWER} error {code}")
    with pytest.raises(DriverError) as caught:
        gpu.read(POWER)
    assert (type(caught.value), caught.value.function, caught.value.code) == (kind, POWER, code)
    stub.script()
    assert gpu.read(POWER) is not None


def test_gpu_without_a_handle_is_lost(driver: NvmlDriver, stub: NvmlStub) -> None:
    """A GPU whose handle cannot be had is lost; its neighbours are enumerated and answer."""
    driver.open()
    stub.script("1 nvmlDeviceGetHandleByIndex_v2 error 15")
    _, sick, healthy, *_ = driver.gpus()
    with pytest.raises(GpuLost):
        sick.read(POWER)
    assert healthy.read(POWER) is not None


@pytest.mark.parametrize("call", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
def test_no_driver(driver: NvmlDriver, stub: NvmlStub, call: str) -> None:
    """Without a driver, opening or enumerating says so, and works once it is there."""
    stub.script(f"- {call} error 9")
    with pytest.raises(DriverUnavailable, match="Driver Not Loaded"):
        _open_and_count(driver)
    stub.script()
    assert _open_and_count(driver) == 8


def _open_and_count(driver: NvmlDriver) -> int:
    driver.open()
    return len(driver.gpus())


def test_function_that_pynvml_lacks(driver: NvmlDriver, gpu: NvmlGpu) -> None:
    """A function newer than pynvml is like one that the driver does not have."""
    assert gpu.read("nvmlDeviceGetWishes") is None
    assert driver.read("nvmlSystemGetWishes") is None


def test_fields_are_one_call(gpu: NvmlGpu, stub: NvmlStub) -> None:
    """All fields come from one call, and those that are unsupported are not asked for again."""
    gpu.fields(1)
    stub.script(f"0 {FIELDS}:3 error 3", f"0 {FIELDS}:83 value 123456789")
    stub.forget()
    values = gpu.fields(1, 3, 82, 83)
    assert values.keys() == {1, 82, 83}
    assert values[83] == 123456789
    assert stub.calls() == [f"0 {FIELDS} -1"]
    stub.script()
    assert gpu.fields(1, 3, 82, 83).keys() == {1, 82, 83}


def test_field_of_32_bits(gpu: NvmlGpu, stub: NvmlStub) -> None:
    """The undefined upper half of the union of a 32-bit field is not part of its value."""
    stub.script(f"0 {FIELDS}:94 value 7")
    assert gpu.fields(94) == {94: 7}


def test_failed_field(gpu: NvmlGpu, stub: NvmlStub) -> None:
    """A field that fails is told, without costing the others."""
    stub.script(f"0 {FIELDS}:94 error 10")
    with pytest.raises(FieldsFailed) as caught:
        gpu.fields(1, 94)
    assert (caught.value.code, dict(caught.value.values)) == (10, {1: 1})


@pytest.mark.parametrize("call", [FIELDS, f"{FIELDS}:94"])
def test_fields_of_a_lost_gpu(gpu: NvmlGpu, stub: NvmlStub, call: str) -> None:
    """A lost GPU is noticed from the call's code as from a field's."""
    stub.script(f"0 {call} error 15")
    with pytest.raises(GpuLost):
        gpu.fields(1, 94)


def test_fields_unsupported_altogether(gpu: NvmlGpu, stub: NvmlStub) -> None:
    """A driver without the call answers no fields, and is not asked again."""
    stub.script(f"0 {FIELDS} error 13")
    assert gpu.fields(1, 83) == {}
    stub.forget()
    assert gpu.fields(1, 83) == {}
    assert stub.calls() == []


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**32 - 1), st.floats(allow_nan=False))
def test_decodes_every_member_of_the_union(number: int, garbage: int, real: float) -> None:
    """Each value type is read from its own bytes, whatever lies beside them."""
    low = number & 0xFFFFFFFF
    raw = garbage << 32 | low
    assert decode(pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, raw) == low
    assert decode(pynvml.NVML_VALUE_TYPE_SIGNED_INT, raw) == number
    assert decode(pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT, raw) == low & 0xFFFF
    assert decode(pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, raw) == raw
    wide = number & 0xFFFFFFFFFFFFFFFF
    assert decode(pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG, wide) == number
    bits = int.from_bytes(struct.pack("=d", real), "little")
    assert math.isclose(decode(pynvml.NVML_VALUE_TYPE_DOUBLE, bits), real, rel_tol=0)


def test_constants_are_nvmls() -> None:
    """The numbers repeated for the collectors are the ones of nvml.h."""
    names = [name for name in vars(constants) if name.startswith(("NVML_", "nvml"))]
    assert len(names) > 20
    for name in names:
        assert getattr(constants, name) == getattr(pynvml, name), name
