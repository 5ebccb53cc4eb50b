"""The seam between collectors and silicon: NVML's own vocabulary, whoever answers it.

`nvml/` (the real library), `simulated.py` (a made-up fleet) and `replay.py` (a recording)
implement these protocols. A function is called by its NVML name and answers what pynvml answers:
an int, a str, or an object with NVML's field names (`.gpu`, `.memory`; `.total`, `.used` …).

    DriverError
    ├── DriverUnavailable   no library, no driver, nvmlInit failed: retry later
    ├── GpuLost             fallen off the bus or needs a reset: only its series vanish
    └── FieldsFailed        some fields of one call failed; it carries those that did not
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Number = int | float
ALL_LINKS = 0xFFFFFFFF
WHOLE_GPU = 0xFFFFFFFF  # in place of a GPU instance


def scoped(field_id: int, scope: int) -> int:
    """The id of a field of one part of the GPU, such as a link; the plain id is scope 0."""
    return scope << 16 | field_id


class DriverError(Exception):
    """An NVML error that is more than "not supported here"."""

    def __init__(self, message: str, *, function: str = "", code: int = 0) -> None:
        super().__init__(message)
        self.function = function
        self.code = code


class DriverUnavailable(DriverError):
    """The driver cannot be talked to at all."""


class GpuLost(DriverError):
    """NVML_ERROR_GPU_IS_LOST, _RESET_REQUIRED or _UNKNOWN on one GPU."""


class FieldsFailed(DriverError):
    """Some fields, or metrics, of one call failed otherwise than by being unsupported.

    `values` is what the call would have answered of the others.
    """

    def __init__(
        self,
        message: str,
        values: Any,
        failed: frozenset[int],
        *,
        function: str = "nvmlDeviceGetFieldValues",
        code: int,
    ) -> None:
        super().__init__(message, function=function, code=code)
        self.values = values
        self.failed = failed


class Gpu(Protocol):
    """One physical GPU. Calls may block for as long as the driver does."""

    @property
    def index(self) -> int: ...

    @property
    def uuid(self) -> str: ...

    def read(self, function: str, *arguments: int) -> Any:
        """The answer of `nvmlDeviceGet…(handle, *arguments)`; None where it is unsupported.

        Two answer otherwise than pynvml: nvmlGpmMetricsGet, of a GPU instance or WHOLE_GPU and
        metrics' ids, answers (id, value) over the time since it was asked last, and
        nvmlDeviceGetSamples, of a type and the last time seen, answers (microseconds, value).

        Raises GpuLost, DriverUnavailable, FieldsFailed or another DriverError.
        """
        ...

    def read_mig(self, device: int, function: str, *arguments: int) -> Any:
        """Like read, of the MIG device at an index of this GPU; None too where there is none."""
        ...

    def fields(self, *ids: int) -> Mapping[int, Number]:
        """`nvmlDeviceGetFieldValues`, one call: NVML_FI id → value; unsupported ids are absent.

        An id may be `scoped`.

        Raises FieldsFailed where single fields failed, and what read raises.
        """
        ...


class Driver(Protocol):
    """The whole driver of one machine."""

    def open(self) -> None:
        """Initialise (again). Raises DriverUnavailable."""
        ...

    def close(self) -> None: ...

    def read(self, function: str, *arguments: int) -> Any:
        """The answer of an `nvmlSystemGet…` function; None where it is unsupported."""
        ...

    def gpus(self) -> Sequence[Gpu]:
        """Every GPU the driver enumerates now. Raises DriverUnavailable."""
        ...
