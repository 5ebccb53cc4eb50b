"""A real Prometheus on loopback, for tests and demos.

with PrometheusServer(folder, targets=["127.0.0.1:9837"]) as prometheus:
    prometheus.wait_for('up{job="agentaflow-exporter"} == 1')
"""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.processes import Program, eventually, free_port
from tools.programs import PartMissing, prometheus_assets, prometheus_program

JOB = "agentaflow-exporter"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by way of a proxy


def ready(url: str) -> bool:
    """Whether Prometheus, or a part of Thanos, says that it can be asked."""
    try:
        with OPENER.open(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _static(target: str | tuple[str, Mapping[str, str]]) -> dict[str, Any]:
    address, labels = (target, {}) if isinstance(target, str) else target
    return {"targets": [address], "labels": dict(labels)}


class PrometheusServer:
    """Scrapes what it is told, holds the history it is given, and goes away with its folder."""

    def __init__(
        self,
        folder: Path,
        *,
        targets: Sequence[str | tuple[str, Mapping[str, str]]] = (),
        http_sd: str | None = None,
        scrape_interval: str = "1s",
        blocks_from: Path | None = None,
        rule_files: Sequence[Path] = (),
        advisor: str | None = None,
        alertmanager: str | None = None,
        external_labels: Mapping[str, str] | None = None,
        port: int | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        """targets: "host:port", or that and its labels. blocks_from: an OpenMetrics file.

        advisor: where its metrics are; their own labels tell what they are about.
        """
        self.folder = folder
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.blocks_from = blocks_from
        self.flags = flags
        scrape: dict[str, Any] = {"job_name": JOB, "static_configs": list(map(_static, targets))}
        if http_sd:
            scrape["http_sd_configs"] = [{"url": http_sd, "refresh_interval": "5s"}]
        self.config: dict[str, Any] = {
            "global": {"scrape_interval": scrape_interval, "evaluation_interval": scrape_interval},
            "rule_files": [str(path.resolve()) for path in rule_files],
            "scrape_configs": [scrape],
        }
        if advisor:
            job = {"job_name": "agentaflow-advisor", "static_configs": [_static(advisor)]}
            self.config["scrape_configs"].append({**job, "honor_labels": True})
        if external_labels:
            self.config["global"]["external_labels"] = dict(external_labels)
        if alertmanager:
            managers = [{"static_configs": [_static(alertmanager)]}]
            self.config["alerting"] = {"alertmanagers": managers}

    def __enter__(self) -> PrometheusServer:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(self.config))
        if self.blocks_from:
            create_blocks(self.blocks_from, self.folder / "data")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        program = prometheus_program("prometheus")
        if program is None:
            raise PartMissing("prometheus is not there: python -m tools.realparts prometheus")
        assets = prometheus_assets()
        self.program = Program(
            [
                program,
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                "--storage.tsdb.retention.time=60d",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--web.enable-lifecycle",
                "--log.level=warn",
                *self.flags,
                *([f"--web.local-assets={assets}/"] if assets else []),
            ],
            self.folder / "prometheus.log",
        )
        self.program.wait_until(lambda: ready(self.url), seconds=60)

    def stop(self) -> None:
        self.program.stop(gently_for=10)

    def kill(self) -> None:
        self.program.stop()

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The result of an instant query. Raises RuntimeError with Prometheus' own words."""
        return self._get("/api/v1/query", query=promql)["result"]  # type: ignore[no-any-return]

    def query_range(self, promql: str, start: float, end: float, step: str) -> list[dict[str, Any]]:
        answer = self._get("/api/v1/query_range", query=promql, start=start, end=end, step=step)
        return answer["result"]  # type: ignore[no-any-return]

    def get(self, path: str, **parameters: object) -> Any:
        """The `data` of any GET of its API."""
        return self._get(path, **parameters)

    def wait_for(self, promql: str, seconds: float = 60) -> list[dict[str, Any]]:
        """The query's first answer that is not empty."""
        return eventually(lambda: self.query(promql), seconds, what=promql)

    def _get(self, path: str, **parameters: object) -> Any:
        query = urllib.parse.urlencode(parameters)
        try:
            with OPENER.open(f"{self.url}{path}?{query}", timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}?{query}: {error.read().decode()}") from error


def create_blocks(openmetrics: Path, data: Path) -> None:
    """Turn a file of OpenMetrics with timestamps into Prometheus' blocks."""
    promtool = prometheus_program("promtool")
    if promtool is None:
        raise PartMissing("promtool is not there: python -m tools.realparts prometheus")
    data.mkdir(parents=True, exist_ok=True)
    command = [
        str(promtool),
        "tsdb",
        "create-blocks-from",
        "--max-block-duration=486h",  # a hidden flag: promtool reads the file once for each block
        "openmetrics",
        str(openmetrics),
        str(data),
    ]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"promtool: {(ended.stdout + ended.stderr)[-2000:]}")
