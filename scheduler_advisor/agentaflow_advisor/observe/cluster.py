"""The Kubernetes API through lightkube: connect to it and read what matters to placement."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import yaml
from lightkube import ApiError, Client, KubeConfig
from lightkube.config.kubeconfig import SERVICE_ACCOUNT
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError
from lightkube.operators import not_equal
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Namespace, Pod
from lightkube.resources.core_v1 import Node as KubernetesNode
from lightkube.resources.policy_v1 import PodDisruptionBudget

from agentaflow_advisor.model import ClusterState, Disruptions, Node, Workload
from agentaflow_advisor.model.names import FIELD_MANAGER, MANAGED, SIZE_LABELS
from agentaflow_advisor.observe import kubernetes, kueue
from agentaflow_advisor.observe.errors import ClusterUnreachable, one_line

PAGE = 500
TIMEOUT_SECONDS = 10.0
CLOSED = (403, 404)
FORBIDDEN = "the Kubernetes API does not let us list them (poddisruptionbudgets.policy)"
GONE = 410  # the list's continue token is too old
BROKEN_CONFIG = (ConfigError, yaml.YAMLError, OSError, LookupError, TypeError, ValueError)
ADVICE = {
    401: "The credentials are unknown or expired: log in again or renew the token.",
    403: "Allow this user to list nodes, pods and namespaces.",
}


def connect(kubeconfig: Path | None, context: str | None) -> Client:
    """A client for that file and context; without a file: in-cluster, $KUBECONFIG, ~/.kube/config.

    Only reads the configuration: the first request tells whether the API answers.
    Raises ClusterUnreachable.
    """
    where = "the service account of this pod" if _in_cluster(kubeconfig) else _path(kubeconfig)
    try:
        config = (
            KubeConfig.from_service_account()
            if _in_cluster(kubeconfig)
            else KubeConfig.from_file(where)
        ).get(context)
        if config and config.user is None:
            config = config._replace(user=User())  # lightkube asserts that there is one
        return Client(
            config=config,
            timeout=httpx2.Timeout(TIMEOUT_SECONDS),
            field_manager=FIELD_MANAGER,
        )
    except (*BROKEN_CONFIG, AttributeError) as error:
        raise ClusterUnreachable(
            f"cannot use the Kubernetes configuration of {where}: {one_line(error)}. "
            "Give an existing --kubeconfig and --context, or leave Kubernetes out."
        ) from error


def read_cluster(client: Client) -> ClusterState:
    """Nodes, namespaces' labels, every pod that holds or awaits room. Raises ClusterUnreachable."""
    with named(client):
        nodes = tuple(kubernetes.node(one) for one in _list(client, KubernetesNode))
        pods = _list(client, Pod, namespace="*", fields={"status.phase": not_equal("Succeeded")})
        workloads = tuple(kubernetes.workload(pod) for pod in pods if kubernetes.matters(pod))
    return read_beside(client, nodes, workloads)


def read_beside(
    client: Client, nodes: tuple[Node, ...], workloads: tuple[Workload, ...]
) -> ClusterState:
    """The same where nodes and pods are known already. Raises ClusterUnreachable."""
    with named(client):
        namespaces = {
            one.metadata.name or "": one.metadata.labels or {}
            for one in _list(client, Namespace)
            if one.metadata
        }
        disruptions = _disruptions(client)
        workloads = (*workloads, *_held_back(client))
        succeeded = tuple(_succeeded(client, workloads))
    return ClusterState(nodes, workloads, namespaces, disruptions, succeeded)


def _succeeded(client: Client, workloads: Iterable[Workload]) -> Iterator[Workload]:
    """Pods that ended well, of gangs that wait and say how many they are."""
    waiting = {
        one.gang: one.namespace
        for one in workloads
        if one.gang and one.released_by and any(map(one.says, SIZE_LABELS))
    }
    for namespace in sorted(set(waiting.values())):
        ended = _list(client, Pod, namespace=namespace, fields={"status.phase": "Succeeded"})
        yield from (one for one in map(kubernetes.workload, ended) if one.gang in waiting)


def _held_back(client: Client) -> Iterator[Workload]:
    """Suspended Jobs and Kueue's Workloads that opted in; none where they cannot be listed."""
    kinds: tuple[tuple[Any, Callable[[Any], Workload]], ...] = (
        (Job, kubernetes.job),
        (kueue.WORKLOAD, kueue.workload),
    )
    for kind, workload in kinds:
        try:
            listed = _list(client, kind, namespace="*", labels={MANAGED: "true"})
        except httpx2.HTTPStatusError as error:
            if error.response.status_code not in CLOSED:
                raise
            continue
        yield from (one for one in map(workload, listed) if one.released_by)


def _disruptions(client: Client) -> Disruptions:
    """Whoever may not list budgets is still given everything else."""
    try:
        budgets = _list(client, PodDisruptionBudget, namespace="*")
    except httpx2.HTTPStatusError as error:
        if error.response.status_code not in CLOSED:
            raise
        return Disruptions(unknown=FORBIDDEN)
    return Disruptions(tuple(kubernetes.disruption_budget(one) for one in budgets))


def _list(client: Client, kind: Any, **where: Any) -> list[Any]:
    """All objects, page by page; at once where the pages expired under our hands."""
    try:
        return list(client.list(kind, chunk_size=PAGE, **where))
    except ApiError as error:
        if error.status.code != GONE:
            raise
        return list(client.list(kind, **where))


@contextlib.contextmanager
def named(client: Client) -> Iterator[None]:
    """What goes wrong inside ends as ClusterUnreachable."""
    server = client.config.cluster.server
    try:
        yield
    except httpx2.HTTPStatusError as error:
        code = error.response.status_code
        advice = ADVICE.get(code, "Try again; if it stays so, look at the API server.")
        raise ClusterUnreachable(
            f"the Kubernetes API at {server} answered {code}: {one_line(error)}. {advice}"
        ) from error
    except (httpx2.HTTPError, *BROKEN_CONFIG) as error:
        reason = one_line(error) or type(error).__name__
        raise ClusterUnreachable(
            f"cannot read the Kubernetes API at {server}: {reason}. "
            "Check that it runs, and the server and certificates in the kubeconfig."
        ) from error


def _in_cluster(kubeconfig: Path | None) -> bool:
    return (
        kubeconfig is None
        and "KUBERNETES_SERVICE_HOST" in os.environ
        and Path(SERVICE_ACCOUNT, "token").is_file()
    )


def _path(kubeconfig: Path | None) -> str:
    return str(kubeconfig or os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser())
