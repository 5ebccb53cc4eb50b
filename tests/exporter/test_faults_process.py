"""The exporter as a process that lacks what it needs: a driver, descriptors, a log."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.support import exporter_process
from tests.support.exporter_process import COMMAND, RunningExporter
from tests.support.nvml_stub import LIBRARY, library_folder
from tools.processes import eventually, free_port

DRIVER_UP = b"\nagentaflow_exporter_driver_up 1\n"
DRIVER_DOWN = b"\nagentaflow_exporter_driver_up 0\n"
SOAK_SCRAPES = 2000


def on_stub() -> dict[str, str]:
    """Without a script: the stub is as fast as it can be."""
    return {"LD_LIBRARY_PATH": str(library_folder())}


def of_process(body: bytes, name: str) -> int:
    (line,) = (x for x in body.splitlines() if x.startswith(f"process_{name} ".encode()))
    return int(line.split()[1])


@pytest.mark.fault("E1")
def test_no_library(tmp_path: Path) -> None:
    """Without libnvidia-ml the exporter starts, says that the driver is down, and stops with 0."""
    environment = {"LD_LIBRARY_PATH": str(tmp_path)}
    with exporter_process.running(tmp_path, environment=environment) as exporter:
        body = exporter.get()
        assert DRIVER_DOWN in body
        assert b"agentaflow_gpu_up" not in body
        assert exporter.stop() == 0
        assert "Traceback" not in exporter.log.read_text()


@pytest.mark.fault("E1")
def test_library_that_comes_later(tmp_path: Path) -> None:
    """A driver that is installed while the exporter runs is found, without a restart."""
    library = tmp_path / "library"
    library.mkdir()
    environment = {"LD_LIBRARY_PATH": str(library)}
    with exporter_process.running(tmp_path, environment=environment) as exporter:
        assert DRIVER_DOWN in exporter.get()
        shutil.copy(library_folder() / LIBRARY, library / "part")
        (library / "part").rename(library / LIBRARY)
        eventually(lambda: DRIVER_UP in exporter.get(), seconds=20)
        assert exporter.get().count(b"\nagentaflow_gpu_up{") == 8
        assert exporter.stop() == 0


@pytest.mark.fault("E10")
def test_thousands_of_scrapes(tmp_path: Path) -> None:
    """Two thousand scrapes leave as many descriptors and threads, and next to no more memory."""
    with exporter_process.running(tmp_path, environment=on_stub()) as exporter:
        connection = http.client.HTTPConnection(exporter.url.removeprefix("http://"), timeout=30)

        def scrapes(count: int) -> bytes:
            body = b""
            for _ in range(count):
                connection.request("GET", "/metrics")
                body = connection.getresponse().read()
            return body

        before, after = scrapes(200), scrapes(SOAK_SCRAPES)
        connection.close()
        for name in ("open_fds", "threads"):
            assert of_process(before, name) == of_process(after, name)
        grown = of_process(after, "resident_memory_bytes") - of_process(
            before, "resident_memory_bytes"
        )
        assert grown <= 512 * 1024


@contextmanager
def limited(
    *, files: int = 1024, log: str = os.devnull, environment: Mapping[str, str] | None = None
) -> Iterator[RunningExporter]:
    """The exporter with so few file descriptors, and its log at a device."""
    port = free_port()
    shell = f'ulimit -n {files}; exec "$@" 2>{log}'
    arguments = [*COMMAND, f"--web.listen-address=127.0.0.1:{port}", "--log.level=debug"]
    process = subprocess.Popen(
        ["/bin/sh", "-c", shell, "sh", *arguments], env={**os.environ, **(environment or {})}
    )
    exporter = RunningExporter(process, f"http://127.0.0.1:{port}", Path(log))
    try:
        eventually(lambda: answers(exporter))
        yield exporter
    finally:
        process.kill()
        process.wait()


def answers(exporter: RunningExporter) -> bool:
    with suppress(OSError):
        return DRIVER_DOWN in exporter.get() or DRIVER_UP in exporter.get()
    return False


@pytest.mark.fault("E11")
@pytest.mark.parametrize("log", ["/dev/full", "&-"])
@pytest.mark.parametrize("library", ["there", "missing"])
def test_log_that_cannot_be_written(tmp_path: Path, log: str, library: str) -> None:
    """On a full disk or without a stderr the exporter serves, warns in vain, and stops with 0."""
    environment = on_stub() if library == "there" else {"LD_LIBRARY_PATH": str(tmp_path)}
    with limited(log=log, environment=environment) as exporter:
        for _ in range(5):
            assert (DRIVER_UP if library == "there" else DRIVER_DOWN) in exporter.get()
        assert exporter.stop() == 0


@pytest.mark.fault("E11")
def test_few_descriptors(tmp_path: Path) -> None:
    """With 64 descriptors and 200 silent clients every scrape is whole."""
    del tmp_path
    with limited(files=64, environment=on_stub()) as exporter, ExitStack() as crowd:
        port = int(exporter.url.rpartition(":")[2])
        for _ in range(200):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        for _ in range(20):
            body = exporter.get()
            assert body.count(b"\nagentaflow_gpu_up{") == 8
            assert of_process(body, "open_fds") < 64
        assert exporter.stop() == 0
