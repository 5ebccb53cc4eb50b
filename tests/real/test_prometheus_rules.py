"""PrometheusRule objects before a real API server that has the Prometheus operator's own CRD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.parts import need
from tools.alert_rules import ALERTS, rules, values
from tools.control_plane import ControlPlane
from tools.processes import eventually
from tools.programs import prometheus_rule_crd

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PROMETHEUS_RULES = "/apis/monitoring.coreos.com/v1/namespaces/default/prometheusrules"
STRICT = "?fieldValidation=Strict"
OBJECTS = sorted((ALERTS / "prometheusrule").glob("*.yaml"))
HOT = "agentaflow-thermal.yaml"


@pytest.fixture(scope="module")
def operated(cluster: ControlPlane) -> ControlPlane:
    """The cluster, knowing PrometheusRule."""
    need("the Prometheus operator's CRD", prometheus_rule_crd().exists())
    crd = yaml.safe_load(prometheus_rule_crd().read_text())
    cluster.must("POST", CRDS, crd)
    eventually(lambda: cluster.request("GET", PROMETHEUS_RULES)[0] == 200, 30, what="the CRD")
    return cluster


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.stem)
def test_the_server_takes_the_rules_as_they_are(operated: ControlPlane, path: Path) -> None:
    """Each file of rules, those that record too, is valid with no field unknown or lost."""
    made = yaml.safe_load(path.read_text())
    stored = operated.must("POST", PROMETHEUS_RULES + STRICT, made)
    assert stored["spec"] == made["spec"]


def test_there_is_an_object_for_each_file_of_rules(operated: ControlPlane) -> None:
    """The operator gets what plain Prometheus gets."""
    assert operated
    assert {path.name for path in OBJECTS} == set(rules(values()))


def wrong_rule(**changes: Any) -> Any:
    made = yaml.safe_load((ALERTS / "prometheusrule" / HOT).read_text())
    made["metadata"]["name"] = "wrong"
    made["spec"]["groups"][0]["rules"][0].update(changes)
    return made


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"for": "soon"}, "spec.groups[0].rules[0].for"),
        ({"labels": {"severity": 3}}, "spec.groups[0].rules[0].labels.severity"),
        ({"keep_firing": "5m"}, 'unknown field "spec.groups[0].rules[0].keep_firing"'),
    ],
)
def test_the_server_judges(operated: ControlPlane, changes: dict[str, Any], says: str) -> None:
    """What the operator does not know it refuses, so that its yes means something."""
    status, answer = operated.request("POST", PROMETHEUS_RULES + STRICT, wrong_rule(**changes))
    assert (status, says in answer["message"]) in {(422, True), (400, True)}, answer
