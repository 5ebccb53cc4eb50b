"""What the simulated fleet has not: promtool answers the boards' own queries on series of ours."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentaflow_dashboards import BOARDS
from agentaflow_dashboards.promql import HELD_BY_NO_POD, IDLE, IDLE_WITH_PODS, JUDGED
from tests.support.boards import panels, queries
from tests.support.promql import EVERYTHING, substituted

Series = dict[str, str]
MADE = {name: make() for name, make in BOARDS.items()}
PLACE = {"cluster": "c", "node": "n", "uuid": "GPU-0"}
GPU = {**PLACE, "gpu": "0"}
RANGE = {**EVERYTHING, "$__rate_interval": "4m", "$__interval": "1m"}


def labelled(metric: str, values: str, **labels: str) -> Series:
    text = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return {"series": f"{metric}{{{text}}}", "values": values}


def series(metric: str, values: str, **labels: str) -> Series:
    return labelled(f"agentaflow_gpu_{metric}", values, **{**GPU, **labels})


def recorded(family: str, values: str, **labels: str) -> Series:
    """As the recording rules keep it, though each minute."""
    return labelled(f"agentaflow:gpu_{family}5m", values, **{**PLACE, "exporter": "e", **labels})


def pod(name: str, **labels: str) -> Series:
    return series("pod_info", "1x60", namespace="a", pod=name, container="main", **labels)


def gpu(number: str, up: str, utilization: str) -> list[Series]:
    """A GPU with 4 GiB in use, as it tells and as it is recorded."""
    one = {"uuid": f"GPU-{number}"}
    return [
        series("up", up, gpu=number, **one),
        series("memory_used_bytes", "4294967296x60", gpu=number, **one),
        recorded("utilization_ratio:max", utilization, **one),
    ]


@pytest.mark.parametrize("name", MADE)
def test_what_is_not_measured_is_missing(promtool: Path, tmp_path: Path, name: str) -> None:
    """Without a single series no query of the board has an answer: no healthy zero."""
    checks = [check(target["expr"], []) for _, target in queries(MADE[name])]
    run(promtool, tmp_path, [], checks)


@pytest.mark.parametrize("name", MADE)
def test_an_empty_panel_says_what_it_means(name: str) -> None:
    """Its own words stand for Grafana's "No data"."""
    for panel in panels(MADE[name]):
        if panel["type"] != "table":
            assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


@pytest.mark.parametrize(
    ("query", "beside", "answers"),
    [
        pytest.param(f"count({IDLE})", [pod("one"), pod("two")], None, id="shared GPU once"),
        pytest.param(JUDGED, [], None, id="it is judged"),
        pytest.param(IDLE_WITH_PODS, [pod("one"), pod("two")], ["one", "two"], id="row a pod"),
        pytest.param(IDLE_WITH_PODS, [], [""], id="idle without a pod"),
        pytest.param(
            IDLE_WITH_PODS,
            gpu("1", up="_x50 1x10", utilization="_x50 0x10"),
            [""],
            id="a GPU that came ten minutes ago is not judged",
        ),
        pytest.param(
            IDLE_WITH_PODS,
            gpu("1", up="1x60", utilization="0x39 1 0x20"),
            [""],
            id="one minute of work is not idle",
        ),
        pytest.param(HELD_BY_NO_POD, [], [], id="pods are not known in this cluster"),
        pytest.param(HELD_BY_NO_POD, [pod("one")], [], id="held by a pod"),
        pytest.param(HELD_BY_NO_POD, [pod("one", gpu="1", uuid="GPU-1")], [""], id="held by none"),
    ],
)
def test_an_idle_gpu_and_what_stands_beside_it(
    promtool: Path, tmp_path: Path, query: str, beside: list[Series], answers: list[str] | None
) -> None:
    """The rows are those of the idle GPU's pods; counted, a shared GPU is one GPU."""
    idle = gpu("0", up="1x60", utilization="0x60")
    expected = [_row(name) for name in answers or []]
    if answers is None:
        expected = [{"labels": "{}", "value": 1}]
    run(promtool, tmp_path, [*idle, *beside], [check(query, expected)])


