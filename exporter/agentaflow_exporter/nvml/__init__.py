"""NVML itself, through pynvml; no module outside this room imports it.

What a GPU does not support is learnt from the first call and never asked again. ctypes drops the
GIL during a call, so that a call that hangs holds up only its own thread.
"""

from agentaflow_exporter.nvml.events import XidEvents
from agentaflow_exporter.nvml.gpu import NvmlGpu
from agentaflow_exporter.nvml.library import NvmlDriver

__all__ = ["NvmlDriver", "NvmlGpu", "XidEvents"]
