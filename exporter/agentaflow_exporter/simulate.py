"""`agentaflow-exporter simulate`: a whole made-up fleet behind one port, or its past in a file.

Each node is a path with the metrics that its exporter would have, and `/sd` tells Prometheus
(http_sd) of all of them with the labels that relabelling gives real nodes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from html import escape
from pathlib import Path

from agentaflow_exporter import stopping
from agentaflow_exporter.app import App
from agentaflow_exporter.crew import InlineCrew
from agentaflow_exporter.durations import parse_duration
from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.http1 import Request, Response, text_response
from agentaflow_exporter.log import Log
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from agentaflow_exporter.simulated import CLUSTER, SimulatedFleet
from agentaflow_exporter.stories import landing_rows
from agentaflow_exporter.web import Limits, Server

_NODES_REMEMBERED = 64
_MOST_NODES = 10_000
_MOST_GPUS_PER_NODE = 64
_HTML = (("Content-Type", "text/html; charset=utf-8"),)
_JSON = (("Content-Type", "application/json"),)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>AgentaFlow simulated fleet</title></head>
<body>
<h1>A simulated fleet</h1>
<p>{nodes} nodes with {gpus} GPUs each. Targets for Prometheus' http_sd: <a href="/sd">/sd</a>.</p>
<h2>Stories</h2>
<table>
{stories}
</table>
<h2>Nodes</h2>
<ul>
{links}
</ul>
</body>
</html>
"""


class FleetApp:
    """The handler of a simulated fleet."""

    def __init__(self, fleet: SimulatedFleet, settings: Settings | None = None) -> None:
        self._fleet = fleet
        self._nodes = frozenset(fleet.nodes)
        self._settings = settings or Settings()
        self._node_app = lru_cache(maxsize=_NODES_REMEMBERED)(self._make_node_app)
        self._landing = lru_cache(maxsize=1)(self._make_landing)

    def __call__(self, request: Request) -> Response:
        match request.path.split("/"):
            case ["", "node", node, "metrics"] if node in self._nodes:
                return self._node_app(node)(replace(request, path=self._settings.telemetry_path))
            case ["", "sd"]:
                return self._targets(request)
            case ["", ""]:
                return self._landing()
            case ["", "-", ("healthy" | "ready") as state]:
                return text_response(200, f"The simulated fleet is {state}.")
        return text_response(404, "not found: there are /, /sd and /node/node-0/metrics")

    def _make_node_app(self, node: str) -> App:
        """What was remembered of a node is made again without a difference, but for counters that
        its exporter kept: they begin anew.
        """
        driver = self._fleet.driver(node)
        scraper = Scraper(driver, self._settings, sources=driver.sources, crew=InlineCrew())
        return App(scraper, self._settings, host=node)

    def _targets(self, request: Request) -> Response:
        """Prometheus reaches the nodes as it reached this page."""
        host = request.headers.get("host", "localhost")
        groups = [
            {
                "targets": [host],
                "labels": {
                    "__metrics_path__": f"/node/{node}/metrics",
                    "instance": node,
                    "node": node,
                    "cluster": CLUSTER,
                },
            }
            for node in self._fleet.nodes
        ]
        return Response(200, _JSON, json.dumps(groups).encode())

    def _make_landing(self) -> Response:
        rows = landing_rows(self._fleet.stories())
        cells = (f"<td>{'</td><td>'.join(map(escape, row))}</td>" for row in rows)
        links = (
            f'<li><a href="/node/{node}/metrics">{node}</a></li>' for node in self._fleet.nodes
        )
        page = _PAGE.format(
            nodes=len(self._fleet.nodes),
            gpus=self._fleet.gpus_per_node,
            stories="\n".join(f"<tr>{cell}</tr>" for cell in cells),
            links="\n".join(links),
        )
        return Response(200, _HTML, page.encode())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=_number(_MOST_NODES), default=8, metavar="N")
    parser.add_argument(
        "--gpus-per-node", type=_number(_MOST_GPUS_PER_NODE), default=8, metavar="N"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another fleet (default 0)"
    )
    parser.add_argument(
        "--web.listen-address",
        dest="listen_addresses",
        action="append",
        metavar="HOST:PORT",
        help="repeatable (default 127.0.0.1:9837)",
    )
    parser.add_argument("--web.config.file", dest="web_config_file", type=Path, metavar="FILE")
    group = parser.add_argument_group("past", "write what would have been scraped, and end")
    group.add_argument("--backfill", type=_duration, metavar="DURATION", help="such as 7d")
    group.add_argument("--output", type=Path, metavar="FILE", help="OpenMetrics, for promtool")
    group.add_argument(
        "--step", type=_duration, default=60.0, metavar="DURATION", help="(default 60s)"
    )
    group.add_argument("--end", type=float, metavar="UNIX", help="Unix time (default now)")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Raises UserError."""
    if arguments.backfill is None and arguments.output is None:
        return _serve(arguments, settings)
    if arguments.backfill is None or arguments.output is None:
        raise SettingsError("--backfill and --output belong together; give both")
    from agentaflow_exporter import backfill  # imports multiprocessing, which serving does not need

    plan = backfill.Plan.make(
        arguments.nodes,
        arguments.gpus_per_node,
        arguments.seed,
        end=time.time() if arguments.end is None else arguments.end,
        seconds=arguments.backfill,
        step=arguments.step,
    )
    plan = replace(plan, compat=settings.compat, own_metrics=settings.own_metrics)
    backfill.write(plan, arguments.output)
    return 0


def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    stopping.hold_signals()
    log = Log()
    server = Server(
        arguments.listen_addresses or ["127.0.0.1:9837"],
        FleetApp(
            SimulatedFleet(arguments.nodes, arguments.gpus_per_node, arguments.seed), settings
        ),
        config=arguments.web_config_file,
        limits=Limits(requests=max(Limits().requests, arguments.nodes)),
        log=log.warning,
    )
    server.start()
    for host, port in server.addresses:
        log.info("listening", address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    stopping.wait()
    server.stop()
    return 0


def _number(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {most}")
        return int(text)

    return parse


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