def test_a_gpu_that_nobody_recorded_is_not_idle(promtool: Path, tmp_path: Path) -> None:
    """Without the recording rules nothing is said, though the GPU tells that it does nothing."""
    told = [series("up", "1x60"), series("utilization_ratio", "0x60", engine="gpu")]
    run(promtool, tmp_path, told, [check(IDLE, []), check(f"0 * {JUDGED}", [])])


MEASURED = [
    series("up", "1x60"),
    series("last_xid", "0x60"),
    series("ecc_mode_enabled", "1x60", mode="current"),
    series("ecc_errors_total", "0x60", type="uncorrected"),
    series("pcie_link_width", "16x60"),
    recorded("present:last", "1x60"),
]
LISTS = [
    ("fleet.json", "Memory errors in this range A", "ecc_uncorrected:increase", {}),
    ("health.json", "Xid errors in this range A", "xids:increase", {"xid": "48"}),
    ("health.json", "Errors of memory and links in this range A", "ecc_uncorrected:increase", {}),
    ("health.json", "Errors of memory and links in this range C", "pcie_replays:increase", {}),
]


@pytest.mark.parametrize(("name", "title", "family", "labels"), LISTS)
def test_a_list_of_errors_has_those_there_were(
    promtool: Path, tmp_path: Path, name: str, title: str, family: str, labels: dict[str, str]
) -> None:
    """A row for the GPU that had some, none for the others, none called none."""
    other = {"uuid": "GPU-1"}
    given = [
        *MEASURED,
        series("up", "1x60", gpu="1", **other),
        recorded(family, "_x40 2 _x20", **labels),
        recorded("present:last", "1x60", **other),
    ]
    place = {"cluster": "c", "gpu": "0", "node": "n", **labels}
    run(promtool, tmp_path, given, [check(_query(name, title), [_sample(place, 2)])])


@pytest.mark.parametrize(("name", "title"), [each[:2] for each in LISTS])
def test_a_list_without_errors_says_that_there_were_none(
    promtool: Path, tmp_path: Path, name: str, title: str
) -> None:
    """GPUs that could have told of some: one row, called none, with a 0."""
    expected = [_sample({"cluster": "none"}, 0)]
    run(promtool, tmp_path, MEASURED, [check(_query(name, title), expected)])


def test_an_empty_cell_is_what_a_gpu_does_not_tell(promtool: Path, tmp_path: Path) -> None:
    """A GPU with PCIe replays has a 0 for memory errors if it has ECC, and nothing for NVLinks."""
    given = [*MEASURED, recorded("pcie_replays:increase", "_x40 3 _x20")]
    place = {"cluster": "c", "gpu": "0", "node": "n"}
    columns = {"A": [_sample(place, 0)], "B": [_sample(place, 0)], "D": []}
    title = "Errors of memory and links in this range"
    checks = [
        check(_query("health.json", f"{title} {letter}"), rows) for letter, rows in columns.items()
    ]
    run(promtool, tmp_path, given, checks)


def test_an_xid_of_a_gpu_that_is_gone_is_still_listed(promtool: Path, tmp_path: Path) -> None:
    """Its number is no longer known, its node is."""
    gone = {"uuid": "GPU-7"}
    given = [*MEASURED, recorded("xids:increase", "_x40 1 _x20", xid="79", **gone)]
    rows = [_sample({"cluster": "c", "node": "n", "xid": "79"}, 1)]
    run(
        promtool,
        tmp_path,
        given,
        [check(_query("health.json", "Xid errors in this range A"), rows)],
    )


PAID = [
    labelled("agentaflow:recorded_time:seconds", "1x60", cluster="c", step="5m"),
    labelled("agentaflow_advisor_gpu_price_per_hour", "9x60", cluster="c", node="n", currency="E"),
    recorded("present:last", "1x60"),
    recorded("held_ratio:last", "1x40 _x20", namespace="a"),
    recorded("utilization_ratio:avg", "0.5x60"),
    recorded("present:last", "1x60", uuid="GPU-1"),
    recorded("held_ratio:last", "1x60", uuid="GPU-1", namespace="b"),
    recorded("utilization_ratio:avg", "1x60", uuid="GPU-1"),
]
"""Half an hour that is looked at three times, a GPU each of two namespaces at 9 an hour. The first
is held for two of the three, and half used."""


