"""A proxy on loopback in front of a real Prometheus or Thanos that falsifies chosen answers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.support.loopback import Answer, serve
from tools.prometheus import OPENER

Falsify = Callable[[str, dict[str, Any]], None]
"""From a query's text and its answer, which it changes."""


@dataclass(slots=True)
class PrometheusProxy:
    """Passes everything on; `falsify` may change the answer to a query."""

    upstream: str
    falsify: Falsify = field(default=lambda _query, _content: None)
    url: str = ""

    def handle(self, method: str, path: str, body: bytes) -> Answer:
        request = urllib.request.Request(self.upstream + path, data=body or None, method=method)
        try:
            with OPENER.open(request, timeout=60) as reply:
                status, kind, answer = reply.status, reply.headers["Content-Type"], reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("Content-Type", ""), error.read()
        query = parse_qs(body.decode()).get("query", [""])[0]
        content = json.loads(answer)
        if query:
            self.falsify(query, content)
        return status, kind, json.dumps(content).encode()


@contextmanager
def prometheus_proxy(upstream: str) -> Iterator[PrometheusProxy]:
    proxy = PrometheusProxy(upstream)
    with serve(proxy.handle) as proxy.url:
        yield proxy


def without(cluster: str, warning: str, *metrics: str) -> Falsify:
    """Of answers to queries for one of the metrics: the cluster's series gone, with a warning."""

    def falsify(query: str, content: dict[str, Any]) -> None:
        if any(metric in query for metric in metrics):
            kept = [s for s in content["data"]["result"] if s["metric"].get("cluster") != cluster]
            content["data"]["result"] = kept
            content["warnings"] = [*content.get("warnings", ()), *([warning] if warning else ())]

    return falsify
