"""Fixtures of the exporter's tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pynvml
import pytest

from agentaflow_exporter.nvml import NvmlDriver
from tests.support.nvml_stub import NvmlStub, in_process_stub
from tests.support.scraping import Clock


@pytest.fixture
def stub() -> Iterator[NvmlStub]:
    """The NVML stub in this process, without a script and with an empty log of calls."""
    stub = in_process_stub()
    stub.script()
    stub.forget()
    yield stub
    stub.script()


@pytest.fixture
def clock() -> Clock:
    """The clock of `driver`, which stands still until a test moves it."""
    return Clock()


@pytest.fixture
def driver(stub: NvmlStub, clock: Clock) -> Iterator[NvmlDriver]:
    """The real driver on the stub, not opened yet."""
    del stub
    with suppress(pynvml.NVMLError):  # nvmlInit is counted, and a test may have left one
        while True:
            pynvml.nvmlShutdown()
    driver = NvmlDriver(clock)
    yield driver
    driver.close()
