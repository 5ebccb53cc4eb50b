"""A real Thanos on loopback: sidecars beside Prometheus servers, and a Thanos Query over them.

with Sidecar(folder / "a", prometheus) as a, ThanosQuery(folder / "query", [a]) as thanos:
    thanos.wait_for_stores(1)
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tools.processes import Program, eventually, free_port
from tools.programs import PartMissing, thanos_program
from tools.prometheus import OPENER, PrometheusServer, ready

READY_SECONDS = 60


class _Thanos:
    """One of its programs, with its log and nothing else in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.grpc = f"127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        path = thanos_program()
        if path is None:
            raise PartMissing("thanos is not there: python -m tools.realparts thanos")
        self.folder.mkdir(parents=True, exist_ok=True)
        command, *options = self._arguments()
        listening = [f"--http-address={self.url[7:]}", f"--grpc-address={self.grpc}"]
        self.program = Program(
            [path, command, *listening, "--log.level=warn", *options], self.folder / "thanos.log"
        )
        self.program.wait_until(lambda: ready(self.url), READY_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        self.program.stop()

    def _arguments(self) -> Sequence[str]:
        raise NotImplementedError


class Sidecar(_Thanos):
    """Serves what one Prometheus has, under its external labels. Without an object store."""

    def __init__(self, folder: Path, prometheus: PrometheusServer) -> None:
        super().__init__(folder)
        self.prometheus = prometheus

    def _arguments(self) -> Sequence[str]:
        data = self.prometheus.folder / "data"
        return ("sidecar", f"--prometheus.url={self.prometheus.url}", f"--tsdb.path={data}")


class ThanosQuery(_Thanos):
    """Answers PromQL from all of its sidecars; replicas that differ in `replica` are one."""

    def __init__(self, folder: Path, sidecars: Sequence[Sidecar]) -> None:
        super().__init__(folder)
        self.sidecars = tuple(sidecars)

    def _arguments(self) -> Sequence[str]:
        endpoints = [f"--endpoint={each.grpc}" for each in self.sidecars]
        return ("query", "--query.replica-label=replica", *endpoints)

    def stores(self) -> list[dict[str, Any]]:
        """Its list of what it asks, each with its labels and the error of its last check."""
        groups = self._get("/api/v1/stores")["data"]
        return [store for group in groups.values() for store in group]

    def wait_for_stores(self, healthy: int) -> None:
        """Until so many are asked; one that is gone takes some health checks of 5 s."""
        eventually(
            lambda: sum(each["lastError"] is None for each in self.stores()) == healthy,
            READY_SECONDS,
            what=f"{healthy} healthy stores",
        )

    def wait_for_an_answer_without_warnings(self, promql: str) -> None:
        """Until no store fails to answer."""
        path = f"/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
        eventually(lambda: not self._get(path).get("warnings"), READY_SECONDS, what=path)

    def _get(self, path: str) -> Any:
        with OPENER.open(self.url + path, timeout=30) as answer:
            return json.load(answer)
