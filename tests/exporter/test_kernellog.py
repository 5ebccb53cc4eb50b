"""Xid errors from the kernel's log, read from a pipe as from /dev/kmsg."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter import metrics
from agentaflow_exporter.collector import Sources
from agentaflow_exporter.collectors.xid import XID_ERRORS, XID_LAST_TIMESTAMP, XID_LOG_OVERRUNS
from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.kernellog import KernelLog, parse, place
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Seen

UUID = "GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7"
# As the driver's releases and vendors' documents have them.
LINES = [
    ("NVRM: Xid (PCI:0000:3b:00): 79, pid=1122, GPU has fallen off the bus.", "0:3b:00", 79),
    ("NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.", "0:01:00", 79),
    (
        "NVRM: Xid (PCI:0000:cb:00): 13, pid='<unknown>', name=<unknown>, Graphics SM Warp "
        "Exception on (GPC 7, TPC 0, SM 0): Misaligned Address",
        "0:cb:00",
        13,
    ),
    (
        "NVRM: Xid (PCI:0000:00:06): 31, pid=79749, name=exe, Ch 0000000a, intr 00000000. "
        "MMU Fault: ENGINE GRAPHICS GPC2",
        "0:00:06",
        31,
    ),
    ("NVRM: Xid (PCI:0000:17:00 GPU-I:05): 94, pid=7194, name=python3, Contained", "0:17:00", 94),
    ("NVRM: Xid (PCI:0000:17:00 GPU-I:05 GPU-CI:00): 43, pid=1, name=a, Ch 8", "0:17:00", 43),
    ("NVRM: Xid (PCI:0000:19:00): 62, 32260b5e 000154b0 00000000 2026da96", "0:19:00", 62),
    ("NVRM: Xid (PCI:0008:01:00.0): 119, pid=5, name=b, Timeout after 6s", "8:01:00", 119),
    ("NVRM: Xid (0000:03:00): 14, Channel 00000001", "0:03:00", 14),
    (f"NVRM: Xid ({UUID}): 48, pid=1, DBE", UUID, 48),
    ("NVRM: Xid (PCI:0002:00:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 00", "2:00:00", 149),
    ("NVRM: Xid (PCI:0000:65:00): 154, GPU recovery action changed", "0:65:00", 154),
]
# What a log has besides, some of it much like one.
OTHERS = [
    "NVRM: GPU at PCI:0000:03:00: GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7",
    "NVRM: GPU 0000:01:00.0: GPU has fallen off the bus.",
    "nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 24007, Fatal, Link 44 sourcequeue",
    "NVRM: Xid (PCI:somewhere): 79, pid=1",
    "NVRM: Xid (PCI:0000:3b:00): many, pid=1",
    "NVRM: Xid (PCI:0000:3b:00",
    "eth0: link up",
    "",
]


def record(text: str, seconds: float = 12.5) -> bytes:
    return b"3,1234,%d,-;%s\n SUBSYSTEM=pci\n" % (seconds * 1e6, text.encode())


@pytest.mark.parametrize(("text", "gpu", "xid"), LINES)
def test_lines(text: str, gpu: str, xid: int) -> None:
    """Which GPU and which code, in whatever form the driver has written it."""
    assert parse(record(text)) == (gpu, xid, 12.5)


@pytest.mark.parametrize("text", OTHERS)
def test_other_lines(text: str) -> None:
    """Nothing else is taken for an error of a GPU."""
    assert parse(record(text)) is None


@given(st.binary() | st.builds(lambda a, b: a + b"NVRM: Xid (PCI:" + b, st.binary(), st.binary()))
def test_any_bytes(data: bytes) -> None:
    """A log may hold anything."""
    line = parse(data)
    assert line is None or line.xid >= 0


@given(st.text() | st.from_regex(r"[0-9a-f]{0,10}:[0-9A-F]{2}:[0-9a-f]{2}(\.0)?", fullmatch=True))
def test_any_address(text: str) -> None:
    """An address has one form or is none, and that form is its own."""
    known = place(text)
    assert known == "" or place(known) == known


def test_places() -> None:
    """NVML and the kernel write one place differently."""
    assert place("00000000:3B:00.0") == place("0000:3b:00") == place("0:3b:00")
    assert place("00000001:3B:00.0") != place("00000000:3B:00.0")


class Pipe:
    """A log whose other end is ours."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kmsg"
        os.mkfifo(self.path)
        self.log = KernelLog(self.path)
        self.end = os.open(self.path, os.O_WRONLY)

    def write(self, *texts: str, seconds: float = 12.5) -> None:
        os.write(self.end, b"".join(record(text, seconds) for text in texts))


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path)
    yield pipe
    os.close(pipe.end)


@pytest.fixture
def scraper(driver: NvmlDriver, pipe: Pipe) -> Iterator[Scraper]:
    scraper = Scraper(driver, sources=Sources(xids=pipe.log, locate=pipe.log.locate))
    yield scraper
    scraper.close()


