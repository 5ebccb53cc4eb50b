"""Xid errors by GPU and code, as the driver reported them since the exporter was started."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, NodeReader, Reading
from agentaflow_exporter.driver import DriverError
from agentaflow_exporter.metric import GPU_PREFIX, declare, declare_gpu

_SOURCE = "nvmlEventSetWait_v2, or /dev/kmsg with --collector.xid.source=kmsg"
XID_ERRORS = declare_gpu(
    "xid",
    "xid_errors_total",
    "Xid errors since the exporter was started, by code; from the 33rd unexpected code on as "
    "`other`.",
    "xid",
    source=_SOURCE,
)
XID_LAST_TIMESTAMP = declare_gpu(
    "xid",
    "xid_last_timestamp_seconds",
    "Unix time of the last Xid error of a code, if there was one.",
    "xid",
    source=_SOURCE,
)
XID_LAST = declare_gpu(
    "xid",
    "last_xid",
    "Code of the last Xid error since the exporter was started, 0 before the first.",
    source=_SOURCE,
    highest=2**32 - 1,
)
XID_LOG_OVERRUNS = declare(
    GPU_PREFIX + "xid_log_overruns_total",
    "How often the kernel's log was overwritten before it was read, so that Xids may be missing.",
    source="/dev/kmsg",
    collector="xid",
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """The kernel's log names GPUs by their place on the bus only."""
    locate = gpu.sources.locate
    if locate is not None:
        uuid, pci = gpu.constant("nvmlDeviceGetUUID"), gpu.constant("nvmlDeviceGetPciInfo")
        if uuid is not None and pci is not None:
            locate(uuid, pci.busId)
    yield from ()


def _node(node: NodeReader) -> Iterator[Reading]:
    """Of lost GPUs too: that is what Xid 79 tells."""
    xids = node.sources.xids()
    for index, uuid in node.gpus:
        codes = xids.gpus.get(uuid)
        if codes is None:
            continue
        for code, xid in codes.items():
            yield XID_ERRORS, (index, uuid, code), xid.total
            if xid.last_seconds is not None:
                yield XID_LAST_TIMESTAMP, (index, uuid, code), xid.last_seconds
        yield XID_LAST, (index, uuid), xids.last[uuid]
    yield XID_LOG_OVERRUNS, (), xids.overruns
    if xids.failure:
        raise DriverError(xids.failure)


COLLECTOR = Collector(
    "xid",
    "Xid errors",
    (XID_ERRORS, XID_LAST_TIMESTAMP, XID_LAST, XID_LOG_OVERRUNS),
    gpu=_gpu,
    node=_node,
)
