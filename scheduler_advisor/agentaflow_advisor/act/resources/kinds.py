"""The kinds of agentaflow.io, as lightkube speaks of them."""

from __future__ import annotations

from lightkube import Client
from lightkube.generic_resource import create_global_resource, create_namespaced_resource

from agentaflow_advisor.act.api import read

GROUP, VERSION = "agentaflow.io", "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
RESOURCES = "gpurecommendations"
RECOMMENDATION = create_namespaced_resource(GROUP, VERSION, "GPURecommendation", RESOURCES)
NODE = create_global_resource(GROUP, VERSION, "GPUNode", "gpunodes")
WORKLOAD = create_namespaced_resource(GROUP, VERSION, "GPUWorkload", "gpuworkloads")


def installed(client: Client) -> bool:
    """Whether manifests/crds.yaml was applied. Raises ApiTrouble."""
    return read(lambda: tuple(client.list(RECOMMENDATION, namespace="*"))) is not None
