"""Who a process is, from /proc: never its command line or environment, which may hold secrets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from agentaflow_exporter.attribution import cgroups
from agentaflow_exporter.attribution.containers import Container
from agentaflow_exporter.collector import Process

PROCFS = Path("/proc")
_SHORT_ID = 12  # as `docker ps` shows it
_MOST_BYTES = 65536
_START_TIME = 19  # of the fields after the name; proc_pid_stat(5) counts from 1, and the name is 2


class Processes:
    """Calls answer a process as it is at that moment; nothing is kept, as ids are used again."""

    def __init__(
        self,
        procfs: Path = PROCFS,
        containers: Callable[[str], Container | None] = lambda _: None,
    ) -> None:
        self._procfs = str(procfs)
        self._containers = containers

    def __call__(self, pid: int) -> Process:
        """Empty for a process that is gone, or in another PID namespace (NVML says 0)."""
        folder = f"{self._procfs}/{pid}"
        try:
            name, started = _stat(_read(f"{folder}/stat"))
            home = cgroups.parse(_read(f"{folder}/cgroup"))
            if _stat(_read(f"{folder}/stat"))[1] != started:
                return Process()  # another one has the number now
        except (OSError, ValueError):
            return Process()
        container = self._containers(home.container_id) if home.container_id else None
        if container is not None:
            return Process(name, *container, home.unit, home.slurm_job)
        outside = "" if home.pod_uid else home.container_id[:_SHORT_ID]
        return Process(name, "", "", outside, home.unit, home.slurm_job)


def _read(path: str) -> str:
    """Less than half the cost of Path.read_text, for three files of each process."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, _MOST_BYTES).decode(errors="replace")
    finally:
        os.close(file)


def _stat(text: str) -> tuple[str, str]:
    """The name, which may hold anything, and the start time. Raises ValueError."""
    _, found, rest = text.partition("(")
    name, end, rest = rest.rpartition(")")
    fields = rest.split()
    if not found or not end or len(fields) <= _START_TIME:
        raise ValueError("not the stat of a process")
    return name, fields[_START_TIME]
