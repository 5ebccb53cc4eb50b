"""A real Dask scheduler and two workers on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

from tools.processes import Program, eventually, free_port
from tools.terminal import BIN


@contextmanager
def dask_workers(folder: Path) -> Iterator[str]:
    """The scheduler's address, once both workers are there."""
    address = f"tcp://127.0.0.1:{free_port()}"
    here = ["--no-dashboard"]
    programs = [
        Program(
            [str(BIN / "dask"), "scheduler", "--host", address, *here],
            folder / "scheduler.log",
            folder=folder,
        )
    ]
    try:
        for number in range(2):
            own = ["--host", "127.0.0.1", "--local-directory", str(folder / f"w{number}")]
            own += ["--nthreads", "1", "--no-nanny", *here]
            command = [str(BIN / "dask"), "worker", address, *own]
            programs.append(Program(command, folder / f"worker-{number}.log", folder=folder))
        eventually(lambda: _workers(address) == 2, 60, what="two workers")
        yield address
    finally:
        for program in reversed(programs):
            program.stop()


def _workers(address: str) -> int:
    try:
        with Client(address, timeout=2, set_as_default=False) as client:
            return len(client.scheduler_info()["workers"])
    except OSError:
        return 0
