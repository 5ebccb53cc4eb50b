"""GPUs with a given past, under our own names or under dcgm-exporter's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tests.support.history import History, Value, always
from tools.prometheus import JOB

Names = Literal["own", "dcgm"]
H100, H100_MIB = "NVIDIA H100 80GB HBM3", 81_559
MIB = 2**20


class Written(History):
    """Each GPU is on a node of its own name, unless another one is given."""

    def __init__(self, names: Names, times: Iterable[int]) -> None:
        super().__init__(times)
        self.names = names

    def gpu(
        self,
        name: str,
        use: Value,
        *,
        node: str = "",
        gpu: int = 0,
        model: str = H100,
        mib: float | None = None,
        up: float = 1.0,
        held: Value | None = None,
    ) -> dict[str, str]:
        """Its labels. `use` is a ratio, `mib` memory in use, `held` says when its pod has it."""
        host = node or name
        place = {"job": JOB, "instance": host, "gpu": str(gpu)}
        if self.names == "own":
            same = {**place, "node": host, "uuid": f"GPU-{name}"}
            self.add("agentaflow_gpu_up", same, always(up))
            self.add("agentaflow_gpu_info", {**same, "name": model}, always(1))
            self.add("agentaflow_gpu_utilization_ratio", {**same, "engine": "gpu"}, use)
            if mib is not None:
                self.add("agentaflow_gpu_memory_used_bytes", same, always(mib * MIB))
                self.add("agentaflow_gpu_memory_total_bytes", same, always(H100_MIB * MIB))
            if held:
                self.add("agentaflow_gpu_pod_info", {**same, **_pod(name)}, held)
            return same
        same = {**place, "Hostname": host, "UUID": f"GPU-{name}", "modelName": model}
        self._held(same, name, held, "DCGM_FI_DEV_GPU_TEMP", always(40))
        self._held(same, name, held, "DCGM_FI_DEV_GPU_UTIL", _percent(use))
        if mib is not None:
            self._held(same, name, held, "DCGM_FI_DEV_FB_USED", always(mib))
            self._held(same, name, held, "DCGM_FI_DEV_FB_FREE", always(H100_MIB - mib))
        return same

    def _held(
        self, same: dict[str, str], name: str, held: Value | None, metric: str, value: Value
    ) -> None:
        """dcgm-exporter's series have their holder's labels, and end with him."""
        if not held:
            self.add(metric, same, value)
            return
        self.add(metric, {**same, **_pod(name)}, lambda at: value(at) if held(at) else None)
        self.add(metric, same, lambda at: None if held(at) else value(at))


def _pod(name: str) -> dict[str, str]:
    return {"namespace": "serving", "pod": name, "container": "main"}


def _percent(use: Value) -> Value:
    def percent(at: int) -> float | str | None:
        told = use(at)
        return told * 100 if isinstance(told, float) else told

    return percent
