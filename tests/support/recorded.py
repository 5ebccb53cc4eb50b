"""The past that the shipped recording rules would have recorded, by promtool over a Prometheus."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import yaml

from tools.prometheus import PrometheusServer
from tools.realparts import prometheus_program

RULES = Path(__file__).parents[2] / "alerts" / "rules"
HOURS = "agentaflow-recording-hours"
HOUR = 3600


def record(
    server: PrometheusServer, exporters: Iterable[str], start: int, end: int, folder: Path
) -> None:
    """Evaluate the 5-minute rules of these exporters, then the hourly ones, over the server's own
    past; it runs again with what they recorded.

    promtool evaluates a group without seeing what it has just recorded, so a rule that reads
    another waits for the next pass.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, rules in enumerate(_passes(exporters)):
        path = folder / f"pass-{number}.yaml"
        path.write_text(yaml.safe_dump(rules))
        _evaluate(server, path, start, end)


def _passes(exporters: Iterable[str]) -> list[dict[str, object]]:
    steps = [_group(f"agentaflow-recording-{name}") for name in exporters]
    hours = _group(HOURS)
    clocks = [group | {"rules": group["rules"][-1:]} for group in steps]
    first = [group | {"rules": group["rules"][:-1]} for group in steps]
    last = hours | {"rules": hours["rules"][-1:]}
    second = [*clocks, hours | {"rules": hours["rules"][:-1]}]
    return [{"groups": first}, {"groups": second}, {"groups": [last]}]


def _group(name: str) -> dict[str, list[object]]:
    (group,) = yaml.safe_load((RULES / f"{name}.yaml").read_text())["groups"]
    return dict(group)


def _evaluate(server: PrometheusServer, rules: Path, start: int, end: int) -> None:
    command = [
        str(prometheus_program("promtool")),
        *("tsdb", "create-blocks-from", "rules", f"--url={server.url}"),
        *(f"--start={start}", f"--end={end}", f"--output-dir={server.folder / 'data'}"),
        *("--max-block-duration=486h", str(rules)),
    ]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"promtool: {(ended.stdout + ended.stderr)[-2000:]}")
    server.stop()
    server.start()
