"""What namespaces' ResourceQuotas leave of GPUs: the API server refuses pods beyond it at once."""

from __future__ import annotations

from collections.abc import Iterable

import httpx2
from lightkube import Client
from lightkube.resources.core_v1 import ResourceQuota

from agentaflow_advisor.model.quota import QuotaLeft
from agentaflow_advisor.observe.cluster import CLOSED, named
from agentaflow_advisor.observe.resources import NVIDIA, quantity

REQUESTS = "requests."


def quotas_left(client: Client, namespaces: Iterable[str]) -> tuple[QuotaLeft, ...]:
    """None of a namespace whose quotas cannot be listed, nor those that have scopes, which are
    for some of its pods. Raises ClusterUnreachable.
    """
    found: list[QuotaLeft] = []
    with named(client):
        for namespace in sorted(set(namespaces)):
            try:
                listed = list(client.list(ResourceQuota, namespace=namespace))
            except httpx2.HTTPStatusError as error:
                if error.response.status_code not in CLOSED:
                    raise
                continue
            found += [left for one in listed for left in _left(namespace, one)]
    return tuple(found)


def _left(namespace: str, seen: ResourceQuota) -> Iterable[QuotaLeft]:
    """Of each of NVIDIA's resources that it limits."""
    spec, status = seen.spec, seen.status
    if not spec or spec.scopes or spec.scopeSelector:
        return
    used = (status.used if status else None) or {}
    for key, hard in (spec.hard or {}).items():
        resource = key.removeprefix(REQUESTS)
        if key != resource and resource.startswith(NVIDIA):
            name = (seen.metadata.name if seen.metadata else None) or ""
            most, taken = int(quantity(hard)), int(quantity(used.get(key, "0")))
            yield QuotaLeft(namespace, name, resource, most, max(0, most - taken))
