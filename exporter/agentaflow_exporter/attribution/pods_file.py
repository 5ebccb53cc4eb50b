"""Pods from a YAML file that somebody else keeps, for machines without a kubelet to ask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentaflow_exporter.collector import Pod
from agentaflow_exporter.errors import SettingsError

_KEYS = ("namespace", "pod", "container")


class PodsFileError(SettingsError):
    """The file cannot be read or has a bad row."""


class PodsFile:
    """Calls answer the pods of the file as it is now; it is read again only when it changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version: tuple[int, int, int] | None = None
        self._pods: tuple[Pod, ...] = ()

    def __call__(self) -> Sequence[Pod]:
        """Raises PodsFileError. Nothing of an earlier version survives a bad one."""
        try:
            status = self.path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version != self._version:
                self._version = None
                self._pods = _parse(self.path, self.path.read_text(encoding="utf-8"))
                self._version = version
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise PodsFileError(
                f"{self.path}: {reason}: give --attribution.pods-file a readable file"
            ) from error
        return self._pods


def _parse(path: Path, text: str) -> tuple[Pod, ...]:
    import yaml  # only those who use such a file pay for it

    try:
        rows = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise PodsFileError(f"{path}: not YAML: {reason}") from error
    if rows is None:
        return ()
    if not isinstance(rows, list):
        raise PodsFileError(f"{path}: must be a list of {{uuid or gpu, namespace, pod, container}}")
    return tuple(_pod(path, number, row) for number, row in enumerate(rows, 1))


def _pod(path: Path, number: int, row: Any) -> Pod:
    where = f"{path}: row {number}"
    if not isinstance(row, dict):
        raise PodsFileError(f"{where}: must be a mapping with uuid or gpu, {', '.join(_KEYS)}")
    if unknown := [str(key) for key in row if key not in (*_KEYS, "uuid", "gpu")]:
        raise PodsFileError(f"{where}: unknown key {unknown[0]!r}: use uuid or gpu, {_KEYS}")
    if ("uuid" in row) == ("gpu" in row):
        raise PodsFileError(f"{where}: must name the GPU by either uuid or gpu")
    if missing := [key for key in _KEYS if not isinstance(row.get(key), str) or not row[key]]:
        raise PodsFileError(f"{where}: {missing[0]} must be a text that is not empty")
    device = row.get("uuid", row.get("gpu"))
    if isinstance(device, bool) or not isinstance(device, str | int) or device == "":
        raise PodsFileError(f"{where}: gpu must be an index such as 0, uuid a text")
    return Pod(str(device), row["namespace"], row["pod"], row["container"])
