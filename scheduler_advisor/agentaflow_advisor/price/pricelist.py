"""One provider's dated price list, and which of its rows a node is priced by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from agentaflow_advisor.price.models import Product, plain, product
from agentaflow_advisor.price.tablefile import PriceRow, PriceTableError, TableFile, read

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Match:
    """A row, and what was assumed to get to it; empty where it is the node's very own."""

    row: PriceRow
    assumption: str = ""


class PriceList:
    """A loaded price list. Asking it does no I/O."""

    def __init__(self, file: TableFile) -> None:
        self._file = file
        self._by_type: dict[str, dict[str, PriceRow]] = {}
        self._by_product: dict[Product, list[PriceRow]] = {}
        self._by_name: dict[str, list[PriceRow]] = {}
        for row in file.rows:
            self._by_type.setdefault(row.instance_type, {})[row.region] = row
            if row.part == 1:  # a part never stands in for a whole GPU
                self._by_product.setdefault(Product(row.gpu, row.memory_mib), []).append(row)
                self._by_name.setdefault(plain(row.gpu), []).append(row)
        self._regions = frozenset(row.region for row in file.rows)

    @classmethod
    def load(cls, path: Path) -> PriceList:
        """Raises PriceTableError."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PriceTableError(
                f"{path}: cannot read the price table ({error}): give a readable CSV file"
            ) from error
        return cls(read(path, text))

    @property
    def provider(self) -> str:
        return self._file.provider

    @property
    def rows(self) -> tuple[PriceRow, ...]:
        return self._file.rows

    @property
    def dated(self) -> date:
        return self._file.dated

    @property
    def title(self) -> str:
        """Whose prices and of when: stated wherever money is."""
        return self.titled(self._file.region if len(self._regions) == 1 else "")

    def titled(self, region: str) -> str:
        """The same for one of its regions."""
        parts = (self._file.provider, region, str(self._file.dated))
        return " ".join(part for part in parts if part)

    def age_days(self, now: float) -> int:
        """How old the prices are at that time (seconds since the epoch)."""
        made = datetime.combine(self._file.dated, datetime.min.time(), UTC)
        return int((now - made.timestamp()) // DAY_SECONDS)

    def has(self, instance_type: str | None) -> bool:
        return instance_type in self._by_type

    def by_type(self, instance_type: str, region: str | None) -> Match:
        """The instance's row in that region; in another, assumed, where the list lacks it."""
        rows = self._by_type[instance_type]
        if region in rows:
            return Match(rows[region or ""])
        row = rows.get(self._file.region) or min(rows.values(), key=_cheapest)
        if region is None:
            known = len(rows) == 1
            why = f"its region is not known, so as in {row.region}"
        else:
            known = not row.region
            why = f"the list has no {row.instance_type} in {region}, so as in {row.region}"
        return Match(row, "" if known else why)

    def by_model(self, model: str, gpus: int, region: str | None) -> Match | None:
        """The cheapest row with as many such GPUs, in that region where the list has it.

        Rows name a GPU as price lists do (h100), or by NVIDIA's name of the product (A40).
        """
        known = product(model)
        listed = self._by_product.get(known, []) if known else []
        rows = [*listed, *self._by_name.get(plain(model), [])]
        for place in (region, self._file.region):
            here = [row for row in rows if row.region == place]
            if here:
                rows = here
                break
        if not rows or gpus < 1:
            return None
        same = [row for row in rows if row.gpus == gpus]
        row = min(same or rows, key=lambda row: _cost(row, gpus))
        part = "" if same else f"; per GPU, since none has {gpus}"
        return Match(row, f"the cheapest with {row.gpu}{part}")


def _cheapest(row: PriceRow) -> tuple[Decimal, str]:
    return (row.usd_hour, row.region)


def _cost(row: PriceRow, gpus: int) -> tuple[bool, Decimal, int, str, str]:
    """Large enough first, then cheap by the GPU; the rest only makes the order certain."""
    return (row.gpus < gpus, row.usd_hour / row.gpus, row.gpus, row.instance_type, row.region)


def named(lists: Iterable[PriceList]) -> str:
    """Their titles in one line."""
    return ", ".join(each.title for each in lists)
