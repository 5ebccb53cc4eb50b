"""The paths: /-/healthy, /-/ready, /metrics and /api/v1/recommendations."""

from __future__ import annotations

from collections.abc import Callable
from time import time

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from agentaflow_advisor.documents import advice_document
from agentaflow_advisor.render import duration, plain, to_json
from agentaflow_advisor.web.decisions import ROOT
from agentaflow_advisor.web.status import Status
from agentaflow_exporter.web import Request, Response, text_response

JSON = (("Content-Type", "application/json; charset=utf-8"),)
INDEX = """agentaflow, the advisor
/metrics
/api/v1/recommendations
/api/v1/decisions
/-/healthy
/-/ready"""


class Pages:
    """Answers requests from the newest status; called from several threads."""

    def __init__(
        self,
        status: Callable[[], Status],
        registry: CollectorRegistry,
        *,
        ready_max_age_seconds: float,
        clock: Callable[[], float] = time,
        decisions: Callable[[Request], Response] | None = None,
    ) -> None:
        self._status = status
        self._registry = registry
        self._ready_max_age_seconds = ready_max_age_seconds
        self._clock = clock
        self._decisions = decisions
        self._paths: dict[str, Callable[[Request], Response]] = {
            "/": lambda _: text_response(200, INDEX),
            "/-/healthy": lambda _: text_response(200, "healthy"),
            "/-/ready": self._ready,
            "/metrics": self._metrics,
            "/api/v1/recommendations": self._recommendations,
        }

    def __call__(self, request: Request) -> Response:
        if self._decisions is not None and f"{request.path}/".startswith(f"{ROOT}/"):
            return self._decisions(request)
        if request.method == "POST":
            return text_response(405, "only GET and HEAD are answered here", ("Allow", "GET, HEAD"))
        page = self._paths.get(request.path)
        return page(request) if page else text_response(404, "no such page; / lists them")

    def _ready(self, _: Request) -> Response:
        status = self._status()
        age = status.age_seconds(self._clock())
        if age is None:
            return text_response(503, status.error or "the first look has not ended yet")
        if age > self._ready_max_age_seconds:
            return text_response(503, f"the last look is {duration(age)} old: {status.error}")
        return text_response(200, "ready")

    def _metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(200, (("Content-Type", content_type),), encode(self._registry))

    def _recommendations(self, request: Request) -> Response:
        """`?all=true` lists the snoozed and the dismissed ones, too."""
        everything = request.query.get("all", ["false"])[-1] in ("", "1", "true")
        status = self._status()
        if status.advice is None:
            body = to_json({"error": status.error or "the first look has not ended yet"})
            return Response(503, JSON, body.encode())
        document = {
            "observed_at": status.observed_at,
            "stale": status.stale,
            "error": status.error,
            **plain(advice_document(status.advice, status.price_warning, everything=everything)),
        }
        return Response(200, JSON, to_json(document).encode())
