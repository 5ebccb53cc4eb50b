"""Cost per million tokens: what serving engines say they served, over what their GPUs cost."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

from agentaflow_advisor.analyze.allocation import Piece
from agentaflow_advisor.analyze.cost import EXACT, Basis, rate_of
from agentaflow_advisor.model import Money, Refusal

MILLION = Decimal(1_000_000)
ENGINES: Mapping[str, tuple[str, str]] = {
    "sglang": ("sglang:prompt_tokens_total", "sglang:generation_tokens_total"),
    "tgi": ("tgi_request_input_length_sum", "tgi_request_generated_tokens_sum"),
    "vllm": ("vllm:prompt_tokens_total", "vllm:generation_tokens_total"),
}
"""Serving engine → its counters of prompt and of generated tokens."""

TARGETS = "job, instance, endpoint, service, container, prometheus, tp_rank, pp_rank, moe_ep_rank"
"""Labels by which one server's counter may come twice: scraped by two jobs, told by each rank."""


@dataclass(frozen=True, slots=True)
class Served:
    """Tokens of one kind that one pod's engine served in the window."""

    cluster: str
    namespace: str
    pod: str
    engine: str
    kind: str  # prompt or generated
    tokens: float


@dataclass(frozen=True, slots=True)
class TokenCost:
    """A pod, or a namespace where pods' shares of GPUs are not told, and what its tokens cost."""

    cluster: str
    namespace: str
    pod: str  # empty: the whole namespace
    engines: tuple[str, ...]
    prompt_tokens: Decimal
    generated_tokens: Decimal
    cost: Money
    per_million: Money  # prompt and generated
    per_million_generated: Money | None


def promql(window: str) -> str:
    """All engines in one query: tokens by pod with the labels `engine` and `kind`."""
    parts = []
    for engine, counters in ENGINES.items():
        for kind, counter in zip(("prompt", "generated"), counters, strict=True):
            served = (
                "sum by (cluster, namespace, pod) "
                f'(max without ({TARGETS}) (increase({counter}{{pod!=""}}[{window}])))'
            )
            named = f'label_replace({served}, "engine", "{engine}", "", "")'
            parts.append(f'label_replace({named}, "kind", "{kind}", "", "")')
    return " or ".join(parts)


def cost_of_tokens(
    served: Iterable[Served], pieces: Iterable[Piece], basis: Basis, currency: str
) -> tuple[tuple[TokenCost, ...], tuple[Refusal, ...]]:
    """Rows by falling cost, and why others have none."""
    usable = [each for each in served if math.isfinite(each.tokens) and each.tokens > 0]
    if not usable:
        names = ", ".join(sorted(ENGINES))
        return (), (Refusal("tokens", f"no serving engine ({names}) told any in the window"),)
    with localcontext(prec=EXACT):
        book = _Book(pieces, basis, currency)
        groups: defaultdict[tuple[str, str, str], list[Served]] = defaultdict(list)
        for each in usable:
            groups[book.key(each)].append(each)
        found = [book.row(key, groups[key]) for key in sorted(groups)]
    rows = [one for one in found if isinstance(one, TokenCost)]
    rows.sort(key=lambda row: -row.cost.amount)
    return tuple(rows), tuple(one for one in found if isinstance(one, Refusal))


class _Book:
    """What each pod's GPUs cost, and each namespace's where no pod is told."""

    def __init__(self, pieces: Iterable[Piece], basis: Basis, currency: str) -> None:
        self._currency = currency
        self._costs: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        self._unpriced: set[tuple[str, str, str]] = set()
        self._clusters: set[str] = set()
        self._podless: set[tuple[str, str]] = set()
        for piece in pieces:
            place = (piece.gpu.cluster, piece.namespace)
            self._clusters.add(piece.gpu.cluster)
            if piece.namespace and not piece.pod:
                self._podless.add(place)
            for pod in {"", piece.pod}:
                if piece.price is None:
                    self._unpriced.add((*place, pod))
                else:
                    rate = rate_of(piece.price, basis)
                    self._costs[(*place, pod)] += rate.amount * piece.hours

    def key(self, served: Served) -> tuple[str, str, str]:
        """Where its cost is found: an engine without `cluster` is in the only one there is."""
        alone = len(self._clusters) == 1 and served.cluster not in self._clusters
        cluster = next(iter(self._clusters)) if alone else served.cluster
        whole = (cluster, served.namespace) in self._podless
        return (cluster, served.namespace, "" if whole else served.pod)

    def row(self, key: tuple[str, str, str], served: list[Served]) -> TokenCost | Refusal:
        cluster, namespace, pod = key
        subject = f"tokens of {namespace}/{pod}" if pod else f"tokens of {namespace}"
        if key in self._unpriced:
            return Refusal(subject, "some of its GPU hours have no price")
        if key not in self._costs:
            return Refusal(subject, "no GPU is known to have been held by it")
        prompt, generated = (
            sum((Decimal(str(each.tokens)) for each in served if each.kind == kind), Decimal(0))
            for kind in ("prompt", "generated")
        )
        cost = self._costs[key]
        return TokenCost(
            cluster,
            namespace,
            pod,
            tuple(sorted({each.engine for each in served})),
            prompt,
            generated,
            Money(cost, self._currency),
            self._per_million(cost, prompt + generated),
            self._per_million(cost, generated) if generated else None,
        )

    def _per_million(self, cost: Decimal, tokens: Decimal) -> Money:
        return Money((cost * MILLION / tokens).quantize(Decimal("1e-9")), self._currency)
