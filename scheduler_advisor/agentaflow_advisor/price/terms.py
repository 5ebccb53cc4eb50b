"""What you pay in place of list prices: discounts, own machines, tax, currency, teams, budgets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from agentaflow_advisor.model import HOURS_PER_MONTH, Node
from agentaflow_advisor.price.models import plain
from agentaflow_advisor.price.offer import Capacity

Kind = Literal["spot", "reserved", "savings_plan", "committed_use", "volume", "negotiated"]
COMMITMENTS: frozenset[Kind] = frozenset({"reserved", "savings_plan", "committed_use"})
HOURS_PER_YEAR = Decimal(8760)
STRICT = ConfigDict(extra="forbid", defer_build=True)  # most runs read no such file

Name = Annotated[str, Field(min_length=1, max_length=100)]
Code = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Ratio = Annotated[Decimal, Field(ge=0, le=1)]
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]


@dataclass(frozen=True, slots=True, config=STRICT)
class Selector:
    """Which nodes are meant. All that is given must fit; nothing given fits every node.

    Names may hold * and ?. Labels are compared whole.
    """

    provider: str | None = None
    region: str | None = None
    instance_type: str | None = None
    gpu: str | None = None
    """As price lists name it (h100), or as NVIDIA does (NVIDIA A40)."""
    cluster: str | None = None
    node: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def fits(
        self, node: Node, *, provider: str, region: str, instance: str, gpus: Iterable[str]
    ) -> bool:
        """`gpus` are the names of its GPU, the others are as the node has them."""
        pairs = (
            (self.provider, provider),
            (self.region, region),
            (self.instance_type, instance),
            (self.cluster, node.cluster),
            (self.node, node.name),
        )
        named = all(want is None or fnmatchcase(has.lower(), want.lower()) for want, has in pairs)
        named = named and (self.gpu is None or any(_alike(self.gpu, gpu) for gpu in gpus))
        return named and all(node.labels.get(key) == value for key, value in self.labels.items())


def _alike(want: str, gpu: str) -> bool:
    return fnmatchcase(gpu.lower(), want.lower()) or fnmatchcase(plain(gpu), plain(want))


@dataclass(frozen=True, slots=True, config=STRICT)
class Discount:
    """A part of the list price that is paid, for some nodes, between two dates."""

    name: Name
    kind: Kind
    factor: Ratio
    """Of the list price: 0.62 is 38 % off."""
    covers: Ratio = Decimal(1)
    """The part of these nodes' hours that a commitment covers."""
    where: Selector = field(default_factory=Selector)
    since: date | None = None
    until: date | None = None
    """The last day."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.since and self.until and self.until < self.since:
            raise ValueError("until should not be before since")
        return self

    @property
    def paid(self) -> Decimal:
        """The part of the list price that is paid on average, 0 to 1."""
        return 1 - self.covers * (1 - self.factor)

    def holds_on(self, day: date | None) -> bool:
        """Without a day, only what has no dates holds."""
        if day is None:
            return self.since is None and self.until is None
        return (self.since or day) <= day <= (self.until or day)


@dataclass(frozen=True, slots=True, config=STRICT)
class OwnPrice:
    """What machines of your own cost: by the GPU, by the node, or by what they were bought for."""

    name: Name
    where: Selector
    per_gpu_hour: Amount | None = None
    per_node_hour: Amount | None = None
    purchase: Annotated[Decimal, Field(gt=0, le=1_000_000_000)] | None = None
    lifetime_years: Annotated[Decimal, Field(gt=0, le=30)] = Decimal(4)
    power_watts: Annotated[Decimal, Field(ge=0, le=200_000)] = Decimal(0)
    """What a whole node draws, at the wall."""
    energy_price_per_kwh: Annotated[Decimal, Field(ge=0, le=100)] = Decimal(0)
    per_month: Amount = Decimal(0)
    """Space, network and hands, for a whole node."""
    currency: Code | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (self.per_gpu_hour, self.per_node_hour, self.purchase)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("should have one of per_gpu_hour, per_node_hour and purchase")
        if self.where == Selector():
            raise ValueError("where should name a label, a node or an instance type")
        return self

    @property
    def node_hour(self) -> Decimal | None:
        """A node's hour; None where the price is by the GPU."""
        if self.purchase is None:
            return self.per_node_hour
        worn = self.purchase / (self.lifetime_years * HOURS_PER_YEAR)
        power = self.power_watts / 1000 * self.energy_price_per_kwh
        return worn + power + self.per_month / HOURS_PER_MONTH


