"""Chromium and Grafana's own libraries from npm, which draw boards: found, or fetched once.

The page is built into the cache, named by all that goes into it; nothing is left in the checkout.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.commands import run
from tools.programs import CACHE, PartMissing

SOURCE = Path(__file__).parent / "grafana"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FONTS = "fonts-liberation"  # what the page falls back to, as wide as Grafana's own
PINNED = ("package.json", "package-lock.json")
SECONDS_A_BOARD = 45


def browser() -> str | None:
    """A Chromium on PATH."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def libraries() -> Path:
    """The folder with what npm fetches, there or not; half a gigabyte, kept while pages change."""
    return CACHE / "grafana" / _digest(SOURCE / name for name in PINNED)


def page() -> Path:
    """The folder with the built page, there or not."""
    return libraries() / f"page-{_digest(sorted(SOURCE.iterdir()))}"


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def missing() -> Sequence[str]:
    """A line for each thing that is not there."""
    lines = [] if browser() else [f"browser: none of {', '.join(BROWSERS)} on PATH"]
    if not (page() / "boards.js").exists():
        lines.append(f"Grafana's libraries: no page in {page()}")
    return lines


def install() -> None:
    """Raises PartMissing where neither npm nor apt is there to fetch what is missing."""
    if not browser():
        if not (shutil.which("apt-get") and os.geteuid() == 0):
            raise PartMissing("browser: install chromium (Debian: apt install chromium)")
        run("browser: apt-get update", ["apt-get", "update", "-qq"], check=False)
        run(
            "browser: apt-get install chromium",
            ["apt-get", "install", "-y", "--no-install-recommends", "chromium", FONTS],
        )
    if not (page() / "boards.js").exists():
        _build()


def _build() -> None:
    if not (shutil.which("npm") and shutil.which("node")):
        raise PartMissing("Grafana's libraries: need node 20 or newer, with npm, on PATH")
    if not libraries().exists():
        with _made(libraries()) as new:
            for name in PINNED:
                shutil.copy(SOURCE / name, new)
            fetch = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            run("Grafana's libraries: npm ci (about a minute, once)", fetch, new)
    with _made(page()) as new:
        run("Grafana's libraries: bundling", ["node", str(SOURCE / "build.mjs"), str(SOURCE)], new)


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """A new folder beside it that takes its place when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        new = Path(name) / folder.name
        new.mkdir()
        yield new
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)


def draw(
    boards: Mapping[str, Any],
    prometheus_url: str,
    pictures: Path,
    *,
    live: Mapping[str, str],
    chosen: Mapping[str, str],
    past_scrape: int,
    live_scrape: int,
) -> dict[str, Any]:
    """Writes NAME.png for each board; what became of each of its panels, by the board's name.

    live: where the range of a board begins that is drawn of what is scraped now. past_scrape,
    live_scrape: seconds between two samples, before now and from now on.
    """
    job = {
        "prometheus": prometheus_url,
        "pastScrape": past_scrape,
        "liveScrape": live_scrape,
        "browser": browser(),
        "live": dict(live),
        "chosen": chosen,
        "folder": str(pictures.resolve()),
        "boards": boards,
    }
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(job, file)
        file.flush()
        ended = subprocess.run(
            ["node", SOURCE / "draw.mjs", file.name],
            cwd=page(),
            capture_output=True,
            text=True,
            timeout=SECONDS_A_BOARD * len(boards),
        )
    if ended.returncode:
        raise RuntimeError(f"draw.mjs: {ended.stderr[-2000:]}")
    return dict(json.loads(ended.stdout))
