"""What a simulated board measures over a time: the metrics of GPM, and samples of utilization.

Both are means by the integral of the board's utilization, so that what a reader makes of them over
any time is true. Nothing is kept: an answer follows from what was asked and when.
"""

from __future__ import annotations

from collections.abc import Mapping

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.boards import MIB, Board
from agentaflow_exporter.driver import WHOLE_GPU
from agentaflow_exporter.stories import Behaviour

_HOPPER = 9
_WINDOW_SECONDS = 10.0  # of GPM: as if that had been the last scrape
_PERIOD = 5_000_000  # µs between samples
_RING = 120
# Shares of the time in which the GPU computes at all.
_RATIOS: Mapping[int, float] = {
    nvml.NVML_GPM_METRIC_GRAPHICS_UTIL: 1.0,
    nvml.NVML_GPM_METRIC_SM_UTIL: 0.88,
    nvml.NVML_GPM_METRIC_SM_OCCUPANCY: 0.35,
    nvml.NVML_GPM_METRIC_DRAM_BW_UTIL: 0.4,
    nvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL: 0.45,
    nvml.NVML_GPM_METRIC_HMMA_TENSOR_UTIL: 0.45,
    nvml.NVML_GPM_METRIC_IMMA_TENSOR_UTIL: 0.0,
    nvml.NVML_GPM_METRIC_DFMA_TENSOR_UTIL: 0.0,
    nvml.NVML_GPM_METRIC_FP64_UTIL: 0.0,
    nvml.NVML_GPM_METRIC_FP32_UTIL: 0.12,
    nvml.NVML_GPM_METRIC_FP16_UTIL: 0.06,
    nvml.NVML_GPM_METRIC_INTEGER_UTIL: 0.15,
}
_PCIE_MEBIBYTES = {
    nvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC: 400.0,
    nvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC: 900.0,
}
_NVLINK = (
    nvml.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC,
    nvml.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC,
)


class Activity:
    """That of one board."""

    def __init__(self, board: Board, behaviour: Behaviour) -> None:
        self._utilization = behaviour.utilization
        self._memory_share = behaviour.memory_ratio / 2
        self._metrics: Mapping[int, float] = {}  # at full utilization
        self._mean = (0.0, 0.0, 0.0)  # the last one calculated, and of what
        if board.architecture >= _HOPPER:
            bytes_per_second = board.nvlink_bytes_per_second * behaviour.nvlink_ratio
            self._metrics = {
                **{metric_id: 100 * share for metric_id, share in _RATIOS.items()},
                **_PCIE_MEBIBYTES,
                **dict.fromkeys(_NVLINK, bytes_per_second / MIB),
            }

    def metrics(self, arguments: tuple[int, ...], time: float) -> list[tuple[int, float]] | None:
        """nvmlGpmMetricsGet: the means of the last ten seconds."""
        gpu_instance, *ids = arguments
        if not self._metrics or gpu_instance != WHOLE_GPU:
            return None
        busy = self._busy(time - _WINDOW_SECONDS, time)
        full = self._metrics
        return [(i, full[i] * busy) for i in ids if i in full]

    def samples(self, arguments: tuple[int, ...], time: float) -> list[tuple[int, float]] | None:
        """nvmlDeviceGetSamples. All of one answer are the mean of the time for which they stand:
        that since `last_seen`, or if that is too long ago, since the first of the ring.
        """
        kind, last_seen = arguments
        if kind not in (nvml.NVML_GPU_UTILIZATION_SAMPLES, nvml.NVML_MEMORY_UTILIZATION_SAMPLES):
            return None
        newest, seen = int(time * 1e6) // _PERIOD, last_seen // _PERIOD
        first = max(seen, newest - _RING) + 1
        if not 0 < first <= newest:
            return []
        start = seen if first == seen + 1 else first
        percent = 100 * self._busy(start * _PERIOD / 1e6, newest * _PERIOD / 1e6)
        if kind == nvml.NVML_MEMORY_UTILIZATION_SAMPLES:
            percent *= self._memory_share
        return [(number * _PERIOD, percent) for number in range(first, newest + 1)]

    def _busy(self, start: float, end: float) -> float:
        """Both kinds of samples are of the same time."""
        if self._mean[:2] != (start, end):
            integral = self._utilization.integral
            mean = (integral(end) - integral(start)) / (end - start)
            self._mean = start, end, min(max(mean, 0.0), 1.0)
        return self._mean[2]
