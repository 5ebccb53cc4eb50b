"""Programs that are started here, waited for until they are ready, and stopped by their id."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class NotInTime(AssertionError):
    """A condition did not become true before its deadline."""


def eventually(check: Callable[[], T], seconds: float = 30, *, what: str = "condition") -> T:
    """What `check()` returns once it is true. Raises NotInTime, telling its last answer."""
    deadline = time.monotonic() + seconds
    while not (result := check()):
        if time.monotonic() > deadline:
            raise NotInTime(f"{what}: not within {seconds} s; last seen: {result!r}")
        time.sleep(0.05)
    return result


def free_port() -> int:
    """A TCP port of loopback that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Program:
    """A child process with its log in a file; killed, and waited for, by `stop()`."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        lifeline: bool = False,
    ) -> None:
        """lifeline: hold its standard input open, so that it can end itself when we are gone."""
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment) if environment is not None else None,
                cwd=folder,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def processor_seconds(self) -> float:
        """That it has used so far (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until(self, ready: Callable[[], object], seconds: float) -> None:
        """Raises RuntimeError with the log's tail when it stops, or is not ready in time."""
        deadline = time.monotonic() + seconds
        while not ready():
            gone = self.process.poll() is not None
            if gone or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-4000:]
                name = Path(str(self.process.args[0])).name  # type: ignore[index]
                raise RuntimeError(f"{name} {'stopped' if gone else 'is not ready'}:\n{tail}")
            time.sleep(0.05)

    def stop(self, *, gently_for: float = 0) -> int:
        """Its exit code. gently_for: so many seconds after SIGTERM before SIGKILL."""
        if gently_for:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(gently_for)
        if self.process.poll() is None:
            self.process.kill()
        code = self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
        return code
