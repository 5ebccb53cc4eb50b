"""Names of containers by their ids, from the links to logs that the kubelet keeps for collectors.

/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log: no container runtime has to be talked to.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

DEFAULT = Path("/var/log/containers")
_LINK = re.compile(r"([^_]+)_([^_]+)_([^_]+)-([0-9a-f]{64})\.log")
_SETTLED_NANOSECONDS = 1_000_000_000  # file systems' clocks tick more coarsely than they count


class Container(NamedTuple):
    namespace: str
    pod: str
    name: str


class ContainerLogs:
    """The folder as it is now; it is listed again only when it changed."""

    def __init__(self, folder: Path = DEFAULT) -> None:
        self._folder = folder
        self._version: int | None = None
        self._containers: Mapping[str, Container] = {}

    def __call__(self, container_id: str) -> Container | None:
        """None where the kubelet has no such container, or the folder is not there."""
        try:
            version = self._folder.stat().st_mtime_ns
            if version != self._version:
                self._containers = _listed(os.listdir(self._folder))  # noqa: PTH208  texts do
                settled = time.time_ns() - version > _SETTLED_NANOSECONDS
                self._version = version if settled else None
        except OSError:
            self._version, self._containers = None, {}
        return self._containers.get(container_id)


def _listed(names: list[str]) -> dict[str, Container]:
    found = (_LINK.fullmatch(name) for name in names)
    return {link[4]: Container(link[2], link[1], link[3]) for link in found if link}
