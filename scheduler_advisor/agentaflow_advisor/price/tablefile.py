"""A price table's file: CSV below a head of `# name: value` lines, refused at its first bad row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

HEAD = ("provider", "region", "date", "source")
COLUMNS = ("instance", "gpu", "gpus", "gpu_mem_mib_each", "vcpu", "ram_gib", "ondemand_usd_h")
SPOT = "spot_usd_h"
"""This column and `region` may be missing; without `region`, the head's holds for each row."""
BOUNDS: Mapping[str, tuple[Decimal, Decimal]] = {  # what no machine on sale is outside of
    "gpus": (Decimal("0.01"), Decimal(72)),
    "gpu_mem_mib_each": (Decimal(1024), Decimal(4_194_304)),
    "vcpu": (Decimal(1), Decimal(4096)),
    "ram_gib": (Decimal("0.5"), Decimal(65_536)),
    "ondemand_usd_h": (Decimal("0.001"), Decimal(2000)),
    SPOT: (Decimal("0.001"), Decimal(2000)),
}
WHOLE = frozenset({"gpus", "gpu_mem_mib_each", "vcpu"})
PARTS = "gpus"
"""Whole numbers, or less than one where the instance has a part of a GPU."""
GRAVITON = frozenset({"t4g"})
"""GPUs that are sold with Graviton's CPUs only, which cost less than others."""


class PriceTableError(ValueError):
    """The table cannot be used. `str()` is one line: file:line:column, what, what to do."""


@dataclass(frozen=True, slots=True)
class ResidualRates:
    """What CPU and memory cost without a GPU: the rest of a node's price is its GPUs'.

    The defaults solve c6i.xlarge (4 vCPU, 8 GiB, 0.17 USD/h) and r6i.xlarge (4, 32, 0.252); for
    Graviton c6g.xlarge (4, 8, 0.136) and r6g.xlarge (4, 32, 0.2016).
    """

    vcpu_usd_hour: Decimal = Decimal("0.0356667")
    gib_usd_hour: Decimal = Decimal("0.0034167")
    graviton_vcpu_usd_hour: Decimal = Decimal("0.0285333")
    graviton_gib_usd_hour: Decimal = Decimal("0.0027333")

    def __post_init__(self) -> None:
        for name, rate in asdict(self).items():
            if not rate.is_finite() or not 0 <= rate <= 10:
                raise PriceTableError(f"{name} is {rate}: give USD per hour between 0 and 10")

    def rest(self, row: PriceRow) -> Decimal:
        """What the CPU and memory of an instance cost an hour."""
        vcpu, gib = self.vcpu_usd_hour, self.gib_usd_hour
        if row.gpu in GRAVITON:
            vcpu, gib = self.graviton_vcpu_usd_hour, self.graviton_gib_usd_hour
        return row.vcpus * vcpu + row.memory_gib * gib


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One instance type on sale in one region."""

    instance_type: str
    gpu: str
    gpus: int  # as the node has them
    memory_mib: int  # of each GPU
    vcpus: int
    memory_gib: Decimal
    usd_hour: Decimal  # of the whole instance, on demand
    region: str = ""
    spot_usd_hour: Decimal | None = None
    part: Decimal = Decimal(1)  # of a whole GPU, that its one GPU is


@dataclass(frozen=True, slots=True)
class TableFile:
    """All that the file says."""

    provider: str
    region: str
    dated: date
    source: str
    rows: tuple[PriceRow, ...]


def read(path: Path, text: str) -> TableFile:
    """Parse a table; `path` is for messages. Raises PriceTableError."""
    lines = text.splitlines()
    head = _head(lines)
    body = [(number, line) for number, line in enumerate(lines, 1) if _is_row(line)]
    dated = _date(path, head.get("date"))
    if not body:
        raise PriceTableError(f"{path}: no rows: give a header line {','.join(COLUMNS)} and rows")
    rows = tuple(_rows(path, body, head.get("region", "")))
    return TableFile(
        head.get("provider", ""), head.get("region", ""), dated, head.get("source", ""), rows
    )


def _head(lines: Iterable[str]) -> dict[str, str]:
    parted = (line[1:].partition(":") for line in lines if line.startswith("#"))
    head = {name.strip(): value.strip() for name, _, value in parted}
    return {name: head[name] for name in HEAD if name in head}


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _date(path: Path, text: str | None) -> date:
    try:
        return date.fromisoformat(text or "")
    except ValueError as error:
        found = f"its date is {text!r}" if text else "it has no date"
        raise PriceTableError(
            f"{path}: {found}: add a line such as '# date: 2026-07-20' at the top"
        ) from error


def _rows(path: Path, body: list[tuple[int, str]], region: str) -> Iterable[PriceRow]:
    (header_line, header), *rest = body
    names = [name.strip() for name in header.split(",")]
    for column in COLUMNS:
        if column not in names:
            raise PriceTableError(f"{path}:{header_line}: column {column} is missing: add it")
    if not rest:
        raise PriceTableError(f"{path}:{header_line}: no rows follow the header: add some")
    seen: dict[tuple[str, str], int] = {}
    for number, line in rest:
        values = _cells(path, number, line)
        if len(values) != len(names):
            raise PriceTableError(
                f"{path}:{number}: {len(values)} cells, the header has {len(names)}: "
                "correct or remove the row"
            )
        row = _row(path, number, {"region": region, **dict(zip(names, values, strict=True))})
        key = (row.instance_type, row.region)
        if key in seen:
            raise PriceTableError(
                f"{path}:{number}:instance: {row.instance_type} is already in line "
                f"{seen[key]}: remove one of them"
            )
        seen[key] = number
        yield row


def _cells(path: Path, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise PriceTableError(
            f"{path}:{number}: {error}: correct the quotes or remove the row"
        ) from error


def _row(path: Path, number: int, cells: Mapping[str, str]) -> PriceRow:
    for column in ("instance", "gpu"):
        if not cells[column].strip():
            raise PriceTableError(f"{path}:{number}:{column}: is empty: fill it or remove the row")
    given = [column for column in BOUNDS if column != SPOT or cells.get(SPOT, "").strip()]
    value = {column: _number(path, number, column, cells[column].strip()) for column in given}
    return PriceRow(
        instance_type=cells["instance"].strip(),
        gpu=cells["gpu"].strip().lower(),
        gpus=max(1, int(value[PARTS])),
        part=min(Decimal(1), value[PARTS]),
        memory_mib=int(value["gpu_mem_mib_each"]),
        vcpus=int(value["vcpu"]),
        memory_gib=value["ram_gib"],
        usd_hour=value["ondemand_usd_h"],
        region=cells["region"].strip(),
        spot_usd_hour=value.get(SPOT),
    )


def _number(path: Path, number: int, column: str, text: str) -> Decimal:
    low, high = BOUNDS[column]
    kind = "a whole number" if column in WHOLE else "a number"
    kind += ", or a part of one," if column == PARTS else ""
    try:
        value = Decimal(text)
        good = value.is_finite() and low <= value <= high
        whole = value == value.to_integral_value() or (column == PARTS and value < 1)
        good = good and (column not in WHOLE or whole)
    except InvalidOperation:
        good = False
    if not good:
        raise PriceTableError(
            f"{path}:{number}:{column}: {text!r} is not {kind} from {low} to {high}: "
            "correct it or remove the row"
        )
    return value
