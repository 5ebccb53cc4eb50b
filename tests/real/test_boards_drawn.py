"""Every board, drawn in a real browser by Grafana's own libraries over a real Prometheus.

State timelines and heat maps are not published by Grafana: simple stand-ins draw them, and their
queries and options are held to the same rules as all others (test_boards.py, tests/dashboards).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentaflow_dashboards import BOARDS
from tests.support.parts import need
from tests.support.watched import SCRAPE, watched_fleet
from tools import browser

MOST_BYTES = 300 * 1024
BAD_WORDS = ("No data", "An unexpected error", "not measured", "Panel plugin not found")
NAMES = [name.removesuffix(".json") for name in BOARDS]
LIVE = {"internals": "now-3m"}  # it has no past: drawn last, so that it has a little
CHOSEN = {"node": "node-3", "gpu": "1", "budget": "150000"}  # the hot one: its states change
HOURS, STEP = 26, 180  # of the past, and seconds between its samples


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where they go: kept where $AGENTAFLOW_PICTURES says, as `make boards` does."""
    kept = os.environ.get("AGENTAFLOW_PICTURES")
    return Path(kept) if kept else tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def drawn(
    tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path, pictures: Path
) -> Iterator[dict[str, Any]]:
    assert prometheus_binary
    need("a browser with Grafana's libraries", not browser.missing())
    order = [*(name for name in NAMES if name not in LIVE), *LIVE]
    boards = {name: BOARDS[f"{name}.json"]() for name in order}
    with watched_fleet(tmp_path_factory.mktemp("drawn"), HOURS, "24h", step=STEP) as watched:
        url = watched.prometheus.url
        yield browser.draw(
            boards, url, pictures, chosen=CHOSEN, live=LIVE, past_scrape=STEP, live_scrape=SCRAPE
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_board_is_drawn_with_its_data(drawn: dict[str, Any], name: str) -> None:
    """No panel shows an error or nothing, and the page has no error of its own."""
    board = drawn[name]
    assert board["errors"] == []
    assert [panel for panel in board["panels"] if panel["state"] != "Done"] == []
    assert [panel for panel in board["panels"] if panel.get("error") or not panel["rows"]] == []
    assert [words for words in BAD_WORDS if words in board["said"]] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_is_on_the_page(drawn: dict[str, Any], name: str) -> None:
    """The browser shows the title of each panel that the board has."""
    made = BOARDS[f"{name}.json"]()
    titles = [panel["title"] for panel in made["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in drawn[name]["panels"]] == titles
    assert [title for title in titles if title not in drawn[name]["said"]] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_small_enough_to_keep(
    drawn: dict[str, Any], pictures: Path, name: str
) -> None:
    """Each is a PNG below 300 KiB."""
    assert name in drawn
    picture = (pictures / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < MOST_BYTES
