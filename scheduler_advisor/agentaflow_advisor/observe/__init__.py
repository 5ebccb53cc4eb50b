"""Observing: Prometheus and the Kubernetes API, joined into one snapshot."""

from agentaflow_advisor.observe.answers import Sample
from agentaflow_advisor.observe.cluster import connect, read_cluster
from agentaflow_advisor.observe.errors import ObserveError
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.observe.snapshot import take

__all__ = ["ObserveError", "Prometheus", "Sample", "connect", "read_cluster", "take"]
