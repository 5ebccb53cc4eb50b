"""The advice before real parts: promtool reads its metrics, Chromium draws and prints its page."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest

from agentaflow_advisor.model import Money, Refusal, Where
from agentaflow_advisor.reports import Slice, page
from agentaflow_advisor.web.metrics import registry
from agentaflow_advisor.web.status import Status
from tests.support.advice import NOW, advice, recommendation
from tests.support.parts import need

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1100,1600",
]
BLANK_BYTES = 40_000
"""A picture of nothing but background is smaller."""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    need("Chromium", found is not None)
    assert found
    return found


def usd(amount: int) -> Money:
    return Money(Decimal(amount))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full page: thirty recommendations, hostile names, a trend, refusals."""
    where = Where("", HOSTILE, "0", "GPU-0", HOSTILE, HOSTILE)
    found = [
        recommendation(str(number), str(4000 - number), kind=f"kind-{number % 5}")
        for number in range(30)
    ]
    found.append(recommendation(HOSTILE, "5000", where=where, kind=HOSTILE, risk=HOSTILE))
    slices = [
        Slice(name, usd(6000 - 100 * index), usd(900), usd(300), usd(100))
        for index, name in enumerate([HOSTILE, *(f"team-{number}" for number in range(12))])
    ]
    total = Slice("total", usd(70_000), usd(11_000), usd(3900), usd(1300))
    trend = tuple((NOW - 3600 * hour, usd(60_000 + 90 * hour)) for hour in range(200, 0, -1))
    refusals = [Refusal(f"gpu {number}", f"{HOSTILE} {number}") for number in range(40)]
    path = tmp_path_factory.mktemp("page") / "gpus.html"
    path.write_text(page(advice(found, refusals), slices, total, trend), encoding="utf-8")
    return path


def ran(chromium: str, profile: Path, *arguments: str | Path) -> str:
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_browser_finds_no_script_in_hostile_names(
    chromium: str, drawn: Path, tmp_path: Path
) -> None:
    """The tree that Chromium makes has no script and no image, and its title is its own."""
    tree = ran(chromium, tmp_path / "profile", "--dump-dom", drawn.as_uri())
    assert "<title>What the GPUs cost, and what of it is wasted</title>" in tree
    assert "<script" not in tree
    assert "<img" not in tree
    assert "&lt;script&gt;document.title" in tree


@pytest.mark.parametrize("dark", ["0", "1"])
def test_it_is_drawn_in_light_and_dark(
    chromium: str, drawn: Path, tmp_path: Path, dark: str
) -> None:
    """There is something on the picture in both."""
    picture = tmp_path / "page.png"
    scheme = f"--blink-settings=preferredColorScheme={dark}"
    ran(chromium, tmp_path / "profile", scheme, f"--screenshot={picture}", drawn.as_uri())
    assert picture.stat().st_size > BLANK_BYTES


def test_it_prints_on_two_pages(chromium: str, drawn: Path, tmp_path: Path) -> None:
    """However much there is to say, the page keeps to the dearest and the most frequent."""
    paper = tmp_path / "page.pdf"
    flags = ["--no-pdf-header-footer", f"--print-to-pdf={paper}"]
    ran(chromium, tmp_path / "profile", *flags, drawn.as_uri())
    pages = re.findall(rb"/Type\s*/Pages.*?/Count\s+(\d+)", paper.read_bytes(), re.DOTALL)
    assert pages
    assert max(map(int, pages)) <= 2


def test_promtool_has_nothing_to_say_about_the_metrics(promtool: Path) -> None:
    """Names, units, help and types, with names of strangers in the labels."""
    found = [recommendation(), recommendation("two", where=Where("c", HOSTILE, pod='a"b\\c\n'))]
    made = replace(advice(found, [Refusal("a", "b")]))
    text = generate_latest(registry(lambda: Status(advice=made, observed_at=NOW), most=200))
    ended = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
