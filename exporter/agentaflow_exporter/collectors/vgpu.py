"""The licence of each virtual GPU, inside a guest; a physical GPU needs none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import declare_gpu

_SOURCE = "nvmlDeviceGetGridLicensableFeatures_v4"
_EXPIRY_VALID = 2  # of nvmlGridLicenseExpiry_t's status

VGPU_LICENSED = declare_gpu(
    "vgpu",
    "vgpu_licensed",
    "1 if the virtual GPU has the licence for the feature.",
    *("feature", "product"),
    source=_SOURCE,
    since="R470",
    highest=1,
)
VGPU_LICENSE_EXPIRY = declare_gpu(
    "vgpu",
    "vgpu_license_expiry_timestamp_seconds",
    "Unix time at which the licence ends; absent where it does not end.",
    "feature",
    source=_SOURCE,
    since="R470",
)

_FEATURES = {1: "vgpu", 2: "rtx", 3: "gaming", 4: "compute"}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    answer = gpu.read("nvmlDeviceGetGridLicensableFeatures")
    if answer is None or not answer.isGridLicenseSupported:
        return
    for feature in answer.features:
        name = _FEATURES.get(feature.featureCode, str(feature.featureCode))
        yield VGPU_LICENSED, (name, feature.productName), 1 if feature.featureEnabled else 0
        yield VGPU_LICENSE_EXPIRY, (name,), _expiry(feature.licenseExpiry)


def _expiry(expiry: Any) -> Number | None:
    """NVML tells it in UTC."""
    if expiry.status != _EXPIRY_VALID:
        return None
    parts = (expiry.year, expiry.month, expiry.day, expiry.hour, expiry.min, expiry.sec)
    try:
        return datetime(*parts, tzinfo=UTC).timestamp()
    except ValueError:  # nonsense is absent
        return None


COLLECTOR = Collector("vgpu", "vGPU licence", (VGPU_LICENSED, VGPU_LICENSE_EXPIRY), gpu=_gpu)
