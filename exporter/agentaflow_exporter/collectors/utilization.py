"""How busy the engines of each GPU are."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

UTILIZATION = declare_gpu(
    "utilization",
    "utilization_ratio",
    "Share of the driver's last sample period in which the engine was busy.",
    "engine",
    source="nvmlDeviceGetUtilizationRates, Encoder…, Decoder…, Jpg…, OfaUtilization",
    since="R535 for jpeg and ofa",
)

_ENGINES = {
    ("encoder",): "nvmlDeviceGetEncoderUtilization",
    ("decoder",): "nvmlDeviceGetDecoderUtilization",
    ("jpeg",): "nvmlDeviceGetJpgUtilization",
    ("ofa",): "nvmlDeviceGetOfaUtilization",
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    rates = gpu.shared("nvmlDeviceGetUtilizationRates")
    if rates is not None:
        yield UTILIZATION, ("gpu",), rates.gpu / 100
        yield UTILIZATION, ("memory",), rates.memory / 100
    for labels, function in _ENGINES.items():
        answer = gpu.shared(function)
        if answer is not None:
            yield UTILIZATION, labels, answer[0] / 100


COLLECTOR = Collector("utilization", "engines' busy ratios", (UTILIZATION,), gpu=_gpu)
