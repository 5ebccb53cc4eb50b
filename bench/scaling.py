"""What a GPU costs: one exporter with 1 to 64 GPUs, and how straight the line through them is."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from bench.contender import OURS, Contender, running
from bench.table import Row, line_through, percentile, show, verdict

GPUS = (1, 8, 16, 32, 64)
RESIDUAL_GOAL = 0.1
FIGURES = {"cpu_ms": "ms of CPU for a scrape", "rss_mib": "MiB of memory", "p50_ms": "ms to answer"}


def main() -> bool:
    with tempfile.TemporaryDirectory(prefix="agentaflow-bench-") as folder:
        rows = [_measure(gpus, Path(folder)) for gpus in GPUS]
    show("One exporter on one stub driver, scrapes back to back", rows)
    met = [_fit(rows, column, unit) for column, unit in FIGURES.items()]
    return all(met)


def _measure(gpus: int, folder: Path, rounds: int = 5, scrapes: int = 40) -> Row:
    environment = {"NVML_STUB_GPUS": str(gpus)}
    with running(f"gpus-{gpus}", OURS, folder, environment) as exporter:
        for _ in range(20):
            exporter.scrape()
        cpu, latency = zip(*(_round(exporter, scrapes) for _ in range(rounds)), strict=True)
        answered = [seconds for one in latency for seconds in one]
        return {
            "gpus": gpus,
            "series": exporter.series(),
            "cpu_ms": round(statistics.median(cpu) * 1e3, 2),
            "p50_ms": round(percentile(answered, 0.5) * 1e3, 2),
            "p99_ms": round(percentile(answered, 0.99) * 1e3, 2),
            "rss_mib": round(exporter.rss_kib() / 1024, 1),
        }


def _round(exporter: Contender, scrapes: int) -> tuple[float, list[float]]:
    before = exporter.cpu_seconds()
    latency = [exporter.scrape() for _ in range(scrapes)]
    return (exporter.cpu_seconds() - before) / scrapes, latency


def _fit(rows: list[Row], column: str, unit: str) -> bool:
    """The line, and how far from it the furthest size lies, as a share of the largest figure."""
    points = [(float(row["gpus"]), float(row[column])) for row in rows]
    start, slope = line_through(points)
    off = max(abs(start + slope * x - y) for x, y in points) / max(y for _, y in points)
    figure = f"{unit}: {start:.2f} + {slope:.3f} for each GPU; off that line by {off:.1%}"
    return verdict(figure, off <= RESIDUAL_GOAL, f"at most {RESIDUAL_GOAL:.0%}")
