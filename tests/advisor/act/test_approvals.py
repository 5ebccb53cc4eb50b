"""What is asked of the admission policy before an approval in the API counts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from lightkube.resources.admissionregistration_v1 import (
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)

from agentaflow_advisor.act.resources.approvals import weakness

FILE = Path(__file__).parents[3] / "scheduler_advisor" / "manifests" / "approvals.yaml"
POLICY, BINDING, _ = yaml.safe_load_all(FILE.read_text())
Body = dict[str, Any]
ONLY = {"matchLabels": {"a": "b"}}


def found(change: Callable[[Body, Body], object]) -> str:
    """What is wrong with the manifest's policy and binding after that change."""
    policy, binding = copy.deepcopy(POLICY), copy.deepcopy(BINDING)
    change(policy["spec"], binding["spec"])
    return (
        weakness(
            cast(ValidatingAdmissionPolicy, ValidatingAdmissionPolicy.from_dict(policy)),
            cast(
                ValidatingAdmissionPolicyBinding,
                ValidatingAdmissionPolicyBinding.from_dict(binding),
            ),
        )
        or ""
    )


def test_the_manifests_own_are_enough() -> None:
    """Nothing is wrong with what is shipped."""
    assert found(lambda _policy, _binding: None) == ""


def test_what_is_not_there_is_told() -> None:
    """The policy and its binding are two objects."""
    policy = cast(ValidatingAdmissionPolicy, ValidatingAdmissionPolicy.from_dict(POLICY))
    assert weakness(None, None) == "ValidatingAdmissionPolicy agentaflow-approvals is not there"
    assert weakness(policy, None) == (
        "ValidatingAdmissionPolicyBinding agentaflow-approvals is not there"
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda _, b: b.update(validationActions=["Audit", "Warn"]), "does not deny"),
        (lambda _, b: b.update(policyName="other"), "is of another policy"),
        (
            lambda _, b: b.update(
                matchResources={"namespaceSelector": {"matchLabels": {"a": "b"}}}
            ),
            "is limited",
        ),
        (lambda p, _: p.update(failurePolicy="Ignore"), "lets through what it cannot judge"),
        (
            lambda p, _: p.update(matchConditions=[{"name": "x", "expression": "false"}]),
            "is limited",
        ),
        (
            lambda p, _: p["matchConstraints"].update(objectSelector=ONLY),
            "is limited",
        ),
        (
            lambda p, _: p["matchConstraints"]["resourceRules"][0].update(operations=["CREATE"]),
            "does not see every write",
        ),
        (
            lambda p, _: p["matchConstraints"]["resourceRules"][0].update(resources=["gpunodes"]),
            "does not see every write",
        ),
        (lambda p, _: p["validations"].pop(0), "does not ask what is needed"),
        (lambda p, _: p["validations"].pop(1), "does not ask what is needed"),
        (lambda p, _: p["validations"].pop(2), "does not ask what is needed"),
    ],
)
def test_a_policy_that_lets_somebody_through_is_not_enough(
    change: Callable[[Body, Body], object], told: str
) -> None:
    """Whatever of it was loosened, the sentence names it."""
    assert told in found(change)
