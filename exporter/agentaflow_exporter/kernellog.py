"""Xid errors from the kernel's log, which has those too that NVML has no events for.

Nothing runs between scrapes: the kernel keeps the records, with their times, until each scrape
reads those that came since the last. Reading /dev/kmsg needs root or CAP_SYSLOG.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.xids import BY_KERNEL_LOG, Tally, Xids

DEVICE = Path("/dev/kmsg")
_RECORD_BYTES = 8192  # the kernel's own limit, CONSOLE_EXT_LOG_MAX
_MOST_RECORDS = 100_000  # in one scrape
_MOST_UNPLACED = 1024
# The parentheses have PCI:DDDD:BB:DD, the GPU's uuid, or before 2013 the bare address; on a MIG GPU
# also the instances. The message after the code is nobody's contract.
_XID = re.compile(rb"NVRM: Xid \(([^)]{1,200})\): (\d{1,9})\b")
_PCI = re.compile(r"(?:([0-9a-f]{1,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.[0-9a-f])?", re.IGNORECASE)
_UUID = re.compile(r"GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Line(NamedTuple):
    """An Xid in a record of the log."""

    gpu: str  # a uuid, or a place as `place` writes it
    xid: int
    uptime_seconds: float


def parse(record: bytes) -> Line | None:
    """A record is `priority,sequence,microseconds since boot,flags;text`; None: no Xid in it."""
    found = _XID.search(record)
    if found is None:
        return None
    where = found[1].decode(errors="replace")
    uuid = _UUID.search(where)
    gpu = uuid[0] if uuid else place(where.removeprefix("PCI:"))
    fields = record.partition(b";")[0].split(b",")
    if not gpu or len(fields) < 3 or not fields[2].isdigit() or len(fields[2]) > 20:
        return None
    return Line(gpu, int(found[2]), int(fields[2]) / 1e6)


def place(address: str) -> str:
    """One form for NVML's `00000000:3B:00.0` and the kernel's `0000:3b:00`; "" if it is neither."""
    found = _PCI.match(address)
    if found is None:
        return ""
    domain, bus, device = (int(part or "0", 16) for part in found.groups())
    return f"{domain:x}:{bus:02x}:{device:02x}"


class KernelLog:
    """Counts from its making on. `locate` tells it which GPU is where."""

    def __init__(self, path: Path = DEVICE, read: Callable[[int, int], bytes] = os.read) -> None:
        """Raises SettingsError where the log cannot be read."""
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            if not stat.S_ISFIFO(os.fstat(self._file).st_mode):
                os.lseek(self._file, 0, os.SEEK_END)
        except OSError as error:
            raise SettingsError(
                f"--collector.xid.source=kmsg: {path}: {error.strerror}: "
                "give the exporter CAP_SYSLOG, or take the source events"
            ) from error
        self._read = read
        self._tally = Tally(BY_KERNEL_LOG)
        self._uuids: dict[str, str] = {}  # by place
        self._unplaced: list[Line] = []
        self._overruns = 0

    def locate(self, uuid: str, bus_id: str) -> None:
        self._uuids[place(bus_id)] = uuid
        self._tally.watch(uuid)

    def __call__(self) -> Xids:
        """Raises OSError where the log cannot be read any more."""
        boot = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
        waiting, self._unplaced = self._unplaced, []
        for line in (*waiting, *self._lines()):
            uuid = line.gpu if line.gpu.startswith("GPU-") else self._uuids.get(line.gpu)
            if uuid is not None:
                self._tally.count(uuid, line.xid, boot + line.uptime_seconds)
            elif len(self._unplaced) < _MOST_UNPLACED:
                self._unplaced.append(line)  # of a GPU that has not answered yet
        return self._tally.xids(overruns=self._overruns)

    def _lines(self) -> Iterator[Line]:
        for records in self._reads():
            for record in records.splitlines():
                line = parse(record)
                if line is not None:
                    yield line

    def _reads(self) -> Iterator[bytes]:
        """Each a record and its properties. EPIPE: some were overwritten, and those left follow."""
        for _ in range(_MOST_RECORDS):
            try:
                records = self._read(self._file, _RECORD_BYTES)
            except BrokenPipeError:
                self._overruns += 1
                continue
            except BlockingIOError:
                return
            if not records:
                return
            yield records
