"""docs/attribution.md's joins, answered by promtool on a node with a shared GPU and an idle one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PAGE = Path("docs/attribution.md").read_text()
QUERIES = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)

# GPU 0 is one's and two's, 1 is one's (two MIG instances), 2 nobody's, 3 is lost and was two's.
POWER = {"GPU-0": 300, "GPU-1": 200, "GPU-2": 50}
HOLDERS = [
    *(("GPU-0", "one", ""), ("GPU-0", "two", "")),
    *(("GPU-1", "one", "1"), ("GPU-1", "one", "2"), ("GPU-3", "two", "")),
]


def of_gpu(uuid: str) -> dict[str, str]:
    return {"node": "n", "gpu": uuid[-1], "uuid": uuid}


def of_pod(uuid: str, pod: str, instance: str) -> dict[str, str]:
    labels = {"namespace": "a", "pod": pod, "container": "c"}
    return {**of_gpu(uuid), **labels, **({"gpu_instance": instance} if instance else {})}


def selector(labels: dict[str, str], name: str = "") -> str:
    pairs = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{pairs}}}"


SERIES = [
    *((selector(of_gpu(uuid), "agentaflow_gpu_power_watts"), v) for uuid, v in POWER.items()),
    *((selector(of_pod(*held), "agentaflow_gpu_pod_info"), 1) for held in HOLDERS),
    *((selector(of_gpu(f"GPU-{i}"), "agentaflow_gpu_up"), int(i != 3)) for i in range(4)),
]
LIVING = HOLDERS[:4]
EXPECTED: list[list[tuple[str, float]]] = [
    [(selector(of_pod(*held)), POWER[held[0]]) for held in LIVING],
    [("{}", 500)],
    [(selector(of_gpu("GPU-2"), "agentaflow_gpu_power_watts"), 50)],
    [('{node="n",uuid="GPU-0"}', 2), ('{node="n",uuid="GPU-1"}', 2)],
    [('{namespace="a",pod="one"}', 350), ('{namespace="a",pod="two"}', 150)],
    [(selector(of_pod(*HOLDERS[4]), "agentaflow_gpu_pod_info"), 1)],
]


@pytest.mark.parametrize(
    ("query", "expected"), list(zip(QUERIES, EXPECTED, strict=True)), ids=range(len(QUERIES))
)
def test_joins(
    promtool: Path, tmp_path: Path, query: str, expected: list[tuple[str, float]]
) -> None:
    """A shared GPU is neither counted twice nor an error of many to many."""
    samples = [{"labels": labels, "value": value} for labels, value in expected]
    check: dict[str, Any] = {"expr": query, "eval_time": "1m", "exp_samples": samples}
    given = [{"series": series, "values": f"{value}x5"} for series, value in SERIES]
    test = {"interval": "1m", "input_series": given, "promql_expr_test": [check]}
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    ended = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
