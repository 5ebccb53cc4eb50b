"""The manifests of the exporter: what Kubernetes' schemas accept, and no right too many."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from agentaflow_exporter import __version__
from agentaflow_exporter.options import DEFAULT_PORT
from agentaflow_exporter.settings import Settings, load

FOLDER = Path("deploy")
PODS_FOLDER = "/var/lib/kubelet/pod-resources"


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return document


def patched(document: Any, patch: Any) -> Any:
    """As `kubectl patch` merges: mappings by key, containers, variables and volumes by name."""
    if isinstance(document, dict) and isinstance(patch, dict):
        merged = {key: patched(value, patch.get(key)) for key, value in document.items()}
        return {**merged, **{key: value for key, value in patch.items() if key not in document}}
    if isinstance(document, list) and isinstance(patch, list):
        changes = {item["name"]: item for item in patch}
        merged_list = [patched(item, changes.pop(item["name"], None)) for item in document]
        return [*merged_list, *changes.values()]
    return document if patch is None else patch


PLAIN = read("exporter-daemonset.yaml")
WITH_PODS = patched(copy.deepcopy(PLAIN), read("exporter-pods.patch.yaml"))


@pytest.fixture(params=[PLAIN, WITH_PODS], ids=["plain", "pods"])
def daemonset(request: pytest.FixtureRequest) -> dict[str, Any]:
    document: dict[str, Any] = request.param
    return document


def pod_of(daemonset: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = daemonset["spec"]["template"]["spec"]
    return spec


def environment(daemonset: dict[str, Any]) -> dict[str, str]:
    (container,) = pod_of(daemonset)["containers"]
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}


def settings_of(daemonset: dict[str, Any]) -> Settings:
    return load({}, environment(daemonset), None)


def test_a_manifest_fits_kubernetes_schema(daemonset: dict[str, Any]) -> None:
    """Strictly: an unknown field is an error."""
    kubernetes_validate.validate(daemonset, "1.37", strict=True)


def test_selectors_find_the_pods(daemonset: dict[str, Any]) -> None:
    """The DaemonSet's own, and the PodMonitor's, with the port's name."""
    labels = daemonset["spec"]["template"]["metadata"]["labels"]
    monitor = read("exporter-podmonitor.yaml")["spec"]
    assert daemonset["spec"]["selector"]["matchLabels"] == labels
    assert monitor["selector"]["matchLabels"] == labels
    (container,) = pod_of(daemonset)["containers"]
    (port,) = container["ports"]
    assert [endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]] == [port["name"]]
    assert port["containerPort"] == DEFAULT_PORT


def test_no_rights(daemonset: dict[str, Any]) -> None:
    """No capability, no privilege, no namespace of the host, no token, nothing to write to."""
    pod = pod_of(daemonset)
    (container,) = pod["containers"]
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert not context.get("privileged")
    assert not {"hostPID", "hostNetwork", "hostIPC"} & pod.keys()
    assert pod["automountServiceAccountToken"] is False
    assert all(mount["readOnly"] for mount in container.get("volumeMounts", ()))


def test_without_pods_it_is_not_root() -> None:
    """And has nothing of the host."""
    pod = pod_of(PLAIN)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert "volumes" not in pod
    assert settings_of(PLAIN).kubelet_socket is None


def test_with_pods_it_has_the_kubelets_folder() -> None:
    """The folder is mounted where the setting looks for the socket, and nothing else is."""
    pod = pod_of(WITH_PODS)
    (volume,), (container,) = pod["volumes"], pod["containers"]
    (mount,) = container["volumeMounts"]
    assert volume["hostPath"]["path"] == mount["mountPath"] == PODS_FOLDER
    assert volume["name"] == mount["name"]
    assert settings_of(WITH_PODS).kubelet_socket == Path(PODS_FOLDER) / "kubelet.sock"


def test_the_drivers_libraries(daemonset: dict[str, Any]) -> None:
    """NVIDIA's runtime gives all GPUs and NVML, and no GPU is taken from anybody."""
    (container,) = pod_of(daemonset)["containers"]
    found = environment(daemonset)
    assert found["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert found["NVIDIA_DRIVER_CAPABILITIES"] == "utility"
    assert "nvidia.com/gpu" not in container["resources"].get("limits", {})
    assert container["image"].endswith(f":{__version__}")