@dataclass(frozen=True, slots=True, config=STRICT)
class Tax:
    """What comes on top of list prices, after the discounts."""

    name: Name
    rate: Annotated[Decimal, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True, config=STRICT)
class ExchangeRate:
    """How much of a currency one US dollar was, and when."""

    currency: Code
    per_usd: Annotated[Decimal, Field(gt=0, le=1_000_000)]
    dated: date
    source: str = ""


@dataclass(frozen=True, slots=True, config=STRICT)
class Budget:
    """What a namespace, team or cluster may spend in a calendar month."""

    scope: Literal["namespace", "team", "cluster"]
    name: Name
    per_month: Annotated[Decimal, Field(gt=0, le=1_000_000_000)]


@dataclass(frozen=True, slots=True, config=STRICT)
class Terms:
    """All of the cost file. Without one: list prices in US dollars."""

    currency: Code = "USD"
    exchange_rates: tuple[ExchangeRate, ...] = ()
    tax: Tax | None = None
    discounts: tuple[Discount, ...] = ()
    own: tuple[OwnPrice, ...] = ()
    teams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Team → its namespaces, which may hold * and ?; the first that fits counts."""
    budgets: tuple[Budget, ...] = ()

    @model_validator(mode="after")
    def _convertible(self) -> Self:
        needed = {self.currency, *(own.currency for own in self.own if own.currency)} - {"USD"}
        known = [rate.currency for rate in self.exchange_rates]
        if len(known) != len(set(known)) or "USD" in known:
            raise ValueError("exchange_rates should have each currency once, and not USD")
        if missing := sorted(needed - set(known)):
            raise ValueError(f"exchange_rates has no rate for {', '.join(missing)}")
        return self

    def team_of(self, namespace: str) -> str | None:
        """The team whose list has the namespace."""
        for team, namespaces in self.teams.items():
            if any(fnmatchcase(namespace, pattern) for pattern in namespaces):
                return team
        return None

    def rate(self, currency: str) -> ExchangeRate | None:
        return next((each for each in self.exchange_rates if each.currency == currency), None)

    def conversion(self, currency: str) -> Decimal:
        """The factor from that currency to the one that is shown."""
        if currency == self.currency:
            return Decimal(1)
        source, target = self.rate(currency), self.rate(self.currency)
        return (target.per_usd if target else Decimal(1)) / (source.per_usd if source else 1)


def applying(
    discounts: Iterable[Discount], *, capacity: Capacity, spot_listed: bool
) -> tuple[Discount, ...]:
    """Which of the discounts that fit a node count for it, whatever order they came in.

    One commitment, the one that leaves least to pay, and none for spot; all of the volume and
    negotiated ones; a spot discount only where the price list has no spot price.
    """
    fitting = sorted(discounts, key=lambda one: (one.paid, one.name, one.kind, one.factor))
    spot = [one for one in fitting if one.kind == "spot"]
    bound = [one for one in fitting if one.kind in COMMITMENTS]
    always = [one for one in fitting if one.kind in ("volume", "negotiated")]
    first = ([] if spot_listed else spot[:1]) if capacity == "spot" else bound[:1]
    return (*first, *sorted(always, key=lambda one: (one.name, one.kind, one.factor)))


def day_of(at: float | None) -> date | None:
    """The day in UTC of a time in seconds since the epoch."""
    if at is None or not math.isfinite(at):
        return None
    return datetime.fromtimestamp(at, UTC).date()
