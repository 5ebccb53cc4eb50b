"""`make demo`: a simulated fleet with a week of history, a real Prometheus, and the advice on it.

Only the silicon is made up. With `--kubernetes`, a real control plane stands beside it, pods wait
behind a scheduling gate, and placements are approved and applied while you look.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tools.demo_kubernetes import follow, show
from tools.processes import Program, eventually, free_port
from tools.prometheus import PrometheusServer, create_blocks
from tools.terminal import BIN, WINDOW, agentaflow, say

INTERVAL = "10s"  # between two looks of the advisor
RULES = sorted((Path(__file__).parents[1] / "alerts" / "rules").glob("*.yaml"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--gpus-per-node", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--history", default="7d", help="how much of it is written first")
    parser.add_argument("--step", default="5m", help="between two samples of the history")
    parser.add_argument("--kubernetes", action="store_true")
    parser.add_argument("--once", action="store_true", help="end after the tables are printed")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentaflow-")))
            advisor = f"127.0.0.1:{free_port()}"
            prometheus, fleet_url = stack.enter_context(fleet(options, folder, advisor))
            where = [f"--prometheus-url={prometheus.url}", f"--journal={folder / 'journal.db'}"]
            cluster = None
            if options.kubernetes:
                acting, cluster = show(stack, prometheus, where)
                where += acting
            else:
                advise(prometheus.url)
            listen(stack, folder, where, advisor)
            if cluster is not None:
                follow(cluster, where[1])
            addresses(prometheus.url, fleet_url, f"http://{advisor}", time.monotonic() - started)
            boards(prometheus.url)
            say("Ctrl-C ends it.")
            if not options.once:
                signal.pause()
        except KeyboardInterrupt:
            say("stopped; nothing is left behind")
    return 0


@contextlib.contextmanager
def fleet(
    options: argparse.Namespace, folder: Path, advisor: str
) -> Iterator[tuple[PrometheusServer, str]]:
    """The simulated fleet being scraped by a Prometheus that already knows its past."""
    shape = [
        f"--nodes={options.nodes}",
        f"--gpus-per-node={options.gpus_per_node}",
        f"--seed={options.seed}",
    ]
    gpus = options.nodes * options.gpus_per_node
    say(f"writing {options.history} of history of {gpus} simulated GPUs")
    history = folder / "history.om"
    exporter("simulate", *shape, f"--backfill={options.history}", f"--step={options.step}",
             f"--output={history}")  # fmt: skip
    say("turning it into Prometheus' blocks (promtool tsdb create-blocks-from openmetrics)")
    create_blocks(history, folder / "prometheus" / "data")
    history.unlink()

    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [BIN / "agentaflow-exporter", "simulate", *shape]
    command.append(f"--web.listen-address={address}")
    simulator = Program(command, folder / "simulator.log")
    try:
        url = f"http://{address}"
        simulator.wait_until(lambda: answers(f"{url}/sd"), seconds=30)
        say("starting Prometheus")
        with PrometheusServer(
            folder / "prometheus",
            http_sd=f"{url}/sd",
            scrape_interval="15s",
            rule_files=RULES,
            advisor=advisor,
        ) as prometheus:
            up = f"count(up == 1) >= {options.nodes}"
            eventually(lambda: prometheus.query(up), 60, what="every node scraped once")
            yield prometheus, url
    finally:
        simulator.stop(gently_for=5)


def advise(prometheus_url: str) -> None:
    agentaflow("recommend", f"--prometheus-url={prometheus_url}", f"--window={WINDOW}")
    agentaflow("report", "cost", f"--prometheus-url={prometheus_url}", f"--window={WINDOW}")


def listen(stack: contextlib.ExitStack, folder: Path, where: list[str], address: str) -> None:
    """Start the advisor's loop."""
    serve = Program(
        [BIN / "agentaflow", "serve", *where, f"--listen-address={address}"],
        folder / "advisor.log",
        environment={
            **os.environ,
            "KUBECONFIG": os.devnull,
            "AGENTAFLOW_WINDOW_SECONDS": WINDOW,
            "AGENTAFLOW_INTERVAL_SECONDS": INTERVAL,
        },
    )
    stack.callback(serve.stop, gently_for=10)
    serve.wait_until(lambda: answers(f"http://{address}/-/ready"), seconds=60)


def addresses(prometheus_url: str, fleet_url: str, advisor_url: str, seconds: float) -> None:
    """Say where to look."""
    say(f"ready after {seconds:.0f} s. Look at")
    for what, url in (
        ("Prometheus", f"{prometheus_url}/graph"),
        ("its alerts (a hot node)", f"{prometheus_url}/alerts"),
        ("the fleet and its stories", f"{fleet_url}/"),
        ("the advice as JSON", f"{advisor_url}/api/v1/recommendations"),
        ("the advisor's own metrics", f"{advisor_url}/metrics"),
    ):
        say(f"  {what:28} {url}")
    say(f"or ask:  {BIN / 'agentaflow'} report efficiency --prometheus-url={prometheus_url}")


def boards(prometheus_url: str) -> None:
    """Send them to the Grafana of $GRAFANA_URL, or say how to look at them."""
    grafana = os.environ.get("GRAFANA_URL")
    if not grafana:
        say("Grafana: run with GRAFANA_URL (and GRAFANA_TOKEN) set and its boards are sent there;")
        say("  or import dashboards/generated/*.json; or docker compose -f docker/compose.yaml up.")
        return
    program = str(BIN / "agentaflow-dashboards")
    push = [program, "push", f"--grafana-url={grafana}", "--folder=agentaflow"]
    sent = subprocess.run(push, stdout=subprocess.DEVNULL)
    if sent.returncode == 0:
        say(f"boards: {grafana}/d/agentaflow-fleet  (choose {prometheus_url} as data source)")


def exporter(*arguments: str) -> None:
    subprocess.run([BIN / "agentaflow-exporter", *arguments], check=True)


def answers(url: str) -> bool:
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
