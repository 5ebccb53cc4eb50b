"""PodDisruptionBudgets as the API server has them, and without leave to list them."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from lightkube import Client, KubeConfig
from lightkube.config.models import Cluster, User

from agentaflow_advisor.model import DisruptionBudget, Disruptions, Requirement
from agentaflow_advisor.observe import read_cluster
from agentaflow_advisor.observe.errors import ClusterUnreachable

PATH = "/apis/policy/v1/poddisruptionbudgets"


def disruptions(answer: httpx2.Response) -> Disruptions:
    """What a look tells of them, where everything else is empty."""

    def handler(request: httpx2.Request) -> httpx2.Response:
        empty = httpx2.Response(200, json={"metadata": {}, "items": []})
        return answer if request.url.path == PATH else empty

    config = KubeConfig.from_one(cluster=Cluster(server="http://kubernetes.test"), user=User())
    return read_cluster(Client(config=config, transport=httpx2.MockTransport(handler))).disruptions


def listed(**budget: Any) -> Disruptions:
    metadata = {"name": "pdb", "namespace": "research", "generation": 2}
    item = {"metadata": metadata, **budget}
    return disruptions(httpx2.Response(200, json={"metadata": {}, "items": [item]}))


COUNTED = {
    "disruptionsAllowed": 3,
    "observedGeneration": 2,
    "currentHealthy": 4,
    "desiredHealthy": 1,
    "expectedPods": 4,
}


def test_a_budget() -> None:
    """Its selector whole, and what its controller allows."""
    expression = {"key": "tier", "operator": "In", "values": ["x", "y"]}
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": [expression]}
    assert listed(spec={"selector": selector}, status=COUNTED) == Disruptions(
        (
            DisruptionBudget(
                "research",
                "pdb",
                3,
                {"app": "web"},
                (Requirement("tier", "In", ("x", "y")),),
            ),
        )
    )


@pytest.mark.parametrize("selector", [None, {}])
def test_no_selector_and_an_empty_one(selector: dict[str, Any] | None) -> None:
    """The one covers nothing, the other every pod of its namespace (policy/v1)."""
    spec = {} if selector is None else {"selector": selector}
    (budget,) = listed(spec=spec, status=COUNTED).budgets
    assert budget.match_labels == selector


@pytest.mark.parametrize("changes", [{}, {"status": {**COUNTED, "observedGeneration": 1}}])
def test_what_its_controller_has_not_counted_allows_nothing(changes: dict[str, Any]) -> None:
    """The eviction API does the same."""
    (budget,) = listed(spec={"selector": {}}, **changes).budgets
    assert budget.allowed == 0


@pytest.mark.parametrize("code", [403, 404])
def test_without_leave_they_are_unknown(code: int) -> None:
    """The rest of the look is told all the same."""
    status = {"kind": "Status", "code": code, "message": "no"}
    told = disruptions(httpx2.Response(code, json=status))
    assert told.budgets == ()
    assert "poddisruptionbudgets.policy" in told.unknown


def test_any_other_error_is_an_error() -> None:
    """A broken API server is not taken for one that forbids."""
    status = {"kind": "Status", "code": 500, "message": "no"}
    with pytest.raises(ClusterUnreachable, match="answered 500"):
        disruptions(httpx2.Response(500, json=status))
