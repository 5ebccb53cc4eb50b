"""The encoder against prometheus_client's parsers, sample by sample."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric as ParsedMetric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agentaflow_exporter import metrics
from agentaflow_exporter.exposition import accepts_gzip, encode, wants_openmetrics
from agentaflow_exporter.metric import Family, Metric, declare

Parser = Callable[[str], Iterable[ParsedMetric]]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

VALUES = st.one_of(st.integers(0, 2**64), st.floats(0, 1e18, allow_nan=False))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def families(draw: st.DrawFn) -> list[Family]:
    chosen = draw(st.lists(st.sampled_from(metrics.ALL), unique=True, max_size=6))
    return [Family(metric, draw(_samples(metric))) for metric in chosen]


def _samples(metric: Metric) -> st.SearchStrategy[dict[tuple[str, ...], float]]:
    labels = st.tuples(*(TEXTS for _ in metric.labels))
    return st.dictionaries(labels, VALUES, min_size=1, max_size=4)


def parsed(parse: Parser, body: bytes) -> Samples:
    """Fails where two samples have the same labels. An empty label is the same as none."""
    found: Samples = {}
    for family in parse(body.decode()):
        for sample in family.samples:
            key = sample.name, tuple(sorted((k, v) for k, v in sample.labels.items() if v))
            assert key not in found
            found[key] = float(sample.value)
    return found


def expected(given_families: list[Family]) -> Samples:
    return {
        (
            metric.name,
            tuple(sorted((k, v) for k, v in zip(metric.labels, key, strict=True) if v)),
        ): (float(value))
        for metric, samples in given_families
        for key, value in samples.items()
    }


@settings(deadline=None)
@given(families())
def test_text_means_what_was_meant(found: list[Family]) -> None:
    """Every sample comes back from the text format with its labels and its exact value."""
    assert parsed(parse_text, encode(found, openmetrics=False)) == expected(found)


@settings(deadline=None)
@given(families())
def test_openmetrics_means_what_was_meant(found: list[Family]) -> None:
    """So it does from OpenMetrics, whose parser also refuses what the standard forbids."""
    assert parsed(parse_openmetrics, encode(found, openmetrics=True)) == expected(found)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_types_units_and_helps(openmetrics: bool) -> None:
    """Each family carries its declaration."""
    found = [Family(metric, {("x",) * len(metric.labels): 1}) for metric in metrics.ALL]
    body = encode(found, openmetrics).decode()
    parse: Parser = parse_openmetrics if openmetrics else parse_text
    families_seen = {family.name: family for family in parse(body)}
    for metric in metrics.ALL:
        family = families_seen[metric.family]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert family.unit == (metric.unit if openmetrics else "")


def test_openmetrics_ends_with_eof() -> None:
    """A body that was cut off is told from a whole one; the text format has no such mark."""
    assert encode([], openmetrics=True) == b"# EOF\n"
    assert encode([], openmetrics=False) == b""


def test_surrogates() -> None:
    """Text that is not Unicode costs a character, not the scrape."""
    metric = declare("a_metric", "Help.", "name")
    assert encode([Family(metric, {("\ud800",): 1})], openmetrics=False).endswith(b'name="?"} 1\n')


PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def test_series_that_come_and_go_do_not_pile_up() -> None:
    """Labels that are new in every scrape, such as those of processes, cost no memory for good."""

    def scrapes(first: int, count: int) -> int:
        for number in range(first, first + count):
            samples: dict[tuple[str, ...], int] = {
                (str(number * 100 + row), "u"): row for row in range(100)
            }
            encode([Family(metrics.GPU_UP, samples)], openmetrics=False)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = scrapes(0, 100)
        assert scrapes(100, 600) - before < 600_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        ("", False),
        ("*/*", False),
        ("text/html", False),
        ("application/openmetrics-text", True),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", True),
        ("application/openmetrics-text;version=2.0.0", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.2", False),
        ("application/openmetrics-text;q=nonsense", False),
        (";;,,=;q", False),
    ],
)
def test_negotiates(accept: str, openmetrics: bool) -> None:
    """OpenMetrics for those who prefer it, text for all others."""
    assert wants_openmetrics(accept) is openmetrics


@given(st.text(max_size=80))
def test_any_header_is_an_answer(header: str) -> None:
    """No Accept or Accept-Encoding header is an error."""
    assert wants_openmetrics(header) in (True, False)
    assert accepts_gzip(header) in (True, False)


@pytest.mark.parametrize(
    ("header", "gzip"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("br", False),
        ("", False),
    ],
)
def test_compression_is_asked_for(header: str, gzip: bool) -> None:
    """A body is compressed only where the header says gzip."""
    assert accepts_gzip(header) is gzip
