"""The prices in force: which list, terms and own prices hold for a node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Self

from agentaflow_advisor.model import HourlyPrice, Money, Node, Refusal
from agentaflow_advisor.price.models import Product, plain, product, same_name
from agentaflow_advisor.price.nodeprice import NodePrice, Step, from_row
from agentaflow_advisor.price.offer import INSTANCE, Capacity, capacity_of, provider_of, region_of
from agentaflow_advisor.price.pricelist import Match, PriceList, named
from agentaflow_advisor.price.tablefile import PriceRow, ResidualRates, read
from agentaflow_advisor.price.terms import OwnPrice, Terms, applying, day_of

SHIPPED = ("aws_us_east_1.csv", "azure.csv", "gcp.csv")
ASSUMED = "AWS"


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another instance in a node's place, under the same terms."""

    row: PriceRow
    price: NodePrice


class PriceTable:
    """Price lists under one's own terms. Asking it does no I/O.

    A node is priced by the list of the provider that its labels name, else by the one that has its
    instance type, else by the first.
    """

    def __init__(
        self,
        lists: Iterable[PriceList],
        rates: ResidualRates | None = None,
        terms: Terms | None = None,
    ) -> None:
        self.lists = tuple(lists)
        self.terms = terms or Terms()
        self._rates = rates or ResidualRates()
        self._priced = cache(self._price)  # the nodes of a fleet are of a few kinds

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        rates: ResidualRates | None = None,
        terms: Terms | None = None,
        assumed: str = ASSUMED,
    ) -> Self:
        """The list in that file, or those that are shipped. Raises PriceTableError.

        `assumed` is the provider whose list prices nodes of which none is known.
        """
        if path is not None:
            return cls([PriceList.load(path)], rates, terms)
        folder = resources.files(__package__) / "tables"
        texts = ((name, (folder / name).read_text(encoding="utf-8")) for name in SHIPPED)
        lists = [PriceList(read(Path(name), text)) for name, text in texts]
        lists.sort(key=lambda each: (each.provider != assumed, each.provider))
        return cls(lists, rates, terms)

    @property
    def currency(self) -> str:
        """That of every price."""
        return self.terms.currency

    @property
    def dated(self) -> date:
        """Of the oldest list."""
        return min(each.dated for each in self.lists)

    @property
    def title(self) -> str:
        """Whose prices, where and of when: stated wherever money is."""
        return named(self.lists)

    def age_days(self, now: float) -> int:
        """How old the oldest list is at that time (seconds since the epoch)."""
        return max(each.age_days(now) for each in self.lists)

    def in_use(self, prices: Iterable[NodePrice | Refusal]) -> Self:
        """With only the lists that these prices are from; all, where they are from none."""
        used = {price.source for price in prices if isinstance(price, NodePrice)}
        lists = [each for each in self.lists if each.title in used]
        return type(self)(lists or self.lists, self._rates, self.terms)

    def price(
        self, node: Node, gpu_model: str | None, gpus: int, at: float | None = None
    ) -> NodePrice | Refusal:
        """An own price, else the node's instance type, else the cheapest with such GPUs, assumed.

        Terms with dates hold on the day of `at`, seconds since the epoch; without it, none of them.
        """
        found = product(gpu_model) if gpu_model else None
        instance = node.instance_type or ""
        listed, is_the_nodes = self._list_for(node)
        for own in self.terms.own:
            provider = provider_of(node) or (listed.provider if is_the_nodes else "")
            names = [name for name in (found and found.gpu, gpu_model) if name]
            if own.where.fits(
                node,
                provider=provider,
                region=region_of(node) or "",
                instance=instance,
                gpus=names,
            ):
                return self._own(own, node, gpus)
        if not listed.has(instance):
            return self._assumed(listed, node, gpu_model, gpus, at)
        match = listed.by_type(instance, region_of(node))
        row = match.row
        if found and not _is_of(row, found, gpu_model or ""):
            return Refusal(
                _subject(node),
                f"no price: its instance type {row.instance_type} has {row.gpu} GPUs, "
                f"but the metrics show {gpu_model}",
            )
        return self._listed(listed, match, node, row.gpus, at)

    def alternatives(
        self, node: Node, price: NodePrice, gpus: int, at: float | None = None
    ) -> tuple[Alternative, ...]:
        """Instances with so many GPUs of the list and region that the node's price is from.

        None in place of a node with a price of one's own: what else one owns is not known.
        """
        found: list[Alternative] = []
        for listed in self.lists:
            if listed.title != price.source:
                continue
            for row in listed.rows:
                if row.gpus != gpus or row.region != price.region or row.part < 1:
                    continue
                there = replace(node, labels={**node.labels, INSTANCE: row.instance_type})
                told = self._listed(listed, Match(row), there, gpus, at)
                if isinstance(told, NodePrice):
                    found.append(Alternative(row, told))
        return tuple(found)

    def _list_for(self, node: Node) -> tuple[PriceList, bool]:
        """Its list, and whether something about the node names it."""
        provider, instance = provider_of(node), node.instance_type
        mine = [each for each in self.lists if provider and each.provider == provider]
        having = [each for each in self.lists if each.has(instance)]
        chosen = (*mine, *having)
        return (chosen[0], True) if chosen else (self.lists[0], False)

    def _assumed(
        self, listed: PriceList, node: Node, gpu_model: str | None, gpus: int, at: float | None
    ) -> NodePrice | Refusal:
        if gpu_model is None:
            return Refusal(_subject(node), "no price: neither instance type nor GPU model is known")
        match = listed.by_model(gpu_model, gpus, region_of(node))
        unknown = node.instance_type and f"{node.instance_type} is not in {listed.title}"
        if match is None:
            why = f"{unknown}, which has no" if unknown else f"{listed.title} has no"
            return Refusal(
                _subject(node),
                f"no price: {why} instance with {gpu_model}; add a row to a price table of your "
                f"own, whose gpu is {plain(gpu_model)}, or an own price to the cost file",
            )
        if unknown:
            match = replace(match, assumption=f"{unknown}, so as {match.assumption}")
        return self._listed(listed, match, node, gpus, at)

    def _listed(
        self, listed: PriceList, match: Match, node: Node, gpus: int, at: float | None
    ) -> NodePrice | Refusal:
        row, capacity, day = match.row, capacity_of(node), day_of(at)
        fitting = (
            discount
            for discount in self.terms.discounts
            if discount.holds_on(day)
            and discount.where.fits(
                node,
                provider=listed.provider,
                region=region_of(node) or row.region,
                instance=node.instance_type or row.instance_type,
                gpus=(row.gpu,),
            )
        )
        spot_listed = row.spot_usd_hour is not None
        chosen = applying(fitting, capacity=capacity, spot_listed=spot_listed)
        if capacity == "spot" and not spot_listed and not any(c.kind == "spot" for c in chosen):
            return Refusal(
                _subject(node),
                f"no price: {listed.titled(row.region)} has no spot price of {row.instance_type}; "
                "give a discount of kind spot in the cost file",
            )
        steps = tuple(Step(each.name, each.kind, each.paid, each.covers) for each in chosen)
        return self._priced(listed, match, gpus, steps, capacity)

    def _price(
        self,
        listed: PriceList,
        match: Match,
        gpus: int,
        discounts: tuple[Step, ...],
        capacity: Capacity,
    ) -> NodePrice:
        """Of a row under these discounts."""
        row = match.row
        price = from_row(
            row, gpus, (*discounts, *self._closing()), self.currency, self._rates, capacity=capacity
        )
        how = f"{'spot ' if capacity == 'spot' else ''}{row.instance_type}"
        how += f" (its GPU is {row.part:f} of {row.gpu})" if row.part < 1 else ""
        how = f"{how} in {listed.titled(row.region)}"
        if match.assumption:
            how = f"assumed: {match.assumption}, {how}"
        return replace(
            price,
            assumed=bool(match.assumption),
            how="; ".join((how, *(str(step) for step in price.steps))),
            source=listed.title,
            provider=listed.provider,
        )

    def _closing(self) -> tuple[Step, ...]:
        """What comes after the discounts: tax, then the currency."""
        steps: list[Step] = []
        if self.terms.tax:
            steps.append(Step(self.terms.tax.name, "tax", 1 + self.terms.tax.rate))
        return (*steps, *self._exchange("USD"))

    def _exchange(self, currency: str) -> tuple[Step, ...]:
        """From that currency to the one that is shown."""
        if currency == self.currency:
            return ()
        rates = [self.terms.rate(code) for code in (currency, self.currency)]
        told = " and ".join(
            " ".join(f"{each.per_usd} {each.currency}/USD {each.source} {each.dated}".split())
            for each in rates
            if each
        )
        return (Step(told, "exchange", self.terms.conversion(currency)),)

    def _own(self, own: OwnPrice, node: Node, gpus: int) -> NodePrice | Refusal:
        if gpus < 1:
            return Refusal(_subject(node), f"no price: {own.name} fits, but its GPUs are not known")
        currency = own.currency or self.currency
        node_hour = own.node_hour
        base = own.per_gpu_hour if node_hour is None else node_hour / gpus
        steps = self._exchange(currency)
        factor = steps[0].factor if steps else Decimal(1)
        each = HourlyPrice((base or Decimal(0)) * factor, self.currency)
        return NodePrice(
            node.instance_type or own.name,
            each * gpus,
            each,
            each,
            assumed=False,
            how="; ".join((f"own price {own.name}", *(str(step) for step in steps))),
            provider="own",
            region=region_of(node) or "",
            capacity="own",
            base_per_gpu_hour=Money(base or Decimal(0), currency),
            steps=steps,
        )


def _is_of(row: PriceRow, found: Product, model: str) -> bool:
    """Whether a row has that product, by a price list's name of it or by NVIDIA's."""
    return Product(row.gpu, row.memory_mib) == found or same_name(row.gpu, model)


def _subject(node: Node) -> str:
    return f"node {node.cluster}/{node.name}" if node.cluster else f"node {node.name}"
