"""`agentaflow-exporter` as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.processes import eventually

COMMAND = (sys.executable, "-m", "agentaflow_exporter.cli")


@dataclass(frozen=True)
class RunningExporter:
    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def get(self, path: str = "/metrics", headers: Mapping[str, str] | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, headers=dict(headers or {}))
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: bytes = answer.read()
        return body

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


def run(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=_clean(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[RunningExporter]:
    """The exporter on a free port of 127.0.0.1, as soon as its log says that it listens."""
    log = folder / "exporter.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, *arguments, "--web.listen-address=127.0.0.1:0"],
            env=_clean(environment),
            stderr=stderr,
        )
    try:
        yield RunningExporter(process, f"http://{_address(process, log)}", log)
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    def found() -> re.Match[str] | None:
        assert process.poll() is None, log.read_text()
        return re.search(r'address"?[=:] ?"?([0-9.]+:\d+)', log.read_text())

    eventually(lambda: found() is not None, seconds=30)
    match = found()
    assert match
    return match[1]


def _clean(environment: Mapping[str, str] | None) -> dict[str, str]:
    """No setting and no script of the tests' own environment reaches the process unasked."""
    mine = ("AGENTAFLOW_EXPORTER_", "NVML_STUB_", "LD_LIBRARY_PATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    return {**kept, **(environment or {})}
