"""What each GPU instance did since the last scrape; a GPU that is cut tells nothing as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.collectors.gpm import FUNCTION
from agentaflow_exporter.instances import is_still, mig_devices
from agentaflow_exporter.metric import Metric, declare_gpu


def _ratio(name: str, help_text: str, metric: str, *labels: str) -> Metric:
    return declare_gpu(
        "mig_gpm",
        f"mig_{name}",
        help_text,
        "gpu_instance",
        *labels,
        source=f"nvmlGpmMigSampleGet; {FUNCTION}, {metric}",
        since="Hopper, R525",
    )


MIG_GRAPHICS_ACTIVE = _ratio(
    "graphics_active_ratio", "Share of time in which the instance computed.", "GRAPHICS_UTIL"
)
MIG_SM_ACTIVE = _ratio(
    "sm_active_ratio", "Share of its SMs' cycles with at least one warp.", "SM_UTIL"
)
MIG_SM_OCCUPANCY = _ratio(
    "sm_occupancy_ratio", "Warps resident, as share of the most possible.", "SM_OCCUPANCY"
)
MIG_DRAM_ACTIVE = _ratio(
    "dram_active_ratio", "Share of its memory's bandwidth in use.", "DRAM_BW_UTIL"
)
MIG_PIPE_ACTIVE = _ratio(
    "pipe_active_ratio",
    "Share of its SMs' cycles in which the pipe worked.",
    "…_TENSOR_UTIL, FP64_UTIL, FP32_UTIL, FP16_UTIL, INTEGER_UTIL",
    "pipe",
)

Cut = tuple[str, str]  # a device's uuid and profile

_READINGS: Mapping[int, tuple[Metric, tuple[str, ...]]] = {
    nvml.NVML_GPM_METRIC_GRAPHICS_UTIL: (MIG_GRAPHICS_ACTIVE, ()),
    nvml.NVML_GPM_METRIC_SM_UTIL: (MIG_SM_ACTIVE, ()),
    nvml.NVML_GPM_METRIC_SM_OCCUPANCY: (MIG_SM_OCCUPANCY, ()),
    nvml.NVML_GPM_METRIC_DRAM_BW_UTIL: (MIG_DRAM_ACTIVE, ()),
    nvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL: (MIG_PIPE_ACTIVE, ("tensor",)),
    nvml.NVML_GPM_METRIC_FP64_UTIL: (MIG_PIPE_ACTIVE, ("fp64",)),
    nvml.NVML_GPM_METRIC_FP32_UTIL: (MIG_PIPE_ACTIVE, ("fp32",)),
    nvml.NVML_GPM_METRIC_FP16_UTIL: (MIG_PIPE_ACTIVE, ("fp16",)),
    nvml.NVML_GPM_METRIC_INTEGER_UTIL: (MIG_PIPE_ACTIVE, ("integer",)),
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """The first scrape after a cut only starts the measurement, even if the ids are the same."""
    before: dict[int, set[Cut]] = gpu.kept(dict)
    now: dict[int, set[Cut]] = {}
    for device in gpu.once(mig_devices):
        now.setdefault(device.gpu_instance, set()).add((device.uuid, device.profile))
    for instance, cuts in now.items():
        answer = gpu.read(FUNCTION, instance, *_READINGS) or ()
        if cuts.isdisjoint(before.get(instance, ())) or not _is_there(gpu, instance):
            continue
        for metric_id, percent in answer:
            metric, labels = _READINGS[metric_id]
            yield metric, (str(instance), *labels), percent / 100
    before.clear()
    before.update(now)


def _is_there(gpu: GpuReader, instance: int) -> bool:
    """After the sample: whether one of its devices is where it was before."""
    devices = (device for device in gpu.once(mig_devices) if device.gpu_instance == instance)
    return any(is_still(gpu, device) for device in devices)


COLLECTOR = Collector(
    "mig_gpm",
    "how busy SMs, pipes and memory of each MIG instance are",
    (MIG_GRAPHICS_ACTIVE, MIG_SM_ACTIVE, MIG_SM_OCCUPANCY, MIG_DRAM_ACTIVE, MIG_PIPE_ACTIVE),
    gpu=_gpu,
)
