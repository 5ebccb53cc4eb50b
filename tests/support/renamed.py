"""A simulated fleet's past as other exporters and scrape configurations would have left it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from agentaflow_exporter.backfill import Plan, write

Labels = dict[str, str]
Series = tuple[str, Labels, str]
"""Name, labels, and the rest of the line: value and time."""
Rename = Callable[[Series], Iterable[Series]]

_LINE = re.compile(r"(\w+)\{(.*)\} (.+)\n")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
SMI = {
    "agentaflow_gpu_memory_total_bytes": "nvidia_smi_memory_total_bytes",
    "agentaflow_gpu_memory_used_bytes": "nvidia_smi_memory_used_bytes",
    "agentaflow_gpu_power_watts": "nvidia_smi_power_draw_watts",
    "agentaflow_gpu_energy_joules_total": "nvidia_smi_energy_joules_total",
    "agentaflow_gpu_info": "nvidia_smi_gpu_info",
    "agentaflow_gpu_pcie_link_width": "nvidia_smi_pcie_link_width_current",
    "agentaflow_gpu_pcie_link_width_max": "nvidia_smi_pcie_link_width_max",
    "agentaflow_gpu_row_remap_pending": "nvidia_smi_remapped_rows_pending",
    "agentaflow_gpu_row_remap_failure": "nvidia_smi_remapped_rows_failure",
    "agentaflow_gpu_recovery_action": "nvidia_smi_gpu_recovery_action",
}
SMI_OF: Mapping[tuple[str, str, str], str] = {
    ("utilization_ratio", "engine", "gpu"): "utilization_gpu_ratio",
    ("temperature_celsius", "sensor", "gpu"): "temperature_gpu",
    ("processes", "type", "compute"): "compute_apps",
    ("power_limit_watts", "limit", "enforced"): "enforced_power_limit_watts",
    ("power_limit_watts", "limit", "default"): "power_default_limit_watts",
    ("ecc_errors_total", "type", "uncorrected"): "ecc_errors_uncorrected_volatile_total",
    ("ecc_errors_total", "type", "corrected"): "ecc_errors_corrected_volatile_total",
    ("remapped_rows", "type", "uncorrectable"): "remapped_rows_uncorrectable",
    **{
        ("clock_event_seconds_total", "reason", reason): (
            f"clocks_event_reasons_counters_{reason}_seconds"
        )
        for reason in (
            "sw_power_cap",
            "sync_boost",
            "sw_thermal_slowdown",
            "hw_thermal_slowdown",
            "hw_power_brake_slowdown",
        )
    },
}
"""Our metric and one of its labels → nvidia_gpu_exporter's metric of that alone."""


def simulate(plan: Plan, folder: Path) -> list[Series]:
    """Under our names and under dcgm-exporter's of `plan.compat`."""
    path = folder / f"{plan.compat or 'ours'}.om"
    write(replace(plan, own_metrics=True), path)
    with path.open() as lines:
        return [series for series in map(parsed, lines) if series]


def parsed(line: str) -> Series | None:
    found = _LINE.fullmatch(line)
    return (sys.intern(found[1]), _labels(found[2]), found[3]) if found else None


@lru_cache(maxsize=1024)
def _labels(text: str) -> Labels:
    """One for all samples of a series, of which there are millions: nobody may change it."""
    return dict(_LABEL.findall(text))


def save(path: Path, series: Iterable[Series]) -> Path:
    """As OpenMetrics; all of a series must come in one piece."""
    with path.open("w") as out:
        for name, labels, rest in series:
            told = ",".join(f'{key}="{value}"' for key, value in labels.items() if value)
            out.write(f"{name}{{{told}}} {rest}\n")
        out.write("# EOF\n")
    return path


def ours(series: Iterable[Series]) -> Iterator[Series]:
    return (each for each in series if each[0].startswith("agentaflow_"))


def dcgm(series: Iterable[Series]) -> Iterator[Series]:
    """As dcgm-exporter is scraped with honor_labels: the node is in its own label only."""
    for name, labels, rest in series:
        if name.startswith("DCGM_"):
            told = {key: value for key, value in labels.items() if key != "node"}
            yield name, {**told, "job": "dcgm", "instance": f"{labels['instance']}:9400"}, rest


def dcgm_relabelled(series: Iterable[Series]) -> Iterator[Series]:
    """As it is scraped without: the target's pod takes the labels, the holder's are renamed."""
    targets: dict[str, dict[str, Labels]] = {}
    for name, labels, rest in dcgm(series):
        host = labels.get("Hostname") or labels["hostname"]
        target = {"namespace": "gpu-operator", "pod": f"dcgm-exporter-{host}", "container": "main"}
        renamed = {f"exported_{key}": labels.get(key, "") for key in target}
        yield name, {**labels, **renamed, **target}, rest
        up = {key: labels[key] for key in ("job", "instance", "cluster")}
        targets.setdefault(host, {})[rest.split()[1]] = {**up, **target}
    for times in targets.values():
        for at, labels in times.items():
            yield "up", labels, f"1 {at}"


def nvidia_smi(series: Iterable[Series]) -> Iterator[Series]:
    for name, labels, rest in ours(series):
        target = {"job": "smi", "instance": f"{labels['instance']}:9835", "node": labels["node"]}
        bare = labels.get("uuid", "").removeprefix("GPU-")
        told = {**target, "cluster": labels["cluster"], "uuid": bare}
        if name == "agentaflow_gpu_info":
            yield SMI[name], {**told, "name": labels["name"], "index": labels["gpu"]}, rest
        elif name == "agentaflow_gpu_xid_errors_total":
            yield "nvidia_smi_xid_errors_total", {**told, "xid": labels["xid"]}, rest
        elif name in SMI:
            yield SMI[name], told, rest
        for label, value in labels.items():
            of = SMI_OF.get((name.removeprefix("agentaflow_gpu_"), label, value))
            if of:
                yield f"nvidia_smi_{of}", told, rest
