"""Whether the API server sees to it who approves: the policy of approvals.yaml, and its binding.

Without them whoever may patch a GPURecommendation could say yes, in anybody's name.
"""

from __future__ import annotations

from lightkube import Client
from lightkube.models.admissionregistration_v1 import MatchResources, NamedRuleWithOperations
from lightkube.resources.admissionregistration_v1 import (
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)

from agentaflow_advisor.act.api import read
from agentaflow_advisor.act.resources.kinds import GROUP, RESOURCES

NAME = "agentaflow-approvals"
SETTLING_SECONDS = 5.0  # from when a policy is made until every API server is sure to ask it
ASKED = (".check('approve').allowed()", "== object.spec.hash", "== request.userInfo.username")
"""Of the validations' expressions: the verb, the plan, and the approver's own name."""


def guarded_since(client: Client) -> float | str:
    """Since when (seconds since the epoch) only who may approve could; or why that is not so.

    Raises ApiTrouble.
    """
    policy = read(lambda: client.get(ValidatingAdmissionPolicy, NAME))
    binding = read(lambda: client.get(ValidatingAdmissionPolicyBinding, NAME))
    if reason := weakness(policy, binding):
        return reason
    made = [
        one.metadata.creationTimestamp.timestamp()
        for one in (policy, binding)
        if one and one.metadata and one.metadata.creationTimestamp
    ]
    return max(made) + SETTLING_SECONDS


def weakness(
    policy: ValidatingAdmissionPolicy | None, binding: ValidatingAdmissionPolicyBinding | None
) -> str | None:
    """Why these do not keep others from approving; None where they do. Pure."""
    where = f"ValidatingAdmissionPolicy {NAME}"
    if policy is None or policy.spec is None:
        return f"{where} is not there"
    if binding is None or binding.spec is None:
        return f"ValidatingAdmissionPolicyBinding {NAME} is not there"
    spec, bound = policy.spec, binding.spec
    asked = "\n".join(validation.expression for validation in spec.validations or ())
    looks_at = spec.matchConstraints or MatchResources()
    limited = _limited(looks_at) or spec.matchConditions or spec.paramKind or bound.matchResources
    problems = {
        "'s binding does not deny": "Deny" not in bound.validationActions,
        "'s binding is of another policy": bound.policyName != NAME,
        " is limited to some objects": bool(limited),
        " lets through what it cannot judge": spec.failurePolicy == "Ignore",
        " does not see every write": not any(map(_covers, looks_at.resourceRules or ())),
        " does not ask what is needed": any(one not in asked for one in ASKED),
    }
    return next((f"{where}{told}" for told, true in problems.items() if true), None)


def _limited(looks_at: MatchResources) -> bool:
    selectors = (looks_at.namespaceSelector, looks_at.objectSelector)
    narrowed = any(one and (one.matchLabels or one.matchExpressions) for one in selectors)
    return narrowed or bool(looks_at.excludeResourceRules)


def _covers(rule: NamedRuleWithOperations) -> bool:
    return (
        GROUP in (rule.apiGroups or ())
        and RESOURCES in (rule.resources or ())
        and {"CREATE", "UPDATE"} <= set(rule.operations or ())
        and not rule.resourceNames
    )
