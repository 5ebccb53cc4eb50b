"""GPUs as resource.k8s.io names them, where a cluster has dynamic resource allocation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx2
from lightkube import Client
from lightkube.resources.resource_v1 import DeviceTaintRule, ResourceSlice

from agentaflow_advisor.model import Device
from agentaflow_advisor.model.names import DECISION
from agentaflow_advisor.observe.cluster import CLOSED, named

UUID = "uuid"  # attribute of NVIDIA's driver


def read_devices(client: Client) -> Mapping[str, Device]:
    """By the GPU's uuid; none where the cluster serves no ResourceSlices or does not let us list.

    Raises ClusterUnreachable.
    """
    with named(client):
        try:
            slices = tuple(client.list(ResourceSlice))
            rules = tuple(client.list(DeviceTaintRule))
        except httpx2.HTTPStatusError as error:
            if error.response.status_code not in CLOSED:
                raise
            return {}
    by_name = {rule.metadata.name: rule for rule in rules if rule.metadata}
    return {
        uuid: _with_rule(device, by_name.get(device.rule))
        for one in slices
        for uuid, device in _devices(one)
    }


def _with_rule(device: Device, rule: DeviceTaintRule | None) -> Device:
    if rule is None or rule.metadata is None or rule.spec is None:
        return device
    notes = rule.metadata.annotations or {}
    return replace(device, marker=notes.get(DECISION), effect=rule.spec.taint.effect)


def _devices(seen: ResourceSlice) -> list[tuple[str, Device]]:
    spec: Any = seen.spec
    return [
        (attribute.string, Device(spec.driver, spec.pool.name, device.name))
        for device in spec.devices or ()
        for name, attribute in (device.attributes or {}).items()
        if name.rpartition("/")[2] == UUID and attribute.string
    ]
