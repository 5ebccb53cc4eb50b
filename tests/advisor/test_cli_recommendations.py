"""recommendations: what a person says to one is kept, and obeyed by the next look."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.cli import Cli
from tests.support.fake_prometheus import Card, FakePrometheus, fake_prometheus
from tests.support.permissions import without_write_permission

CARDS = (
    Card("node-0", 0, pod="research/notebook"),
    Card("node-0", 1),
    Card("node-1", 0, busy=0.7, pod="serving/chat"),
)


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    """Two idle GPUs and a busy one."""
    with fake_prometheus(*CARDS) as fake:
        yield fake


@pytest.fixture
def asking(cli: Cli, prometheus: FakePrometheus) -> Cli:
    return cli.having("--prometheus-url", prometheus.url)


@pytest.fixture
def ids(asking: Cli) -> tuple[str, str]:
    """Of the idle GPU that a pod holds, and of the one that nobody does."""
    found = asking("recommend", "-o", "json").json["recommendations"]
    kinds = {each["kind"]: each["id"] for each in found}
    return kinds["idle-gpu"], kinds["unallocated-gpu"]


def test_a_dismissed_and_a_snoozed_one_are_hidden_and_counted(
    asking: Cli, ids: tuple[str, str]
) -> None:
    """The table, the sums and the JSON leave them out; --all shows them with their state."""
    assert asking("recommendations", "dismiss", ids[0], "--reason", "for the demo").code == 0
    assert asking("recommendations", "snooze", ids[1][-6:], "--for", "7d").code == 0
    ran = asking("recommend")
    assert ran.out.startswith("nothing to recommend\n1 dismissed, 1 snoozed; --all shows them\n")
    everything = asking("recommend", "--all")
    assert "[dismissed]" in everything.out
    assert "[snoozed]" in everything.out
    assert "in no sum" in everything.out
    document = asking("recommend", "--all", "-o", "json").json
    assert document["hidden"] == {"dismissed": 1, "snoozed": 1}
    assert document["saves_per_month"] == []
    said = {each["state"]: each["history"] for each in document["recommendations"]}
    assert said["dismissed"]["reason"] == "for the demo"
    assert said["snoozed"]["until_at"]


def test_what_is_restored_is_shown_again(asking: Cli, ids: tuple[str, str]) -> None:
    """And its whole life can be read."""
    asking("recommendations", "dismiss", *ids, "--reason", "meant so")
    assert asking("recommendations", "restore", *ids, "--reason", "it was not").code == 0
    assert len(asking("recommend", "-o", "json").json["recommendations"]) == 2
    shown = asking("recommendations", "show", ids[0], "-o", "json").json
    assert [event["step"] for event in shown["events"]] == ["opened", "dismissed", "restored"]
    assert shown["recommendation"]["times_seen"] == 2
    assert all(event["at"].endswith("Z") for event in shown["events"])
    assert "meant so" in asking("recommendations", "show", ids[0]).out


def test_ids_and_ages_live_through_restarts_and_other_figures(
    cli: Cli, ids: tuple[str, str]
) -> None:
    """A new Prometheus with more memory in use: the same recommendation, one look older."""
    cards = (*(Card("node-0", index, pod=pod, memory_bytes=2.0**34) for index, pod in
               enumerate(("research/notebook", None))), Card("node-9", 0, busy=0.9))  # fmt: skip
    with fake_prometheus(*cards) as other:
        found = cli("recommend", "-o", "json", "--prometheus-url", other.url).json
    known = {each["id"]: each["history"]["times_seen"] for each in found["recommendations"]}
    assert known[ids[0]] == 2


def test_one_that_works_again_is_closed(cli: Cli, ids: tuple[str, str]) -> None:
    """With its time; one whose GPU is not measured any more stays open."""
    with fake_prometheus(Card("node-0", 0, busy=0.9, pod="research/notebook")) as other:
        assert cli("recommend", "--prometheus-url", other.url).code == 0
    states = {
        each["id"]: (each["state"], each["closed_at"])
        for each in cli("recommendations", "list", "-o", "json").json["recommendations"]
    }
    assert states[ids[0]][0] == "closed"
    assert states[ids[0]][1].endswith("Z")
    assert states[ids[1]] == ("active", None)
    (only,) = cli("recommendations", "list", "--state", "closed", "-o", "json").json[
        "recommendations"
    ]
    assert only["id"] == ids[0]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["snooze", "ID"], 2, "give one of --for DURATION and --until TIME"),
        (["snooze", "ID", "--for", "1d", "--until", "2099-01-01"], 2, "give one of"),
        (["snooze", "ID", "--for", "soon"], 2, "is no duration"),
        (["snooze", "ID", "--for", "nan"], 2, "has to end between"),
        (["snooze", "ID", "--for", "-5"], 2, "has to end between"),
        (["snooze", "ID", "--for", "3y"], 2, "has to end between"),
        (["snooze", "ID", "--until", "tomorrow"], 2, "is no time"),
        (["snooze", "ID", "--until", "2020-01-01"], 2, "has to end between"),
        (["dismiss", "ID"], 2, "--reason"),
        (["dismiss", "ID", "--reason", " "], 2, "say why"),
        (["dismiss", "nothing", "--reason", "x"], 4, "no recommendation 'nothing'"),
        (["restore", "ID"], 4, "neither snoozed nor dismissed"),
        (["show", "idl"], 4, "no recommendation 'idl'"),
        (["list", "--state", "gone"], 2, "'active', 'snoozed'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_misuse_is_one_line(
    asking: Cli, ids: tuple[str, str], arguments: list[str], code: int, said: str
) -> None:
    """What, where, what to do; nothing is written."""
    ran = asking("recommendations", *(ids[0] if each == "ID" else each for each in arguments))
    assert ran.code == code
    assert said in ran.error
    assert len(asking("recommendations", "show", ids[0], "-o", "json").json["events"]) == 1


def test_all_ids_are_known_before_the_first_is_changed(asking: Cli, ids: tuple[str, str]) -> None:
    """A misspelt second id leaves the first as it was."""
    assert asking("recommendations", "dismiss", ids[0], "nothing", "--reason", "x").code == 4
    assert len(asking("recommend", "-o", "json").json["recommendations"]) == 2


def test_without_a_history_there_is_a_line(cli: Cli) -> None:
    """A misspelt path leaves no empty file behind."""
    ran = cli("recommendations", "list")
    assert ran.code == 4
    assert "`agentaflow recommend` makes it" in ran.error


def test_no_record_writes_nothing(asking: Cli, tmp_path: Path) -> None:
    """And hides what is known to be hidden all the same."""
    assert asking("recommend", "--no-record").code == 0
    assert not (tmp_path / "recommendations.db").exists()
    (first, *_) = asking("recommend", "-o", "json").json["recommendations"]
    asking("recommendations", "dismiss", first["id"], "--reason", "x")
    before = (tmp_path / "recommendations.db").read_bytes()
    assert asking("recommend", "--no-record", "-o", "json").json["hidden"]["dismissed"] == 1
    assert (tmp_path / "recommendations.db").read_bytes() == before


def test_on_a_read_only_disk_the_advice_comes_with_one_line(
    asking: Cli, ids: tuple[str, str], tmp_path: Path
) -> None:
    """What was hidden before stays hidden; a new word cannot be kept, and that is said."""
    asking("recommendations", "dismiss", ids[0], "--reason", "x")
    with without_write_permission(tmp_path / "recommendations.db") as folder:
        there, missing = folder / "recommendations.db", folder / "none.db"
        known = asking("recommend", "-o", "json", "--history", str(there))
        fresh = asking("recommend", "-o", "json", "--history", str(missing))
        refused = asking("recommendations", "restore", ids[0], "--history", str(there))
    assert (known.code, fresh.code, refused.code) == (0, 0, 4)
    assert "the advice is whole, but its age is not kept" in known.error
    assert "the advice is whole, but its age is not kept" in fresh.error
    assert "give the user write permission" in refused.error
    assert known.json["hidden"]["dismissed"] == 1
    assert len(fresh.json["recommendations"]) == 2


def test_faces(asking: Cli, ids: tuple[str, str]) -> None:
    """The same advice as YAML, as CSV with plain numbers, and as Markdown."""
    document = asking("recommend", "-o", "json").json
    same = yaml.safe_load(asking("recommend", "-o", "yaml").out)
    assert list(same) == list(document)
    assert {each["id"] for each in same["recommendations"]} == set(ids)
    rows = list(csv.DictReader(io.StringIO(asking("recommend", "-o", "csv").out, newline="")))
    amounts = {each["id"]: each["saves"]["per_month"] for each in document["recommendations"]}
    for row in rows:
        assert row["saves_per_month"] == amounts[row["id"]]["amount"]
        assert (row["state"], row["node"], row["currency"]) == ("active", "node-0", "USD")
    assert len(rows) == 2
    assert asking("recommend", "-o", "markdown").out.startswith("| ID | SAVES/MONTH |")


def test_names_that_a_spreadsheet_would_run_are_harmless(cli: Cli) -> None:
    """Labels come from strangers."""
    evil = Card("node-0", 0, pod="=cmd|' /C calc'!A0/+1+1")
    with fake_prometheus(evil) as fake:
        out = cli("recommend", "-o", "csv", "--prometheus-url", fake.url).out
    (row,) = csv.DictReader(io.StringIO(out, newline=""))
    assert row["namespace"] == "'=cmd|' "
    assert not any(cell.startswith(("=", "+", "@")) for cell in row.values())
