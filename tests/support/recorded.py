"""The past that the shipped recording rules would have recorded, by promtool over a Prometheus."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.programs import prometheus_program
from tools.prometheus import PrometheusServer

RULES = Path(__file__).parents[2] / "alerts" / "rules"
HOURS = "hours"
Rule = dict[str, Any]


def record(
    server: PrometheusServer,
    exporters: Iterable[str],
    start: int,
    end: int,
    folder: Path,
    *,
    also: Sequence[str] = (),
) -> None:
    """Evaluate the rules of these exporters and the hourly ones over the server's own past.

    also: other files of rules, such as "fleet".

    promtool does not see what it has just recorded, so a rule waits until the server has those
    that it reads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rules.yaml"  # one name for all, as Prometheus takes from it when in the hour
    recording = [f"recording-{name}" for name in (*exporters, HOURS)]
    for groups in _passes([*recording, *also]):
        path.write_text(yaml.safe_dump({"groups": groups}))
        _evaluate(server, path, start, end)


def _passes(names: Iterable[str]) -> Iterator[list[Rule]]:
    groups = [
        yaml.safe_load((RULES / f"agentaflow-{name}.yaml").read_text())["groups"][0]
        for name in names
    ]
    waiting = [(group, rule) for group in groups for rule in group["rules"]]
    while waiting:
        missing = {rule["record"] for _, rule in waiting}
        ready = [(group, rule) for group, rule in waiting if not missing & _read(rule)]
        assert ready
        yield [
            {**group, "rules": [rule for owner, rule in ready if owner is group]}
            for group in groups
            if any(owner is group for owner, _ in ready)
        ]
        waiting = [pair for pair in waiting if pair not in ready]


def _read(rule: Rule) -> set[str]:
    return set(re.findall(r"agentaflow:\w+:\w+", rule["expr"]))


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
