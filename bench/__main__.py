"""`make bench`: prints the figures, ours and a peer's from one run, with the goals beside them."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from bench import exporter, recommend


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("which", nargs="*", help="exporter, recommend; both if none")
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1000], help="for recommend")
    options = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "exporter": bench_exporter,
        "recommend": lambda: bench_recommend(options.nodes),
    }
    if unknown := set(options.which) - set(parts):
        parser.error(f"no such bench: {', '.join(sorted(unknown))} (there are {', '.join(parts)})")
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")
    for which in options.which or parts:
        parts[which]()
    return 0


def bench_exporter() -> None:
    rows = exporter.measure()
    show(f"{exporter.GPUS} GPUs on one stub driver, a driver read for each scrape", rows)
    ours, theirs = rows
    for what, goal in (("cpu_per_scrape_ms", 0.5), ("rss_mib", 0.9)):
        ratio = float(ours[what]) / float(theirs[what])
        print(f"{what}: {ratio:.2f} of {theirs['exporter']}'s (goal: at most {goal})")
    per_series = [float(row["back_to_back_ms"]) / float(row["series"]) for row in (ours, theirs)]
    print(
        "back to back, where the peer serves what it read before:"
        f" {float(ours['back_to_back_ms']) / float(theirs['back_to_back_ms']):.2f} of its,"
        f" {per_series[0] / per_series[1]:.2f} of its for each series"
    )
    print(f"series: {ours['series']} and {theirs['series']} (goal: at least as many)\n")


def bench_recommend(nodes: list[int]) -> None:
    rows = [recommend.measure(count) for count in nodes]
    show("agentaflow recommend, 24 h window, real Prometheus", rows)
    print("goals: at most 5 s at 1,000 nodes; the same number of queries at every size")


def show(title: str, rows: list[dict[str, float | str]]) -> None:
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values())
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
