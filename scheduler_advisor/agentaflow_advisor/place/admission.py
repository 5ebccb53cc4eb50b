"""Pods that are not there yet, and that the quota of their namespace would not let in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from agentaflow_advisor.model import QuotaLeft, Refusal, Workload
from agentaflow_advisor.model.names import GPU


def over_quota(pods: Iterable[Workload], quotas: Sequence[QuotaLeft]) -> tuple[Refusal, ...]:
    """One after the other, a gang whole or not at all."""
    together: defaultdict[str, list[Workload]] = defaultdict(list)
    for pod in pods:
        together[pod.gang or f"{pod.ref} {pod.uid}"].append(pod)
    taken: Counter[QuotaLeft] = Counter()
    refused: list[Refusal] = []
    for unit in together.values():
        asked = {one: sum(_asked(pod, one) for pod in unit) for one in quotas}
        short = next((one for one, n in asked.items() if n and taken[one] + n > one.left), None)
        if short is None:
            taken.update(asked)
            continue
        why = _why(short, asked[short], short.left - taken[short], len(unit))
        refused += [Refusal(pod.ref, why) for pod in unit]
    return tuple(refused)


def _asked(pod: Workload, quota: QuotaLeft) -> int:
    if pod.namespace != quota.namespace:
        return 0
    return pod.gpus if quota.resource == GPU else pod.extended.get(quota.resource, 0)


def _why(quota: QuotaLeft, asked: int, left: int, pods: int) -> str:
    who = f"the {pods} pods of its gang ask" if pods > 1 else "it asks"
    return (
        f"the ResourceQuota {quota.name} of namespace {quota.namespace} would not let it in: {who} "
        f"for {asked} {quota.resource}, and {left} of {quota.hard} are left"
    )
