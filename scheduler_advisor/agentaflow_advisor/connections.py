"""Opens what the settings name: Prometheus and the Kubernetes API."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from lightkube import Client

from agentaflow_advisor.observe.cluster import connect
from agentaflow_advisor.observe.errors import ClusterUnreachable
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.settings import Settings


def open_prometheus(settings: Settings) -> Prometheus:
    """Nothing is asked yet. Raises NotPrometheus where the URL is none."""
    token, password = settings.prometheus_bearer_token, settings.prometheus_password
    user = settings.prometheus_username
    return Prometheus(
        settings.prometheus_url,
        timeout_seconds=settings.prometheus_timeout_seconds,
        max_bytes=settings.prometheus_max_bytes,
        max_series=settings.prometheus_max_series,
        bearer_token=token.get_secret_value() if token else None,
        bearer_token_file=settings.prometheus_bearer_token_file,
        basic_auth=(user, password.get_secret_value() if password else "") if user else None,
        ca_file=settings.prometheus_ca_file,
        verify=not settings.prometheus_insecure_skip_verify,
    )


def open_cluster(settings: Settings) -> Client:
    """The cluster that a command needs; `with` closes it. Raises ClusterUnreachable."""
    if settings.kubernetes == "off":
        raise ClusterUnreachable(
            "this needs a Kubernetes cluster and the setting kubernetes is off; set it to auto"
        )
    return connect(settings.kubeconfig, settings.context)


@contextmanager
def open_cluster_if_given(settings: Settings) -> Iterator[Client | None]:
    """The cluster that advice is better with; None where nothing names one."""
    named = (
        settings.kubeconfig
        or settings.context
        or os.environ.get("KUBECONFIG", os.devnull) not in ("", os.devnull)
        or "KUBERNETES_SERVICE_HOST" in os.environ
    )
    if not named or settings.kubernetes == "off":
        yield None
        return
    with open_cluster(settings) as client:
        yield client
