"""Answers PromQL on loopback from a table by signal, for tests of what is made of the answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

from agentaflow_advisor.observe.detect import CLOCKS, NOW_THERE, before
from agentaflow_advisor.observe.dialects import DIALECTS, grid_points, render

NOW = 1_800_000_000.0
WINDOW = 86_400.0
PERCENTILE = 0.95
POINTS = float(grid_points(WINDOW, NOW))

Series = tuple[Mapping[str, str], object]
Table = Mapping[str, Sequence[Series]]

SIGNAL_OF = {
    render(template, window_seconds=WINDOW, percentile=PERCENTILE): (dialect.name, signal)
    for dialect in DIALECTS
    for signal, template in dialect.items()
}
NOBODY_BEFORE, NO_CLOCKS, THERE = (
    render(text, window_seconds=WINDOW, percentile=PERCENTILE)
    for text in (before({}), CLOCKS, NOW_THERE)
)


def gpu(uuid: str, node: str = "node-0", index: str = "0", cluster: str = "a") -> dict[str, str]:
    """The labels that every series of a GPU has."""
    return {"cluster": cluster, "node": node, "instance": node, "gpu": index, "uuid": uuid}


def whole_gpu(labels: Mapping[str, str], **values: object) -> dict[str, list[Series]]:
    """Every signal of one GPU that is up and did nothing; `values` change or (None) drop some."""
    told: dict[str, object] = {
        "up": 1,
        "present": POINTS,
        "utilization_max": 0.0,
        "utilization_high": 0.0,
        "utilization_mean": 0.0,
        "utilization_samples": 5760,
        "utilization_age": 15,
        "utilization_present": POINTS,
        "memory_total": 80e9,
        "memory_used_max": 1e9,
        "power_mean": 70,
        "energy": 6_048_000,
        "temperature_max": 41,
        "processes": 1,
        **values,
    }
    table: dict[str, list[Series]] = {
        signal: [(labels, value)] for signal, value in told.items() if value is not None
    }
    table["info"] = [({**labels, "name": "NVIDIA H100 80GB HBM3"}, 1)]
    return table


def merged(*tables: Table) -> dict[str, list[Series]]:
    both: dict[str, list[Series]] = {}
    for table in tables:
        for signal, series in table.items():
            both.setdefault(signal, []).extend(series)
    return both


class PrometheusAnswers:
    """Serves the tables, by dialect; what it does not know is an empty vector."""

    def __init__(
        self,
        table: Table,
        warnings: Sequence[str] = (),
        others: Mapping[str, Table] | None = None,
        *,
        partial: Mapping[str, str] | None = None,
        stores: object = None,
    ) -> None:
        """`table` is our own exporter's.

        `warnings` are those of every answer, `partial` has one by signal; with `stores`, what
        /api/v1/stores says, it is a Thanos Query.
        """
        self.asked: list[str] = []
        tables = {"agentaflow": table, **(others or {})}
        answers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one segment for head and body: else Nagle waits 40 ms

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                promql = form["query"][0]
                answers.asked.append(promql)
                own = (partial or {}).get(SIGNAL_OF.get(promql, ("", ""))[1])
                self._answer(_data(promql, tables), [*warnings, *([own] if own else ())])

            def do_GET(self) -> None:
                if stores is None or self.path != "/api/v1/stores":
                    self.send_error(404)
                else:
                    self._answer(stores, [])

            def _answer(self, data: object, warned: Sequence[str]) -> None:
                content = {"status": "success", "data": data, "warnings": warned}
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._server.block_on_close = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


def _data(promql: str, tables: Mapping[str, Table]) -> dict[str, Any]:
    if promql == "time()":
        return {"resultType": "scalar", "result": [NOW, str(NOW)]}
    series: Sequence[Series]
    if promql in (NOBODY_BEFORE, NO_CLOCKS):
        series = ()
    elif promql == THERE:
        there = [dialect for dialect in DIALECTS if tables.get(dialect.name)]
        series = [({"__name__": dialect.probes[0]}, 1) for dialect in there]
    else:
        dialect, signal = SIGNAL_OF[promql]
        series = tables.get(dialect, {}).get(signal, ())
    result = [{"metric": labels, "value": [NOW, str(value)]} for labels, value in series]
    return {"resultType": "vector", "result": result}
