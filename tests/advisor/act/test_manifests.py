"""The manifests: what Kubernetes' own schemas accept, and no right beyond what the code uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.model import names
from agentaflow_advisor.place import STRATEGIES

FOLDER = Path(__file__).parents[3] / "scheduler_advisor" / "manifests"
FILES = sorted(FOLDER.glob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_manifest_fits_kubernetes_schema(path: Path) -> None:
    """Strictly: an unknown field is an error. Kueue's kinds are its own CRD's to judge."""
    for document in documents(path):
        if not document["apiVersion"].startswith("kueue.x-k8s.io/"):
            kubernetes_validate.validate(document, "1.37", strict=True)


def test_a_workload_may_ask_for_each_strategy_and_no_other() -> None:
    """What the API server lets through is what the advisor knows."""
    (kind,) = (one for one in documents(FOLDER / "crds.yaml") if "gpuw" in str(one))
    (version,) = kind["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert set(spec["strategy"]["enum"]) == set(STRATEGIES)


def rules() -> list[dict[str, Any]]:
    found = [document for path in FILES for document in documents(path)]
    return [rule for document in found for rule in document.get("rules", ())]


def test_no_role_has_a_wildcard_or_a_secret() -> None:
    """Every verb and resource is spelt out."""
    for rule in rules():
        assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
        assert "secrets" not in rule["resources"]


def test_only_what_channels_need_changes_anything() -> None:
    """All other verbs read; what channels need beyond reading is granted, and nothing else."""
    granted = {
        f"{verb} {resource}"
        for rule in rules()
        for verb in rule["verbs"]
        for resource in rule["resources"]
        if verb not in ("get", "list", "watch")
    }
    needed = {right for channel in CHANNELS.values() for right in channel.needs}
    beside = {
        *("create leases", "update leases", "create events", "create jobs"),
        *("create gpunodes", "delete gpunodes", "patch gpunodes/status"),
        *("create gpurecommendations", "delete gpurecommendations"),
        "patch admissionchecks/status",
        *("patch gpurecommendations/status", "patch gpuworkloads/status"),
        *("patch gpurecommendations", "approve gpurecommendations"),  # of people who say yes
    }
    assert granted - beside == {
        right for right in needed if not right.startswith(("get ", "list "))
    }


def test_the_manifests_use_the_names_of_the_code() -> None:
    """Labels, gate, annotation and kill switch are spelt as the advisor looks for them."""
    text = "".join(path.read_text() for path in FILES)
    for name in (
        *(names.MANAGED, names.GATE, names.DECISION, names.REVERTED, names.KILL_SWITCH),
        *(names.SICK, names.CHECK, names.CONTROLLER, names.STRATEGY),
    ):
        assert name in text


def test_the_advisor_may_list_what_it_looks_at() -> None:
    """Nodes, pods, namespaces, what holds pods back, and the budgets without which none moves."""
    (role,) = (one for one in documents(FOLDER / "advisor.yaml") if one["kind"] == "ClusterRole")
    listed = {
        f"{resource}.{group}".rstrip(".")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if "list" in rule["verbs"]
    }
    assert listed == {
        "nodes",
        "pods",
        "namespaces",
        "poddisruptionbudgets.policy",
        "jobs.batch",
        "workloads.kueue.x-k8s.io",
        "resourceslices.resource.k8s.io",
        "devicetaintrules.resource.k8s.io",
    }
