"""Pods as the kubelet's pod-resources socket tells them: which container has which devices.

https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins and
k8s.io/kubelet/pkg/apis/podresources/v1/api.proto, whose field numbers are here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from agentaflow_exporter.attribution.channel import CallFailed, Channel
from agentaflow_exporter.attribution.devices import claimed_device, plugin_device
from agentaflow_exporter.attribution.protobuf import ProtobufError, delimited, text
from agentaflow_exporter.collector import Pod

LIST = "/v1.PodResourcesLister/List"
LONGEST_SECONDS = 1.0

_PODS = 1  # of the answer
_NAME, _NAMESPACE, _CONTAINERS = 1, 2, 3  # of a pod
_CONTAINER_NAME, _DEVICES, _CLAIMS = 1, 2, 5  # of a container
_RESOURCE, _DEVICE_IDS = 1, 2  # of its devices from a plugin
_ALLOCATED = 4  # of a claim
_CDI_DEVICES, _DRIVER, _DEVICE = 1, 2, 4  # of what it allocated
_CDI_NAME = 1


class KubeletError(Exception):
    """The kubelet did not say who holds what; the text is one line."""


class KubeletPods:
    """Calls ask the kubelet; nothing of an earlier answer survives a failure."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._channel = Channel(socket)

    def __call__(self) -> Sequence[Pod]:
        """Those that hold a GPU, in the kubelet's order. Raises KubeletError within 1 s."""
        try:
            return tuple(pods(self._channel.call(LIST, b"", LONGEST_SECONDS)))
        except (CallFailed, ProtobufError) as error:
            raise KubeletError(f"kubelet at {self._socket}: {error}") from error

    def close(self) -> None:
        self._channel.close()


def pods(answer: bytes) -> Iterator[Pod]:
    """One for each GPU of each container. Raises ProtobufError."""
    for field, pod in delimited(answer):
        if field == _PODS:
            yield from _of_pod(pod)


def _of_pod(message: bytes) -> Iterator[Pod]:
    name = namespace = b""
    containers: list[tuple[bytes, list[str]]] = []
    for field, content in delimited(message):
        if field == _CONTAINERS:
            containers.append(_container(content))
        elif field == _NAME:
            name = content
        elif field == _NAMESPACE:
            namespace = content
    for container, devices in containers:
        for device in devices:
            yield Pod(device, text(namespace), text(name), text(container))


def _container(message: bytes) -> tuple[bytes, list[str]]:
    name = b""
    devices: list[str] = []
    for field, content in delimited(message):
        if field == _CONTAINER_NAME:
            name = content
        elif field == _DEVICES:
            devices += _of_plugin(content)
        elif field == _CLAIMS:
            devices += [_of_claim(c) for number, c in delimited(content) if number == _ALLOCATED]
    return name, [device for device in devices if device]


def _of_plugin(message: bytes) -> list[str]:
    fields = list(delimited(message))
    resource = next((text(content) for field, content in fields if field == _RESOURCE), "")
    return [
        plugin_device(resource, text(content)) for field, content in fields if field == _DEVICE_IDS
    ]


def _of_claim(message: bytes) -> str:
    driver = device = ""
    cdi: list[str] = []
    for field, content in delimited(message):
        if field == _DRIVER:
            driver = text(content)
        elif field == _DEVICE:
            device = text(content)
        elif field == _CDI_DEVICES:
            cdi += [text(name) for number, name in delimited(content) if number == _CDI_NAME]
    return claimed_device(driver, device, cdi)
