"""Money: an exact amount in a named currency; floats lose cents and currencies do not mix."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

HOURS_PER_MONTH = Decimal("730")
"""365 x 24 / 12, what cloud price lists mean by a month."""


EXACT_PLACES = 9
"""A millionth of a cent a month is lost in an hourly price with so many decimal places."""


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies were added or compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Money:
    """An amount in one currency. Addition refuses to mix currencies."""

    amount: Decimal
    currency: str = "USD"

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal) or not self.amount.is_finite():
            raise ValueError(f"an amount of money must be a finite Decimal, not {self.amount!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return (self.amount, self.currency) == (other.amount, other.currency)

    def __hash__(self) -> int:
        return hash((self.amount, self.currency))

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not add up")
        return Money(self.amount + other.amount, self.currency)

    def __mul__(self, factor: Decimal | int) -> Money:
        return Money(self.amount * factor, self.currency)

    def rounded(self, places: int = 2) -> Money:
        """To that many decimal places, half to even; and printed with them."""
        step = Decimal(1).scaleb(-places)
        return _Rounded(self.amount.quantize(step, rounding=ROUND_HALF_EVEN), self.currency)

    @property
    def exact(self) -> Money:
        """Printed so that to count with what is printed is to count with it."""
        return self.rounded(EXACT_PLACES)

    def __str__(self) -> str:
        """To the cent."""
        return str(self.rounded())


class HourlyPrice(Money):
    """What an hour costs: printed in full however it is rounded, since a month is 730 of it."""

    __slots__ = ()

    def rounded(self, places: int = EXACT_PLACES) -> Money:
        """To nine decimal places at least."""
        return super().rounded(max(places, EXACT_PLACES))


class _Rounded(Money):
    """Printed as it is, without zeros behind the cents."""

    __slots__ = ()

    def __str__(self) -> str:
        text = f"{self.amount:,}"
        whole, _, fraction = text.partition(".")
        if len(fraction) > 2:
            text = f"{whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"
        return f"{text} {self.currency}"