def errors(scraper: Scraper) -> dict[tuple[str, ...], float]:
    found = Seen(scraper.scrape()).families[XID_ERRORS]
    return {labels: total for labels, total in found.items() if total}


def test_errors_by_gpu(scraper: Scraper, pipe: Pipe) -> None:
    """The place on the bus becomes the GPU there; also Xid 62, which is no event of NVML."""
    assert errors(scraper) == {}
    pipe.write(
        "NVRM: Xid (PCI:0000:18:00): 62, x", "eth0: link up", "NVRM: Xid (PCI:0000:18:00): 62, y"
    )
    pipe.write("NVRM: Xid (PCI:0000:1a:00): 79, GPU has fallen off the bus.")
    assert errors(scraper) == {("1", UUIDS[1], "62"): 2, ("3", UUIDS[3], "79"): 1}
    seen = Seen(scraper.scrape())
    assert seen.value(XID_ERRORS, "0", UUIDS[0], "62") == 0
    assert seen.value(XID_LOG_OVERRUNS) == 0


def test_the_time_is_the_records(scraper: Scraper, pipe: Pipe) -> None:
    """When it happened, not when it was read."""
    scraper.scrape()
    uptime = time.clock_gettime(time.CLOCK_MONOTONIC)
    pipe.write("NVRM: Xid (PCI:0000:18:00): 79, x", seconds=uptime - 30)
    found = Seen(scraper.scrape()).value(XID_LAST_TIMESTAMP, "1", UUIDS[1], "79")
    assert found == pytest.approx(time.time() - 30, abs=2)


def test_a_gpu_that_does_not_answer(scraper: Scraper, pipe: Pipe, stub: NvmlStub) -> None:
    """A GPU that was off the bus from the start is named once it is back; a lost one, at once."""
    stub.script("2 * error 15")
    pipe.write("NVRM: Xid (PCI:0000:19:00): 79, x")
    assert errors(scraper) == {}
    stub.script()
    scraper.scrape()
    stub.script("2 * error 15")
    pipe.write("NVRM: Xid (PCI:0000:19:00): 79, y")
    assert errors(scraper) == {("2", UUIDS[2], "79"): 2}


def test_a_gpu_of_somebody_else(scraper: Scraper, pipe: Pipe) -> None:
    """Errors at places where we have no GPU make no series, however many there are."""
    for _ in range(20):
        pipe.write(*(f"NVRM: Xid (PCI:00ff:{bus:02x}:00): 79, x" for bus in range(100)))
        assert errors(scraper) == {}
    pipe.write("NVRM: Xid (PCI:0000:17:00): 79, x")
    assert errors(scraper) == {("0", UUIDS[0], "79"): 1}


def test_records_that_were_overwritten(tmp_path: Path) -> None:
    """The kernel says EPIPE once for any number of them: that is counted, and reading goes on."""
    line = record("NVRM: Xid (PCI:0000:17:00): 79, x")
    answers: list[bytes | OSError] = [BrokenPipeError(), line, BlockingIOError()]

    def read(file: int, size: int) -> bytes:
        del file, size
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    (tmp_path / "kmsg").touch()
    log = KernelLog(tmp_path / "kmsg", read)
    log.locate(UUIDS[0], "00000000:17:00.0")
    xids = log()
    assert xids.overruns == 1
    assert xids.gpus[UUIDS[0]]["79"].total == 1


def test_what_was_there_before(tmp_path: Path) -> None:
    """Counting begins with the exporter, whatever the log has from before."""
    (tmp_path / "kmsg").write_bytes(record("NVRM: Xid (PCI:0000:17:00): 79, x"))
    log = KernelLog(tmp_path / "kmsg")
    log.locate(UUIDS[0], "00000000:17:00.0")
    with (tmp_path / "kmsg").open("ab") as file:
        file.write(record("NVRM: Xid (PCI:0000:17:00): 31, x"))
    found = log().gpus[UUIDS[0]]
    assert (found["79"].total, found["31"].total) == (0, 1)


def test_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    """One line says which log, what is wrong and what to do."""
    with pytest.raises(SettingsError, match=r"kmsg: .*/none: No such file.*CAP_SYSLOG"):
        KernelLog(tmp_path / "none")


def test_a_log_that_fails_later(driver: NvmlDriver, tmp_path: Path) -> None:
    """The collector fails, and exports nothing that would be of the past."""
    log = KernelLog(tmp_path)  # a folder, which can be opened but not read
    seen = Seen(Scraper(driver, sources=Sources(xids=log, locate=log.locate)).scrape())
    assert {m for m in seen.families if m.collector == "xid"} == set()
    assert seen.value(metrics.COLLECTOR_SUCCESS, "xid") == 0
