"""The advisor's command on a real Prometheus that holds a given past."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.prometheus import PrometheusServer
from tools.terminal import BIN

IDLE_KINDS = ("idle-gpu", "forgotten-process", "unallocated-gpu")
RIGHTSIZING_KINDS = ("smaller-gpu", "mig-slice", "share-gpu")
HOUR = 3600
GPUS = 8


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="agentaflow-truth-") as name:
        yield Path(name)


@contextmanager
def stored(at: Path, history: Path) -> Iterator[str]:
    """The URL of a Prometheus with that history."""
    with PrometheusServer(at / "prometheus", blocks_from=history) as prometheus:
        yield prometheus.url


def advice(url: str, window: str, **settings: str) -> list[dict[str, Any]]:
    """The recommendations; settings as in the environment."""
    words = ("recommend", f"--prometheus-url={url}", f"--window={window}", "--no-record")
    found: list[dict[str, Any]] = agentaflow(*words, settings=settings)["recommendations"]
    return found


def gpus(recommendations: list[dict[str, Any]], kinds: tuple[str, ...]) -> set[str]:
    """The uuids that are told as one of these kinds."""
    return {one["where"]["uuid"] for one in recommendations if one["kind"] in kinds}


def agentaflow(*words: str, settings: Mapping[str, str] | None = None) -> dict[str, Any]:
    command = [str(BIN / "agentaflow"), *words, "-o", "json"]
    set_ = {f"AGENTAFLOW_{name.upper()}": value for name, value in (settings or {}).items()}
    environment = {**os.environ, "KUBECONFIG": os.devnull, **set_}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(words)}: {ended.stderr.strip()}")
    document: dict[str, Any] = json.loads(ended.stdout)
    return document
