"""The exporter's pages: a request becomes a scrape or a short answer; sockets are web.py's."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from math import isfinite

from agentaflow_exporter import __version__, compat, exposition
from agentaflow_exporter.http1 import Request, Response, text_response
from agentaflow_exporter.metric import Family
from agentaflow_exporter.scrape import ScrapeBusy, Scraper
from agentaflow_exporter.settings import Settings

TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
TIMEOUT_OFFSET_SECONDS = 0.5  # for the way there and back, and for encoding
_SHORTEST_TIMEOUT_SECONDS = 0.1
_COMPRESS_FROM_BYTES = 1024
_GZIP = 31  # zlib's window bits for a gzip header; the gzip module costs memory for nothing more

_LANDING_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>AgentaFlow exporter</title></head>
<body>
<h1>AgentaFlow exporter</h1>
<p>Metrics of NVIDIA GPUs for Prometheus, version {version}.</p>
<ul>
<li><a href="{path}">Metrics</a></li>
<li><a href="/-/healthy">Healthy</a></li>
<li><a href="/-/ready">Ready</a></li>
</ul>
</body>
</html>
"""


class App:
    """The handler of one exporter."""

    def __init__(self, scraper: Scraper, settings: Settings, host: str = "") -> None:
        """`host` is what other exporters' names call this machine (default: its own name)."""
        self._scraper = scraper
        self._settings = settings
        self._translate: compat.Translate | None = None
        if settings.compat:
            self._translate = compat.translator(settings.compat, host, own=settings.own_metrics)
        self._needs = compat.NEEDS if settings.compat else frozenset()
        self._inline: Callable[[list[Family]], list[Family]] | None = None
        if settings.pod_labels == "inline":
            from agentaflow_exporter.attribution.inline import NEEDS, inlined

            self._inline, self._needs = inlined, self._needs | NEEDS
        page = _LANDING_PAGE.format(version=__version__, path=_html(settings.telemetry_path))
        self._landing = Response(
            200, (("Content-Type", "text/html; charset=utf-8"),), page.encode()
        )

    def __call__(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return text_response(405, "use GET", ("Allow", "GET, HEAD"))
        if request.path == self._settings.telemetry_path:
            return self._metrics(request)
        match request.path:
            case "/":
                return self._landing
            case "/-/healthy":
                return text_response(200, "AgentaFlow exporter is healthy.")
            case "/-/ready":
                return text_response(200, "AgentaFlow exporter is ready.")
        return text_response(404, f"not found: metrics are at {self._settings.telemetry_path}")

    def _metrics(self, request: Request) -> Response:
        chosen = request.query.get("collect[]")
        if chosen and (refused := self._refused(chosen)):
            return text_response(400, refused)
        try:
            families = self._scraper.scrape(
                scrape_timeout(request, self._settings.scrape_timeout_seconds),
                self._only(chosen) if chosen else None,
            )
        except ScrapeBusy as busy:
            return text_response(503, str(busy), ("Retry-After", "1"))
        if self._translate is not None:
            families = self._translate(families)
        if self._inline is not None:
            families = self._inline(families)
        openmetrics = exposition.wants_openmetrics(request.headers.get("accept", ""))
        media_type = exposition.OPENMETRICS if openmetrics else exposition.TEXT
        return compressed(request, media_type, exposition.encode(families, openmetrics))

    def _only(self, chosen: Sequence[str]) -> frozenset[str]:
        """The labels of a series must not depend on what is chosen."""
        return self._needs.union(chosen)

    def _refused(self, chosen: Sequence[str]) -> str:
        for name in chosen:
            if name not in self._settings.collectors:
                on = ", ".join(sorted(self._settings.collectors))
                return f"collect[]={ascii(name)[:80]} is not a collector that is on: use {on}"
        return ""


def scrape_timeout(request: Request, longest: float) -> float:
    """Seconds this scrape may take: what Prometheus grants, less the way, and never over ours."""
    try:
        granted = float(request.headers.get(TIMEOUT_HEADER, ""))
    except ValueError:
        return longest
    if not isfinite(granted) or granted <= 0:
        return longest
    return min(longest, max(_SHORTEST_TIMEOUT_SECONDS, granted - TIMEOUT_OFFSET_SECONDS))


def compressed(request: Request, media_type: str, body: bytes) -> Response:
    """Level 1 halves the cost of a scrape against the usual 6 or 9 and saves as much in transit."""
    headers = (("Content-Type", media_type), ("Vary", "Accept, Accept-Encoding"))
    if len(body) < _COMPRESS_FROM_BYTES or not exposition.accepts_gzip(
        request.headers.get("accept-encoding", "")
    ):
        return Response(200, headers, body)
    gzip = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    packed = gzip.compress(body) + gzip.flush()
    return Response(200, (*headers, ("Content-Encoding", "gzip")), packed)


def _html(text: str) -> str:
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(plain, entity)
    return text
