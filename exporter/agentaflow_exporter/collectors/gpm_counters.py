"""What the parts of each GPU did since the machine was started, counted by the GPU itself.

nvml.h says "since reboot" of all of these, so that they are counters as they are. It names bytes
as the unit of what went over each NVLink, and none for PCIe, of which bytes are assumed: that has
not been seen on a GPU yet. Links one by one (261 …) are left out: fields 138 and 139 sum them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.collectors.gpm import FUNCTION, REQUEST
from agentaflow_exporter.metric import Metric, declare_gpu

_SINCE = "Hopper, R595"
_MOST = 2**63


def _declare(name: str, help_text: str, metric: str, *labels: str) -> Metric:
    return declare_gpu(
        "gpm_counters",
        name,
        help_text,
        *labels,
        source=f"{FUNCTION}, {metric}",
        since=_SINCE,
        highest=_MOST,
    )


SM_CYCLES = _declare("sm_cycles_total", "Cycles of the SMs, busy or not.", "SM_CYCLES_ELAPSED")
SM_ACTIVE_CYCLES = _declare(
    "sm_active_cycles_total", "Cycles of the SMs with at least one warp.", "SM_CYCLES_ACTIVE"
)
PIPE_ACTIVE_CYCLES = _declare(
    "pipe_active_cycles_total",
    "Cycles of the SMs in which the pipe worked; tensor is any of dmma, hmma, imma, dfma.",
    "…_CYCLES_ACTIVE",
    "pipe",
)
PCIE_TRANSMIT = _declare("pcie_transmit_bytes_total", "Sent over PCIe.", "PCIE_TX")
PCIE_RECEIVE = _declare("pcie_receive_bytes_total", "Received over PCIe.", "PCIE_RX")

_READINGS: Mapping[int, tuple[Metric, tuple[str, ...]]] = {
    nvml.NVML_GPM_METRIC_SM_CYCLES_ELAPSED: (SM_CYCLES, ()),
    nvml.NVML_GPM_METRIC_SM_CYCLES_ACTIVE: (SM_ACTIVE_CYCLES, ()),
    nvml.NVML_GPM_METRIC_MMA_CYCLES_ACTIVE: (PIPE_ACTIVE_CYCLES, ("tensor",)),
    nvml.NVML_GPM_METRIC_DMMA_CYCLES_ACTIVE: (PIPE_ACTIVE_CYCLES, ("dmma",)),
    nvml.NVML_GPM_METRIC_HMMA_CYCLES_ACTIVE: (PIPE_ACTIVE_CYCLES, ("hmma",)),
    nvml.NVML_GPM_METRIC_IMMA_CYCLES_ACTIVE: (PIPE_ACTIVE_CYCLES, ("imma",)),
    nvml.NVML_GPM_METRIC_DFMA_CYCLES_ACTIVE: (PIPE_ACTIVE_CYCLES, ("dfma",)),
    nvml.NVML_GPM_METRIC_FP64_CYCLES_ACTIVE: (PIPE_ACTIVE_CYCLES, ("fp64",)),
    nvml.NVML_GPM_METRIC_FP32_CYCLES_ACTIVE: (PIPE_ACTIVE_CYCLES, ("fp32",)),
    nvml.NVML_GPM_METRIC_FP16_CYCLES_ACTIVE: (PIPE_ACTIVE_CYCLES, ("fp16",)),
    nvml.NVML_GPM_METRIC_INTEGER_CYCLES_ACTIVE: (PIPE_ACTIVE_CYCLES, ("integer",)),
    nvml.NVML_GPM_METRIC_PCIE_TX: (PCIE_TRANSMIT, ()),
    nvml.NVML_GPM_METRIC_PCIE_RX: (PCIE_RECEIVE, ()),
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    for metric_id, value in gpu.shared(FUNCTION, *REQUEST) or ():
        reading = _READINGS.get(metric_id)
        if reading is not None:
            yield *reading, int(value)


COLLECTOR = Collector(
    "gpm_counters",
    "cycles of SMs and pipes, and PCIe traffic, as counters",
    (SM_CYCLES, SM_ACTIVE_CYCLES, PIPE_ACTIVE_CYCLES, PCIE_TRANSMIT, PCIE_RECEIVE),
    gpu=_gpu,
)
