"""`make bench`: prints the figures, ours and our peers' from one run, with the goals beside them.

`python -m bench soak --scrapes 100000` is the long soak; all the others are what `make bench` runs,
but for `truth`, `placement` and `chaos`, which have commands of their own, and `queueing`,
which takes minutes.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import (
    chaos,
    exporter,
    forecast,
    hanging,
    imports,
    placement,
    profiles,
    queueing,
    recommend,
    scaling,
    soak,
    truth,
    watch,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("which", nargs="*", help="; ".join(BENCHES))
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1000], help="for recommend")
    parser.add_argument(
        "--recorded", type=int, nargs="*", default=[1000, 10_000], help="nodes, for recommend"
    )
    parser.add_argument("--scrapes", type=int, default=20_000, help="for soak")
    parser.add_argument("--decisions", type=int, default=1000, help="for chaos")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="for chaos")
    parser.add_argument("--duty", type=Path, metavar="FOLDER", help="for truth")
    options = parser.parse_args()
    if unknown := set(options.which) - set(BENCHES):
        parser.error(
            f"no such bench: {', '.join(sorted(unknown))} (there are {', '.join(BENCHES)})"
        )
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")
    short = []
    for which in options.which or [name for name in BENCHES if name not in APART]:
        started = time.monotonic()
        if not BENCHES[which](options):
            short.append(which)
        print(f"[{which}: {time.monotonic() - started:.0f} s]\n", flush=True)
    if {"exporter", "scaling"} & set(short):
        profiles.main()
    print(f"falls short: {', '.join(short)}" if short else "every goal was met")
    return 1 if "chaos" in short else 0  # what it counts must not happen; others are figures


BENCHES: dict[str, Callable[[argparse.Namespace], bool]] = {
    "exporter": lambda _: exporter.main(),
    "scaling": lambda _: scaling.main(),
    "hanging": lambda _: hanging.main(),
    "soak": lambda options: soak.main(options.scrapes),
    "imports": lambda _: imports.main(),
    "recommend": lambda options: recommend.main(options.nodes, options.recorded),
    "watch": lambda _: watch.main(),
    "forecast": lambda _: forecast.main(),
    "queueing": lambda _: queueing.main(),
    "truth": lambda options: truth.main(options.duty),
    "placement": lambda _: placement.main(),
    "chaos": lambda options: chaos.main(options.decisions, options.seed),
    "profile": lambda _: profiles.main(),
}
APART = ("profile", "chaos", "truth", "placement", "queueing")

if __name__ == "__main__":
    sys.exit(main())
