"""Where the boards lead: each link to a board that is there, with what it needs, and no further."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from agentaflow_dashboards import BOARDS
from tests.support.boards import panels, variables

MADE = {name: make() for name, make in BOARDS.items()}
BY_UID = {board["uid"]: board for board in MADE.values()}
KEPT = ["${datasource:queryparam}", "${__url_time_range}"]
LED_ON = {"Node", "GPU", "Pod", "Namespace"}  # a column of these names leads to its board
OF_ADVICE = {"GPU", "Node"}


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a panel, and the column it is on, if any."""

    panel: dict[str, Any]
    column: str
    url: str

    @property
    def uid(self) -> str:
        return self.url.removeprefix("/d/").partition("?")[0]

    @property
    def parts(self) -> list[str]:
        return self.url.partition("?")[2].split("&")

    @property
    def sets(self) -> dict[str, str]:
        return dict(re.findall(r"&var-(\w+)=([^&]+)", self.url))


def links(panel: dict[str, Any]) -> list[Link]:
    config = panel["fieldConfig"]
    found = [Link(panel, "", each["url"]) for each in config["defaults"].get("links", [])]
    return found + [
        Link(panel, override["matcher"]["options"], each["url"])
        for override in config["overrides"]
        for one in override["properties"]
        if one["id"] == "links"
        for each in one["value"]
    ]


def headings(panel: dict[str, Any]) -> set[str]:
    return {
        heading
        for one in panel.get("transformations", [])
        if one["id"] == "organize"
        for heading in one["options"]["renameByName"].values()
    }


LINKS = [
    pytest.param(link, id=f"{name}: {panel['title']} {link.column}")
    for name, board in MADE.items()
    for panel in panels(board)
    for link in links(panel)
]


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_to_a_board_and_sets_variables_that_it_has(link: Link) -> None:
    """The uid is one of ours, data source and time are kept, and no variable is unknown there."""
    there = variables(BY_UID[link.uid])
    assert link.parts[:2] == KEPT
    assert link.sets.keys() <= there.keys()
    assert len(link.parts) == len(KEPT) + len(link.sets)


@pytest.mark.parametrize("link", LINKS)
def test_the_cluster_of_a_link_is_that_of_its_row_or_line(link: Link) -> None:
    """Two clusters may have nodes of one name: the chosen cluster, All perhaps, would mix them."""
    own = "${__value.text}" if link.column == "Cluster" else "${__data.fields.Cluster}"
    assert link.sets["cluster"] == (own if link.column else "${__field.labels.cluster}")
    if link.column:
        fields = re.findall(r"__data\.fields\.(\w+)", link.url)
        assert {link.column, *fields} <= headings(link.panel)


@pytest.mark.parametrize("name", MADE)
def test_a_row_leads_on(name: str) -> None:
    """A column of nodes, GPUs, namespaces or pods is a link, save to the board itself."""
    board = MADE[name]
    for panel in panels(board):
        columns = headings(panel) & LED_ON
        if "dcgm" in name:
            columns &= OF_ADVICE
        linked = {link.column for link in links(panel)}
        here = {"Node"} if board["uid"].endswith("-node") else set()
        here |= {"GPU"} if board["uid"].endswith("-gpu") else set()
        assert columns - linked <= here, panel["title"]


@pytest.mark.parametrize("name", MADE)
def test_no_board_is_a_dead_end(name: str) -> None:
    """From every board some panel leads to another one, if only from row to row."""
    assert [link for panel in panels(MADE[name]) for link in links(panel)]


@pytest.mark.parametrize("name", MADE)
def test_the_boards_are_a_menu_that_keeps_what_was_chosen(name: str) -> None:
    """The links of the board itself keep time and variables."""
    menu, _ = MADE[name]["links"]
    assert menu["asDropdown"]
    assert menu["includeVars"]
    assert menu["keepTime"]