@pytest.mark.parametrize(
    ("title", "money"),
    [
        ("Held by pods, an hour A", 15),
        ("Held by nobody, an hour A", 3),
        ("Held and not used, an hour A", 3),
    ],
)
def test_cost_is_the_mean_over_the_range(
    promtool: Path, tmp_path: Path, title: str, money: float
) -> None:
    """What was held for a part of the range costs that part, not what the last scrape says."""
    expected = [_sample({"currency": "E"}, money)]
    run(promtool, tmp_path, PAID, [check(_query("cost.json", title), expected)])


@pytest.mark.parametrize(("budget", "share"), [("13140", [1.0]), ("26280", [0.5]), ("0", [])])
def test_the_pace_is_held_against_the_budget(
    promtool: Path, tmp_path: Path, budget: str, share: list[float]
) -> None:
    """Two GPUs at 9 an hour are 13,140 a month; without a budget there is no share of it."""
    expr = _query("cost.json", "Of the budget A").replace("$budget", budget)
    expected = [_sample({"currency": "E"}, each) for each in share]
    run(promtool, tmp_path, PAID, [check(expr, expected)])


@pytest.mark.parametrize(
    ("annotation", "given", "marks"),
    [
        pytest.param(
            "Applied decisions",
            [labelled("agentaflow_advisor_decisions", "3x30 4x30", state="applied")],
            {"30m": False, "31m": True, "40m": False},
            id="a decision was applied",
        ),
        pytest.param(
            "Driver changes",
            [
                labelled("agentaflow_gpu_driver_info", "1x30 _x30", **PLACE, driver_version="550"),
                labelled("agentaflow_gpu_driver_info", "_x30 1x30", **PLACE, driver_version="580"),
            ],
            {"20m": False, "32m": True, "40m": False},
            id="a new driver",
        ),
        pytest.param(
            "Driver changes",
            [labelled("agentaflow_gpu_driver_info", "_x30 1x30", **PLACE, driver_version="550")],
            {"32m": False, "40m": False},
            id="a cluster that is new is no change",
        ),
        pytest.param(
            "Alerts",
            [
                labelled(
                    "ALERTS",
                    "_x30 1x10",
                    alertname="AgentaflowGpuTooHot",
                    alertstate="firing",
                    cluster="c",
                )
            ],
            {"20m": False, "35m": True},
            id="an alert",
        ),
    ],
)
def test_an_annotation_marks_the_moment(
    promtool: Path, tmp_path: Path, annotation: str, given: list[Series], marks: dict[str, bool]
) -> None:
    """Something is marked when it happened, and not before or long after."""
    (expr,) = (
        each["expr"]
        for each in MADE["fleet.json"]["annotations"]["list"]
        if each["name"] == annotation
    )
    one = [{"labels": "{}", "value": 1}]
    checks = [
        check(f"count({expr})", one if marked else [], at=moment)
        for moment, marked in marks.items()
    ]
    run(promtool, tmp_path, given, checks)


def check(query: str, expected: Sequence[dict[str, Any]], *, at: str = "55m") -> dict[str, Any]:
    return {"expr": substituted(query, RANGE), "eval_time": at, "exp_samples": list(expected)}


def run(
    promtool: Path, folder: Path, given: Sequence[Series], checks: Sequence[dict[str, Any]]
) -> None:
    test = {"interval": "1m", "input_series": list(given), "promql_expr_test": list(checks)}
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    ended = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def _query(name: str, title: str) -> str:
    (expr,) = (target["expr"] for found, target in queries(MADE[name]) if found == title)
    return str(expr)


def _sample(labels: dict[str, str], value: float) -> dict[str, Any]:
    text = ",".join(f'{name}="{each}"' for name, each in labels.items())
    return {"labels": f"{{{text}}}", "value": value}


def _row(pod_name: str) -> dict[str, Any]:
    of_pod = {"namespace": "a", "pod": pod_name} if pod_name else {}
    return _sample({**GPU, **of_pod}, 2**32)
