"""Whether anything grows: scrapes over one connection as fast as they go, and what they leave.

100,000 scrapes are what Prometheus does in 17 days at its usual 15 s.
"""

from __future__ import annotations

import http.client
import tempfile
from pathlib import Path

from bench.contender import OURS, Contender, running
from bench.table import Row, line_through, show, verdict

SAMPLES = 40
SLOPE_GOAL_KIB = 16.0  # for 10,000 scrapes


def main(scrapes: int) -> bool:
    with (
        tempfile.TemporaryDirectory(prefix="agentaflow-bench-") as folder,
        running("soak", OURS, Path(folder)) as exporter,
    ):
        rows = _soak(exporter, scrapes)
    show(f"{scrapes:,} scrapes of 8 GPUs over one connection", rows[:: SAMPLES // 8])
    earlier, later = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    points = [(float(row["scrapes"]), float(row["rss_kib"])) for row in later]
    slope = line_through(points)[1] * 10_000
    met = verdict(
        f"growth over the second half: {slope:+.1f} KiB for 10,000 scrapes",
        slope <= SLOPE_GOAL_KIB,
        f"at most {SLOPE_GOAL_KIB:.0f} KiB",
    )
    for column in ("threads", "descriptors"):
        before, after = (min(int(row[column]) for row in half) for half in (earlier, later))
        most = max(int(row[column]) for row in rows)
        figure = f"{column}: at least {before}, in the second half {after}; at most {most}"
        met &= verdict(figure, after <= before, "not more in the second half")
    return met


def _soak(exporter: Contender, scrapes: int) -> list[Row]:
    connection = exporter.kept_alive()
    rows: list[Row] = []
    for sample in range(1, SAMPLES + 1):
        for _ in range(scrapes // SAMPLES):
            _scrape(connection)
        rows.append(
            {
                "scrapes": sample * scrapes // SAMPLES,
                "rss_kib": exporter.rss_kib(),
                "threads": exporter.threads(),
                "descriptors": exporter.descriptors(),
            }
        )
    connection.close()
    return rows


def _scrape(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200
    assert body
