"""The page: it says what the advice says, needs nothing else, and no name is markup in it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.model import Money, Query, Refusal, Snapshot, Where
from agentaflow_advisor.reports import Slice, page
from tests.support.advice import NOW, advice, recommendation
from tests.support.cli import Cli
from tests.support.fake_prometheus import Card, FakePrometheus, fake_prometheus

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><script src=//evil>",
    "javascript:alert(1)",
    "a\x00b\x1b[31m\u202e",
    "]]><!--",
]
ALLOWED = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "p",
        "div",
        "section",
        "b",
        "span",
        "i",
        "svg",
        "text",
        "rect",
        "line",
        "polygon",
        "polyline",
        "circle",
        "table",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "code",
        "br",
    ]
)


class Seen(HTMLParser):
    """Every element, attribute and word of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def usd(amount: str | int) -> Money:
    return Money(Decimal(amount))


def part(name: str, used: int = 60, idle: int = 30) -> Slice:
    return Slice(name, usd(used), usd(idle), usd(10), usd(0))


def drawn(name: str = "ml") -> str:
    """A page on which that name stands wherever a stranger's words can."""
    where = Where(name, name, name, name, name, name)
    found = recommendation(kind=name, what=name, where=where, risk=name, id=name)
    found = replace(found, evidence=replace(found.evidence, promql=(name,)))
    snapshot = Snapshot(NOW, 604_800.0, 0.95, gpus=(), queries=(Query(name, name, 1, 0.1),))
    made = advice([found], [Refusal(name, name)], snapshot=snapshot)
    trend = ((NOW - 7200, usd(5)), (NOW - 3600, usd(7)))
    return page(made, [part(name)], part("total"), trend, warning=name)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(name: str) -> None:
    """No element, no attribute that runs, no address: only the words themselves."""
    seen = Seen(drawn(name))
    assert seen.tags <= ALLOWED
    assert not [each for each, _ in seen.attributes if each.startswith("on")]
    assert not {"src", "href", "style", "srcset"} & {each for each, _ in seen.attributes}
    shown = "".join(char if char.isprintable() else " " for char in name)
    assert shown in seen.text


@given(st.text())
def test_no_text_makes_an_element_or_an_attribute(name: str) -> None:
    """Whatever a label holds, the page has the elements that it has without it."""
    plain, seen = Seen(drawn()), Seen(drawn(name))
    assert seen.tags == plain.tags
    assert len(seen.attributes) == len(plain.attributes)


def test_it_loads_nothing_and_runs_nothing() -> None:
    """By its own policy, and because there is no address in it."""
    text = drawn()
    assert "default-src 'none'" in text
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "<script" not in text


def test_it_says_what_the_advice_says() -> None:
    """Sums, parts, the dearest first with how we know, and what was not judged."""
    found = [recommendation("a", "100"), recommendation("b", "30", kind="zombie")]
    made = advice(found, [Refusal("gpu 1", "too few samples"), Refusal("gpu 2", "too few samples")])
    text = Seen(page(made, [part("ml"), part("web", 1, 1)], part("total"))).text
    for words in (
        "130.00 USD", "100.00 USD", "40%", "idle 30.00 USD", "zombie", "GPU a did nothing",
        "10,080 samples over 7 d", "confidence 99%", "2 x too few samples",
        "max_over_time(x[7d])", "Ask first.",
    ):  # fmt: skip
        assert words in text
    assert "over time" not in text.replace("max_over_time", "")


def test_a_trend_takes_two_points() -> None:
    """One look is no trend; other currencies are none of this line."""
    now, before = (NOW, usd(5)), (NOW - 3600, usd(3))
    other = (NOW - 3600, Money(Decimal(3), "EUR"))
    for trend, there in (((before, now), True), ((now,), False), ((other, now), False)):
        text = page(advice([recommendation()]), [part("ml")], part("total"), trend)
        assert ("polyline" in Seen(text).tags) == there


def test_a_fleet_without_waste_or_price_has_a_page() -> None:
    """Nothing to recommend, and no amount to divide by."""
    nothing = Slice("total", usd(0), usd(0), usd(0), usd(0))
    assert "Nothing to recommend" in Seen(page(advice([]), [], nothing)).text


def test_the_order_of_namespaces_changes_nothing() -> None:
    """Shuffled slices make the same page."""
    slices = [part(name, used) for name, used in zip("abcd", (1, 9, 5, 5), strict=True)]
    first = page(advice([recommendation()]), slices, part("total"))
    random.Random(1).shuffle(slices)
    assert page(advice([recommendation()]), slices, part("total")) == first


# -- the command ------------------------------------------------------------------------------


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    with fake_prometheus(Card("node-0", 0, pod="research/notebook"), Card("node-0", 1)) as fake:
        yield fake


def test_the_command_writes_the_page(cli: Cli, prometheus: FakePrometheus, tmp_path: Path) -> None:
    """To a file, whole, beside nothing else; or to stdout."""
    folder = tmp_path / "pages"
    folder.mkdir()
    ran = cli("report", "html", "-o", str(folder / "gpus.html"), "--prometheus-url", prometheus.url)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert [each.name for each in folder.iterdir()] == ["gpus.html"]
    text = (folder / "gpus.html").read_text()
    assert "research/notebook holds it" in Seen(text).text
    out = cli("report", "html", "--prometheus-url", prometheus.url).out
    assert out.startswith("<!doctype html>")


def test_a_place_that_cannot_be_written_is_one_line(
    cli: Cli, prometheus: FakePrometheus, tmp_path: Path
) -> None:
    """Code 2; what, where, what to do."""
    path = tmp_path / "none" / "gpus.html"
    ran = cli("report", "html", "-o", str(path), "--prometheus-url", prometheus.url)
    assert ran.code == 2
    assert f"cannot write {path}: No such file" in ran.error
