"""The exporter's pages."""

from __future__ import annotations

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter.app import App, scrape_timeout
from agentaflow_exporter.http1 import Request, Response
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from tests.support.nvml_stub import NvmlStub
from tools.processes import eventually


def get(path: str, query: dict[str, list[str]] | None = None, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", path, query or {}, named)


def header(response: Response, name: str) -> str | None:
    return dict(response.headers).get(name)


@pytest.fixture
def app(driver: NvmlDriver) -> App:
    settings = Settings(collectors=frozenset({"power", "clocks"}))
    return App(Scraper(driver, settings), settings)


def test_metrics_as_text(app: App) -> None:
    """Metrics are plain text, version 0.0.4, for those who do not say."""
    response = app(get("/metrics"))
    assert response.status == 200
    assert header(response, "Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert b"\nagentaflow_gpu_power_watts{" in response.body


def test_metrics_as_openmetrics(app: App) -> None:
    """And OpenMetrics for those who prefer it."""
    response = app(get("/metrics", accept="application/openmetrics-text;version=1.0.0"))
    assert header(response, "Content-Type") == (
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    )
    assert response.body.endswith(b"# EOF\n")


def test_compressed(app: App) -> None:
    """A client that takes gzip gets the same in a fraction of the bytes."""
    response = app(get("/metrics", accept_encoding="gzip"))
    assert header(response, "Content-Encoding") == "gzip"
    plain = gzip.decompress(response.body)
    assert b"agentaflow_gpu_devices 8\n" in plain
    assert len(response.body) * 5 < len(plain)


def test_selected_collectors(app: App) -> None:
    """collect[] selects collectors for one scrape, as in node_exporter."""
    body = app(get("/metrics", {"collect[]": ["power"]})).body
    assert b"agentaflow_gpu_power_watts{" in body
    assert b"agentaflow_gpu_clock_hertz{" not in body


@pytest.mark.parametrize("name", ["ecc", "nothing", "", "<script>", "x" * 10_000])
def test_selecting_what_is_not_on(app: App, name: str) -> None:
    """A collector that is unknown or off is refused, with those that are on."""
    response = app(get("/metrics", {"collect[]": ["power", name]}))
    assert response.status == 400
    assert b"use clocks, power" in response.body
    assert len(response.body) < 300


def test_other_pages(app: App) -> None:
    """The landing page leads to the metrics, the two probes answer, and all else is not found."""
    landing = app(get("/"))
    assert (landing.status, header(landing, "Content-Type")) == (200, "text/html; charset=utf-8")
    assert b'<a href="/metrics">' in landing.body
    assert app(get("/-/healthy")).status == app(get("/-/ready")).status == 200
    assert app(get("/metrics/")).status == app(get("/etc/passwd")).status == 404


def test_landing_page_escapes(driver: NvmlDriver) -> None:
    """A path is text in the page, whatever it contains."""
    settings = Settings(telemetry_path='/"><script>')
    page = App(Scraper(driver, settings), settings)(get("/")).body
    assert b"<script>" not in page


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_methods(app: App, method: str) -> None:
    """There is nothing to write."""
    response = app(Request(method, "/metrics", {}, {}))
    assert (response.status, header(response, "Allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("granted", "seconds"),
    [
        (None, 5),
        ("10", 5),
        ("3", 2.5),
        ("0.55", 0.1),
        ("0", 5),
        ("-1", 5),
        ("nan", 5),
        ("inf", 5),
        ("soon", 5),
    ],
)
def test_deadline(granted: str | None, seconds: float) -> None:
    """Prometheus' timeout less the way there and back, and never more than the setting."""
    headers = {} if granted is None else {"x-prometheus-scrape-timeout-seconds": granted}
    assert scrape_timeout(Request("GET", "/metrics", {}, headers), 5) == pytest.approx(seconds)


@given(st.text(max_size=20))
def test_any_deadline_is_sane(text: str) -> None:
    """No header makes a scrape wait longer than it may, or not at all."""
    request = Request("GET", "/metrics", {}, {"x-prometheus-scrape-timeout-seconds": text})
    assert 0.1 <= scrape_timeout(request, 5) <= 5


def test_busy(app: App, stub: NvmlStub) -> None:
    """A scrape that finds no time because of another is answered 503, to be tried again."""
    stub.script("0 nvmlDeviceGetPowerUsage delay 60")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(app, get("/metrics"))
        eventually(lambda: any(t.name.startswith("nvml-") for t in threading.enumerate()))
        eventually(lambda: "0 nvmlDeviceGetPowerUsage -1" in stub.calls())
        answer = app(get("/metrics", x_prometheus_scrape_timeout_seconds="0.6"))
        assert (answer.status, header(answer, "Retry-After")) == (503, "1")
        stub.script()
        assert slow.result().status == 200
