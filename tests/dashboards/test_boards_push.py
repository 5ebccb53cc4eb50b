"""Boards sent to a Grafana over its HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentaflow_dashboards import BOARDS
from agentaflow_dashboards.cli import main
from tests.support.grafana import TOKEN, Kept, grafana
from tools.processes import free_port

ALL = {make()["uid"] for make in BOARDS.values()}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with grafana() as kept:
        yield kept


def push(server: Kept, *more: str) -> int:
    return main(["push", "--grafana-url", server.url, *more])


def test_all_boards_arrive_in_their_folder(server: Kept) -> None:
    """Each board is there by its uid, in a folder that is made, with the message of the push."""
    assert push(server, "--folder=gpus", "--folder-title=GPUs", "--message=release 1") == 0
    assert set(server.boards) == ALL
    assert server.folders == {"gpus": "GPUs"}
    assert set(server.placed.values()) == {"gpus"}
    assert server.messages == ["release 1"] * len(ALL)


def test_a_second_push_sends_nothing(server: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """Boards that are there as they are keep their version."""
    push(server)
    capsys.readouterr()
    assert push(server) == 0
    assert {board["version"] for board in server.boards.values()} == {1}
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["unchanged"] * len(ALL)


def test_only_what_changed_is_sent(server: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """A board that differs is replaced, and moved if it lies elsewhere; the others stay."""
    push(server)
    server.boards["agentaflow-node"]["title"] = "edited"
    assert push(server) == 0
    assert server.boards["agentaflow-node"]["title"] == "AgentaFlow / Node"
    assert server.boards["agentaflow-node"]["version"] == 2
    assert server.boards["agentaflow-fleet"]["version"] == 1
    assert "updated" in capsys.readouterr().out


def test_boards_can_be_named(server: Kept) -> None:
    """Only the named ones are sent."""
    assert push(server, "fleet", "cost") == 0
    assert set(server.boards) == {"agentaflow-fleet", "agentaflow-cost"}


def test_a_user_and_a_password_will_do(server: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Basic authentication is used where there is no token."""
    monkeypatch.delenv("GRAFANA_TOKEN")
    monkeypatch.setenv("GRAFANA_USER", "admin")
    monkeypatch.setenv("GRAFANA_PASSWORD", "secret")
    assert push(server, "fleet") == 0


def test_what_somebody_saved_meanwhile_is_not_lost(
    server: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    """A board that was saved between look and save is refused in one line; --overwrite takes it."""
    push(server, "fleet")
    server.boards["agentaflow-fleet"]["title"] = "edited"
    server.saved_meanwhile = True
    assert push(server, "fleet") == 1
    error = capsys.readouterr().err
    assert "saved the board meanwhile" in error
    assert error.count("\n") == 1
    assert push(server, "fleet", "--overwrite") == 0


def test_a_wrong_token_is_one_line(
    server: Kept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says what Grafana said and where a token is given; the token is not in it."""
    monkeypatch.setenv("GRAFANA_TOKEN", "glsa_wrong")
    assert push(server) == 1
    error = capsys.readouterr().err
    assert "Invalid API key; give a token that is valid in $GRAFANA_TOKEN" in error
    assert "glsa_wrong" not in error
    assert error.count("\n") == 1


def test_nobody_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address where nobody listens ends in a line with that address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url = f"http://127.0.0.1:{free_port()}"
    assert main(["push", "--grafana-url", url]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"agentaflow-fleet: {url}: cannot be reached")
    assert error.count("\n") == 1


def test_what_is_no_grafana_is_one_line(server: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """A web server that answers with pages is told from a Grafana."""
    server.speaks_html = True
    assert push(server) == 1
    error = capsys.readouterr().err
    assert "does not answer as Grafana's API does" in error
    assert error.count("\n") == 1


def test_an_unknown_board_is_named(server: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt board ends in a line that lists those there are."""
    assert push(server, "fleat") == 1
    assert "no board fleat; there are fleet, cluster" in capsys.readouterr().err
    assert server.boards == {}


@pytest.mark.parametrize("token", ["ab\ncd", "glsa_\u20ac", "two words", "\udcff"])
def test_a_token_that_can_be_none_is_not_shown(
    server: Kept,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    token: str,
) -> None:
    """A line break, a space or another script in it: a line that names the variable only."""
    monkeypatch.setenv("GRAFANA_TOKEN", token)
    assert push(server) == 1
    error = capsys.readouterr().err
    assert error.startswith("$GRAFANA_TOKEN: ")
    assert error.count("\n") == 1
    assert not any(part in error for part in token.split())


def test_a_line_break_at_the_end_of_a_token_is_none_of_it(
    server: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file or a Secret has it."""
    monkeypatch.setenv("GRAFANA_TOKEN", f"{TOKEN}\n")
    assert push(server, "fleet") == 0


def test_a_password_may_have_any_letter(
    server: Kept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One beyond Latin-1 is sent, and refused by Grafana as a wrong one is."""
    monkeypatch.delenv("GRAFANA_TOKEN")
    monkeypatch.setenv("GRAFANA_USER", "admin")
    monkeypatch.setenv("GRAFANA_PASSWORD", "geheim\u20ac")
    assert push(server, "fleet") == 1
    error = capsys.readouterr().err
    assert "Invalid API key" in error
    assert "geheim" not in error


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://admin:geheim@127.0.0.1:3000", "a password in a URL is seen by others"),
        ("admin:geheim@127.0.0.1:3000", "give http://HOST or https://HOST"),
        ("http://admin:geheim@[::1", "give http://HOST or https://HOST"),
        ("https://", "give http://HOST or https://HOST"),
    ],
)
def test_a_password_in_the_url_is_not_shown(
    capsys: pytest.CaptureFixture[str], url: str, says: str
) -> None:
    """It is refused, with the place for it, and so is what is no URL."""
    assert main(["push", "--grafana-url", url]) == 1
    error = capsys.readouterr().err
    assert error.startswith("--grafana-url: ")
    assert says in error
    assert "geheim" not in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("folder", ["a/b c", "..", "x" * 41])
def test_a_folder_that_has_no_uid_is_told(
    server: Kept, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    """A title for a uid is refused before anything is asked or sent."""
    assert push(server, "--folder", folder) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"--folder: {folder!r} is no uid")
    assert "--folder-title" in error
    assert (server.folders, server.boards) == ({}, {})


def test_what_was_sent_before_a_failure_is_told(
    server: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each board that arrived; the error names the one that did not."""
    push(server, "node")
    capsys.readouterr()
    server.boards["agentaflow-node"]["title"] = "edited"
    server.saved_meanwhile = True
    assert push(server, "fleet", "node", "gpu") == 1
    said = capsys.readouterr()
    assert [line.split()[:2] for line in said.out.splitlines()] == [["created", "agentaflow-fleet"]]
    assert said.err.startswith("agentaflow-node: ")
    assert "agentaflow-gpu" not in server.boards


def test_a_folder_to_check_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a line for each file that it lacks."""
    folder = tmp_path / "none"
    assert main(["check", str(folder)]) == 1
    assert capsys.readouterr().err == f"{folder}: no such folder; run `generate` with it first\n"
