"""The commands on other exporters' metrics: found out, or named by a flag."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cli import Cli
from tests.support.prometheus_answers import POINTS, PrometheusAnswers, whole_gpu

LABELS = {"cluster": "a", "Hostname": "node-0", "gpu": "0", "UUID": "GPU-1"}
POD = {**LABELS, "namespace": "research", "pod": "notebook", "container": "main"}


@pytest.fixture
def dcgm_fleet() -> Iterator[PrometheusAnswers]:
    """One idle GPU that a pod holds, as dcgm-exporter tells it."""
    table = whole_gpu(LABELS, processes=None)
    table["info"] = [({**LABELS, "modelName": "NVIDIA H100 80GB HBM3"}, 1)]
    table["pods"] = [(POD, 1)]
    table["held"] = [(POD, POINTS)]
    with PrometheusAnswers({}, others={"dcgm": table}) as answers:
        yield answers


@pytest.fixture
def asking(cli: Cli, dcgm_fleet: PrometheusAnswers) -> Cli:
    return cli.having("--prometheus-url", dcgm_fleet.url, "--window", "1d")


@pytest.mark.parametrize("flags", [(), ("--dialect", "dcgm")])
def test_advice_from_dcgm_exporter(asking: Cli, flags: tuple[str, ...]) -> None:
    """Money, pod and evidence as from our own exporter; the evidence is PromQL of DCGM's names."""
    answer = asking("recommend", "-o", "json", *flags).json
    (found,) = answer["recommendations"]
    assert (found["kind"], found["where"]["node"]) == ("idle-gpu", "node-0")
    assert (found["where"]["namespace"], found["where"]["pod"]) == ("research", "notebook")
    assert float(found["saves"]["per_month"]["amount"]) > 1000
    assert all("DCGM_FI_DEV_" in promql for promql in found["evidence"]["promql"])
    assert {query["dialect"] for query in answer["queries"]} - {""} == {"dcgm"}


def test_the_number_of_queries_is_printed(asking: Cli, dcgm_fleet: PrometheusAnswers) -> None:
    """All of them, the one for the dialects too, but for the clock."""
    printed = asking("recommend").out
    assert f"{len(dcgm_fleet.asked) - 1} queries" in printed


def test_an_exporter_that_is_not_there(asking: Cli) -> None:
    """Asked for by name, it is looked for and not found: no advice, and what to check."""
    printed = asking("recommend", "--dialect", "nvidia_gpu_exporter", "--refusals").out
    assert "nothing to recommend" in printed
    assert "looked for nvidia_smi_gpu_info" in printed


def test_an_unknown_dialect_is_refused_in_one_line(asking: Cli) -> None:
    """With what it may be."""
    ran = asking("recommend", "--dialect", "zabbix")
    assert ran.code != 0
    assert "dialect" in ran.error
    assert "nvidia_gpu_exporter" in ran.error


def test_costs_say_what_would_have_told_a_holder(cli: Cli) -> None:
    """Without a pod label anywhere, the line names DCGM's labels, not a metric of ours."""
    with PrometheusAnswers({}, others={"dcgm": whole_gpu(LABELS)}) as answers:
        url = ("--prometheus-url", answers.url, "--window", "1d")
        told = cli("report", "cost", "-o", "json", *url).json["refusals"]
    assert "no DCGM series has the label pod or exported_pod" in told[0]["reason"]
