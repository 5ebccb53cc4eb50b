"""Pods that the quota of their namespace would not let in."""

from __future__ import annotations

from agentaflow_advisor.model import QuotaLeft
from agentaflow_advisor.model.names import GANG
from agentaflow_advisor.place.admission import over_quota
from tests.support.fleet import gated_pod

QUOTA = QuotaLeft("research", "gpus", "nvidia.com/gpu", 16, 8)
SLICE = "nvidia.com/mig-1g.10gb"


def test_pods_take_what_is_left_one_after_the_other() -> None:
    """The third asks for more than the first two leave; a smaller one comes in after it."""
    pods = [gated_pod(name, gpus) for name, gpus in (("a", 4), ("b", 2), ("c", 4), ("d", 2))]
    (refused,) = over_quota(pods, [QUOTA])
    assert refused.subject == "research/c"
    assert refused.reason == (
        "the ResourceQuota gpus of namespace research would not let it in: it asks for 4 "
        "nvidia.com/gpu, and 2 of 16 are left"
    )


def test_a_gang_is_let_in_whole_or_not_at_all() -> None:
    """Two of three would be; the pod after them is."""
    ring = [gated_pod(f"ring-{n}", 4, labels={GANG: "ring"}) for n in range(3)]
    refused = over_quota([*ring, gated_pod("after", 8)], [QUOTA])
    assert [each.subject for each in refused] == [
        "research/ring-0",
        "research/ring-1",
        "research/ring-2",
    ]
    assert "the 3 pods of its gang ask for 12 nvidia.com/gpu, and 8 of 16" in refused[0].reason


def test_each_resource_and_namespace_has_its_own() -> None:
    """MIG profiles by their names; what is not asked for is never short."""
    none = QuotaLeft("research", "slices", SLICE, 2, 0)
    sliced = gated_pod("sliced", 0, extended={SLICE: 1})
    elsewhere = gated_pod("elsewhere", 9, namespace="serving")
    refused = over_quota([sliced, elsewhere, gated_pod("whole", 8)], [QUOTA, none])
    assert [each.subject for each in refused] == ["research/sliced"]
