"""What a node costs an hour and what one of its GPUs does, from a dated price list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Self

from agentaflow_advisor.model import Money, Node, Refusal
from agentaflow_advisor.price.models import Product, product
from agentaflow_advisor.price.tablefile import (
    PriceRow,
    PriceTableError,
    ResidualRates,
    TableFile,
    read,
)

SHIPPED = "aws_us_east_1.csv"
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class NodePrice:
    """A node's price per hour, and one GPU's in two ways that never mix.

    `whole` is the node's price over its GPUs: what the bill holds. `residual` is what remains of
    that once CPU and memory are paid at the rates of machines without a GPU: the GPU's own share.
    """

    instance_type: str
    per_hour: Money
    per_gpu_hour_whole: Money
    per_gpu_hour_residual: Money
    assumed: bool  # no list price for this very node: taken from one with such GPUs
    how: str = ""  # where the price is from, for people


class PriceTable:
    """A loaded price list. Asking it does no I/O."""

    def __init__(self, file: TableFile, rates: ResidualRates | None = None) -> None:
        self._file = file
        self._rates = rates or ResidualRates()
        self._by_type = {row.instance_type: row for row in file.rows}

    @classmethod
    def load(cls, path: Path | None = None, rates: ResidualRates | None = None) -> Self:
        """The table in that file, or the one that is shipped. Raises PriceTableError."""
        if path is None:
            shipped = resources.files(__package__) / "tables" / SHIPPED
            return cls(read(Path(SHIPPED), shipped.read_text(encoding="utf-8")), rates)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PriceTableError(
                f"{path}: cannot read the price table ({error}): give a readable CSV file"
            ) from error
        return cls(read(path, text), rates)

    @property
    def dated(self) -> date:
        return self._file.dated

    @property
    def title(self) -> str:
        """Whose prices, where and of when: stated wherever money is."""
        return f"{self._file.provider} {self._file.region} {self._file.dated}".strip()

    def age_days(self, now: float) -> int:
        """How old the prices are at that time (seconds since the epoch)."""
        made = datetime.combine(self._file.dated, datetime.min.time(), UTC)
        return int((now - made.timestamp()) // DAY_SECONDS)

    def price(self, node: Node, gpu_model: str | None, gpus: int) -> NodePrice | Refusal:
        """By the node's instance type; else as the cheapest instance with such GPUs, assumed."""
        found = product(gpu_model) if gpu_model else None
        row = self._by_type.get(node.instance_type or "")
        if row is None:
            return self._assumed(node, gpu_model, found, gpus)
        if found and (found.gpu, found.memory_mib) != (row.gpu, row.memory_mib):
            return Refusal(
                _subject(node),
                f"no price: its instance type {row.instance_type} has {row.gpu} GPUs, "
                f"but the metrics show {gpu_model}",
            )
        how = f"{row.instance_type} in {self.title}"
        return self._node_price(row, row.gpus, assumed=False, how=how)

    def _assumed(
        self, node: Node, gpu_model: str | None, found: Product | None, gpus: int
    ) -> NodePrice | Refusal:
        if gpu_model is None:
            return Refusal(_subject(node), "no price: neither instance type nor GPU model is known")
        rows = [row for row in self._file.rows if found == Product(row.gpu, row.memory_mib)]
        if not rows or gpus < 1:
            return Refusal(
                _subject(node),
                f"no price: {self.title} has no instance with {gpu_model}; "
                "add a row to a price table of your own",
            )
        same = [row for row in rows if row.gpus == gpus]
        row = min(same or rows, key=lambda row: _cost(row, gpus))
        part = "" if same else f"; per GPU, since none has {gpus}"
        how = f"assumed: the cheapest with {row.gpu}, {row.instance_type} in {self.title}{part}"
        return self._node_price(row, gpus, assumed=True, how=how)

    def _node_price(self, row: PriceRow, gpus: int, *, assumed: bool, how: str) -> NodePrice:
        whole = row.usd_hour / row.gpus
        rest = (
            row.usd_hour
            - row.vcpus * self._rates.vcpu_usd_hour
            - row.memory_gib * self._rates.gib_usd_hour
        )
        residual = max(Decimal(0), rest) / row.gpus
        per_hour = row.usd_hour if gpus == row.gpus else whole * gpus
        return NodePrice(
            row.instance_type, Money(per_hour), Money(whole), Money(residual), assumed, how
        )


def _cost(row: PriceRow, gpus: int) -> tuple[bool, Decimal, int, str]:
    """Large enough first, then cheap by the GPU; the rest only makes the order certain."""
    return (row.gpus < gpus, row.usd_hour / row.gpus, row.gpus, row.instance_type)


def _subject(node: Node) -> str:
    return f"node {node.cluster}/{node.name}" if node.cluster else f"node {node.name}"
