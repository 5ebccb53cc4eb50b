"""Lists of nodes and pods as CSV, in the columns of Alibaba's cluster-trace-gpu-v2023."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.demand import ANY_MODEL, WHOLE, Demand

_MIB = 1 << 20
_NODES = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
_PODS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
MOST: Mapping[str, int] = {
    "gpu": 128,
    "num_gpu": 10_000,
    "num_gpus": 100_000,
    "gpu_milli": WHOLE,
    "cpu_milli": 1_000_000_000,
    "memory_mib": 1_000_000_000,
}
"""What a column may be at most: far beyond any machine, and well within what is reckoned with."""


class TraceError(ValueError):
    """A list that cannot be used. `str()` is one line: file:line, what, what to do."""


def machines(path: Path) -> list[Machine]:
    """The nodes that have GPUs. Raises TraceError."""
    listed = _once(path, rows(path, _NODES), "sn")
    found = [
        Machine(
            row["sn"],
            row["model"],
            whole(path, line, row, "gpu"),
            whole(path, line, row, "cpu_milli"),
            whole(path, line, row, "memory_mib") * _MIB,
        )
        for line, row in listed
    ]
    if not any(one.gpus for one in found):
        raise TraceError(f"{path}: no node has a GPU: give a list of GPU nodes")
    return [one for one in found if one.gpus]


def demands(path: Path, models: Sequence[str]) -> list[Demand]:
    """The pods by name; `gpu_spec` names the models that will do, with | between them.

    Raises TraceError.
    """
    bits = {name: 1 << index for index, name in enumerate(sorted(set(models)))}
    listed = sorted(
        _once(path, rows(path, _PODS), "name"), key=lambda numbered: numbered[1]["name"]
    )
    found = [_demand(path, line, row, bits) for line, row in listed]
    if not any(demand.gpus for demand in found):
        raise TraceError(f"{path}: no pod asks for a GPU: give a list with pods that do")
    return found


def _once(
    path: Path, found: Iterable[tuple[int, dict[str, str]]], column: str
) -> list[tuple[int, dict[str, str]]]:
    """The rows, each of another name."""
    lines: dict[str, int] = {}
    listed = list(found)
    for line, row in listed:
        name = row[column]
        if (first := lines.setdefault(name, line)) != line:
            raise TraceError(
                f"{path}:{line}: {column} is {name!r} as in line {first}: give each one once"
            )
    return listed


def _demand(path: Path, line: int, row: dict[str, str], bits: dict[str, int]) -> Demand:
    gpus = whole(path, line, row, "num_gpu")
    share = whole(path, line, row, "gpu_milli") if gpus else WHOLE
    if gpus and not (0 < share <= WHOLE and (gpus == 1 or share == WHOLE)):
        raise TraceError(
            f"{path}:{line}: {gpus} GPUs of {share} thousandths: give one GPU's share, 1 to 1000, "
            "or several whole ones"
        )
    spec = row.get("gpu_spec") or ""
    wanted = set(spec.split("|")) if spec and gpus else set()
    if unknown := sorted(wanted - bits.keys()):
        raise TraceError(
            f"{path}:{line}: gpu_spec names {unknown[0]!r}, which is the model of no node: give "
            f"some of {', '.join(bits)}"
        )
    mask = sum(bits[name] for name in wanted) if wanted else ANY_MODEL
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
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = io.StringIO(file.read(), newline="")  # whoever stops halfway leaves no open file
        reader = csv.DictReader(text)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise TraceError(f"{path}:1: column {missing[0]} is missing: add it")
        for row in reader:
            lacking = next((name for name in columns if row[name] is None), None)
            if lacking is not None:
                raise TraceError(
                    f"{path}:{reader.line_num}: the row ends before {lacking}: give each column"
                )
            yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: cannot be read ({error}): give a readable CSV file") from error


def whole(path: Path, line: int, row: Mapping[str, str], column: str) -> int:
    """Raises TraceError."""
    text, most = row[column], MOST[column]
    is_whole = text.isascii() and text.isdigit()
    if not is_whole:
        raise TraceError(f"{path}:{line}: {column} is {text!r}: give a whole number, 0 or more")
    if len(text.lstrip("0")) > len(str(most)) or int(text) > most:
        raise TraceError(f"{path}:{line}: {column} is {_short(text)}: give {most} at most")
    return int(text)


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}… ({len(text)} digits)"
