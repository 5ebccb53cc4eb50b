"""Where the CPU of a scrape goes: scrape and exposition of 8 stub GPUs in this process."""

from __future__ import annotations

import cProfile
import pstats
import subprocess
import sys
import time

from bench.table import Row, show
from tests.support.nvml_stub import library_folder

SCRAPES = 300
ROWS = 12


def main() -> bool:
    """In a process of its own, where the stub has no script, so that it costs what it does in
    the benches.
    """
    environment = {"LD_LIBRARY_PATH": str(library_folder()), "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-m", "bench.profiles"], env=environment, check=True)
    return True


def _profile() -> None:
    from agentaflow_exporter.crew import InlineCrew
    from agentaflow_exporter.exposition import encode
    from agentaflow_exporter.nvml import NvmlDriver
    from agentaflow_exporter.scrape import Scraper

    scraper = Scraper(NvmlDriver(), crew=InlineCrew())
    parts = {"scrape": 0.0, "exposition": 0.0}
    profile = cProfile.Profile()
    for number in range(2 * SCRAPES):
        if number == SCRAPES:
            profile.enable()
        started = time.thread_time()
        families = scraper.scrape()
        scraped = time.thread_time()
        encode(families, openmetrics=False)
        if 20 <= number < SCRAPES:
            parts["scrape"] += scraped - started
            parts["exposition"] += time.thread_time() - scraped
    profile.disable()
    for part, seconds in parts.items():
        print(f"{part}: {seconds / (SCRAPES - 20) * 1e3:.2f} ms of CPU, unprofiled")
    show("Where a scrape spends its time, by a function's own", _rows(profile))


def _rows(profile: cProfile.Profile) -> list[Row]:
    stats = pstats.Stats(profile).get_stats_profile()
    ordered = sorted(stats.func_profiles.items(), key=lambda item: -item[1].tottime)[:ROWS]
    return [
        {
            "function": f"{one.file_name.rpartition('/')[2]}:{one.line_number} {name}",
            "own_ms": round(one.tottime / SCRAPES * 1e3, 3),
            "calls": round(int(one.ncalls.partition("/")[0]) / SCRAPES, 1),
        }
        for name, one in ordered
    ]


if __name__ == "__main__":
    _profile()
