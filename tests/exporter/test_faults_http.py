"""Hostile requests to the whole exporter: each is answered or cut off, and none is an error of
ours.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentaflow_exporter.app import App
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from tests.support.faults import FaultCases
from tests.support.nvml_stub import in_process_stub
from tests.support.web import Answer, ask, get, serving

pytestmark = pytest.mark.fault("E9")
MANY = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CHOSEN = Settings(collectors=frozenset({"power"}))
LOG: list[str] = []
HEADERS = st.sampled_from(
    ["Accept", "Accept-Encoding", "X-Prometheus-Scrape-Timeout-Seconds", "Host", "Connection",
     "Content-Length", "Transfer-Encoding", "Expect", "Range", "Authorization"]
)  # fmt: skip
VALUES = st.text(string.printable, max_size=60) | st.sampled_from(
    ["gzip;q=9", "gzip;q=-1", "gzip;q=nan", "gzip;;;,", "application/openmetrics-text;version=",
     "1e999", "-1", "nan", "0x10", "99999999999999999999", "chunked", "bytes=0-", "100-continue"]
)  # fmt: skip
TARGETS = st.text(string.printable, max_size=80) | st.sampled_from(
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/metrics/../../x", "//metrics", "/%00",
     "/metrics?collect[]=%ff", "/metrics?collect[]=../../power", "/metrics?" + "a&" * 2000,
     "/metrics?collect[]=" + "x" * 4000, "http://[::1", "*", "/\\..\\..\\windows"]
)  # fmt: skip


@pytest.fixture(scope="module")
def exporter() -> Iterator[tuple[str, int]]:
    in_process_stub().script()
    scraper = Scraper(NvmlDriver(), CHOSEN)
    with serving(App(scraper, CHOSEN), log=LOG) as address:
        yield address
    scraper.close()


def check(answer: Answer) -> None:
    assert answer.status < 500 or answer.status == 505
    assert b"Traceback" not in answer.body
    assert b".py" not in answer.body
    assert LOG == []


@MANY
@given(junk=st.binary(max_size=400))
def test_any_bytes(exporter: tuple[str, int], fault_cases: FaultCases, junk: bytes) -> None:
    """Whatever bytes come before the end of a head, there is an answer below 500 and no trace."""
    check(ask(exporter, junk + b" \r\n\r\n"))
    fault_cases.count()


@MANY
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "TRACE", "CONNECT", "get", "G\0T"]),
    target=TARGETS,
    version=st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.1 x", "HTTP/9.9"]),
    headers=st.lists(st.tuples(HEADERS, VALUES), max_size=5),
)
def test_any_request(
    exporter: tuple[str, int],
    fault_cases: FaultCases,
    method: str,
    target: str,
    version: str,
    headers: list[tuple[str, str]],
) -> None:
    """Paths that climb, headers that say nonsense, methods that write: below 500, and no trace."""
    lines = [f"{method} {target} {version}", "Host: x", *(f"{k}: {v}" for k, v in headers)]
    head = "\r\n".join(lines).encode(errors="replace") + b"\r\n\r\n"
    check(ask(exporter, head, method=method))
    fault_cases.count()


@pytest.mark.parametrize("size", [8_193, 100_000, 10_000_000])
@pytest.mark.parametrize("where", ["GET /{} HTTP/1.1\r\n", "GET / HTTP/1.1\r\nX: {}\r\n", "{}"])
def test_large_heads(exporter: tuple[str, int], size: int, where: str) -> None:
    """A head of any size, wherever it is large, is refused, and the next client is served."""
    with suppress(ConnectionError):  # refused while it was still being sent
        assert ask(exporter, where.format("a" * size).encode() + b"\r\n").status == 431
    assert get(exporter, "/metrics").status == 200
    assert LOG == []
