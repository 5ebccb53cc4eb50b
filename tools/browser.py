"""Chromium and Grafana's own libraries from npm, which draw boards: found, or fetched once.

The page is built into the cache, named by all that goes into it; nothing is left in the checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.commands import run
from tools.programs import CACHE, PartMissing

SOURCE = Path(__file__).parent / "grafana"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS_A_BOARD = 45


def browser() -> str | None:
    """A Chromium on PATH."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def page() -> Path:
    """The folder with the built page, there or not."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return CACHE / "grafana" / digest.hexdigest()[:16]


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
            ["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
        )
    if not (page() / "boards.js").exists():
        _build(page())


def _build(folder: Path) -> None:
    if not (shutil.which("npm") and shutil.which("node")):
        raise PartMissing("Grafana's libraries: need node 20 or newer, with npm, on PATH")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        new = Path(name) / "page"
        new.mkdir()
        for file in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / file, new)
        fetch = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        run("Grafana's libraries: npm ci (about a minute, once)", fetch, new)
        run("Grafana's libraries: bundling", ["node", str(SOURCE / "build.mjs"), str(SOURCE)], new)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)


def draw(
    boards: Mapping[str, Any],
    prometheus_url: str,
    pictures: Path,
    *,
    since: Mapping[str, str],
    chosen: Mapping[str, str],
) -> dict[str, Any]:
    """Writes NAME.png for each board; what became of each of its panels, by the board's name.

    since: where a board's range begins, "now-6h" if it is not told.
    """
    job = {
        "prometheus": prometheus_url,
        "browser": browser(),
        "since": dict(since),
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
