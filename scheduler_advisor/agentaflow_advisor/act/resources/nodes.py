"""GPUNodes: what is known of each node, for `kubectl get gpunodes`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.types import PatchType

from agentaflow_advisor.act.api import read, write
from agentaflow_advisor.act.errors import Conflict
from agentaflow_advisor.act.resources.kinds import API_VERSION, NODE
from agentaflow_advisor.model import Recommendation, Snapshot
from agentaflow_advisor.model.names import FIELD_MANAGER
from agentaflow_advisor.place.capacity import occupancy
from agentaflow_advisor.price import NodePrice

SICK = frozenset({"drain-gpu-node"})
SUSPECT = frozenset({"reset-gpu", "check-gpu"})
IDLE = frozenset({"idle-gpu", "forgotten-process", "unallocated-gpu"})
Status = dict[str, Any]


def statuses(
    snapshot: Snapshot,
    recommendations: Iterable[Recommendation],
    prices: Mapping[tuple[str, str], object],
) -> dict[str, Status]:
    """What to say of each node of the cluster that has GPUs, by its name. Pure."""
    told = list(recommendations)
    sick = {each.where.node for each in told if each.kind in SICK}
    suspect = {each.where.node for each in told if each.kind in SUSPECT}
    idle = Counter(each.where.node for each in told if each.kind in IDLE)
    nodes = tuple(node for node in snapshot.nodes if node.known and node.gpus)
    free = occupancy(nodes, snapshot.workloads, held={}).free
    models = {gpu.node: gpu.model for gpu in snapshot.gpus if gpu.model}
    seen = {gpu.node for gpu in snapshot.gpus}
    when = datetime.fromtimestamp(snapshot.taken_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = {}
    for node in nodes:
        health = "Sick" if node.name in sick else "Suspect" if node.name in suspect else "Healthy"
        status: Status = {
            "gpus": node.gpus,
            "free": max(0, free[node.name].gpus),
            "health": health if node.name in seen else "Unknown",
            "observedAt": when,
        }
        if node.name in seen:
            status["idle"] = idle[node.name]
        if node.name in models:
            status["model"] = models[node.name]
        price = prices.get((node.cluster, node.name))
        if isinstance(price, NodePrice):
            status["pricePerHour"] = str(price.per_hour.rounded(2))
        found[node.name] = status
    return found


def publish(client: Client, wanted: Mapping[str, Status]) -> None:
    """Make, change and delete GPUNodes until they say that. Raises ApiTrouble."""
    listed = read(lambda: tuple(client.list(NODE)))
    there = {one.metadata.name or "": one for one in listed or () if one.metadata}
    for name in there.keys() - wanted.keys():
        _delete(client, name)
    for name, status in wanted.items():
        if name not in there:
            _create(client, name)
        now: Status = (there[name].get("status") if name in there else None) or {}
        if not _same(now, status):
            _tell(client, name, _patch(now, status))


def _create(client: Client, name: str) -> None:
    body = NODE(apiVersion=API_VERSION, kind="GPUNode", metadata=ObjectMeta(name=name))
    with suppress(Conflict):
        write(lambda: client.create(body, field_manager=FIELD_MANAGER))


def _delete(client: Client, name: str) -> None:
    with suppress(Conflict):
        write(lambda: client.delete(NODE, name))


def _tell(client: Client, name: str, status: Status) -> None:
    write(
        lambda: client.patch(
            NODE.Status,
            name,
            {"status": status},
            patch_type=PatchType.MERGE,
            field_manager=FIELD_MANAGER,
        )
    )


def _same(now: Status, wanted: Status) -> bool:
    """But for the time: a write a minute for each node would be for nothing."""
    return {**now, "observedAt": ""} == {**wanted, "observedAt": ""}


def _patch(now: Status, wanted: Status) -> Status:
    """What is not known any more goes."""
    return {**dict.fromkeys(now), **wanted}
