"""Lists of nodes and pods as CSV, in the columns of Alibaba's cluster-trace-gpu-v2023."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.demand import ANY_MODEL, WHOLE, Demand

_MIB = 1 << 20
_NODES = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
_PODS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")


class TraceError(ValueError):
    """A list that cannot be used. `str()` is one line: file:line, what, what to do."""


def machines(path: Path) -> list[Machine]:
    """The nodes that have GPUs. Raises TraceError."""
    found = [
        Machine(
            row["sn"],
            row["model"],
            whole(path, line, row, "gpu"),
            whole(path, line, row, "cpu_milli"),
            whole(path, line, row, "memory_mib") * _MIB,
        )
        for line, row in rows(path, _NODES)
    ]
    if not any(one.gpus for one in found):
        raise TraceError(f"{path}: no node has a GPU: give a list of GPU nodes")
    return [one for one in found if one.gpus]


def demands(path: Path, models: Sequence[str]) -> list[Demand]:
    """The pods by name; `gpu_spec` names the models that will do, with | between them.

    Raises TraceError.
    """
    bits = {name: 1 << index for index, name in enumerate(sorted(set(models)))}
    listed = sorted(rows(path, _PODS), key=lambda numbered: numbered[1]["name"])
    if not listed:
        raise TraceError(f"{path}: no pods: give a list of pods")
    return [_demand(path, line, row, bits) for line, row in listed]


def _demand(path: Path, line: int, row: dict[str, str], bits: dict[str, int]) -> Demand:
    gpus = whole(path, line, row, "num_gpu")
    share = whole(path, line, row, "gpu_milli") if gpus else WHOLE
    if gpus and not (0 < share <= WHOLE and (gpus == 1 or share == WHOLE)):
        raise TraceError(
            f"{path}:{line}: {gpus} GPUs of {share} thousandths: give one GPU's share, 1 to 1000, "
            "or several whole ones"
        )
    spec = row.get("gpu_spec") or ""
    mask = sum(bits.get(name, 0) for name in set(spec.split("|"))) if spec and gpus else ANY_MODEL
    return Demand(
        whole(path, line, row, "cpu_milli"),
        whole(path, line, row, "memory_mib") * _MIB,
        gpus,
        share,
        mask,
    )


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and row of a CSV file that has these columns. Raises TraceError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = io.StringIO(file.read(), newline="")  # whoever stops halfway leaves no open file
        reader = csv.DictReader(text)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise TraceError(f"{path}:1: column {missing[0]} is missing: add it")
        for row in reader:
            yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: cannot be read ({error}): give a readable CSV file") from error


def whole(path: Path, line: int, row: Mapping[str, str], column: str) -> int:
    """Raises TraceError."""
    text = row[column] or ""
    if not text.isdigit():
        raise TraceError(f"{path}:{line}: {column} is {text!r}: give a whole number, 0 or more")
    return int(text)
