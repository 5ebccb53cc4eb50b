"""Approvals over HTTP: with the token of the file, by POST, and never otherwise."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import State
from agentaflow_advisor.web.decisions import ROOT, Decisions
from agentaflow_exporter.web import Request, Response
from tests.support.decisions import decision

TOKEN = "s3cret"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


@pytest.fixture
def pages(tmp_path: Path) -> Decisions:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    return Decisions(tmp_path / "journal.db", Policy(), token)


def ask(
    pages: Decisions, method: str, path: str, *, token: str | None = TOKEN, **query: str
) -> Response:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return pages(Request(method, path, {k: [v] for k, v in query.items()}, headers))


def told(response: Response) -> Any:
    return json.loads(response.body)


def proposed(journal: Journal) -> str:
    return journal.add(decision(now=time.time())).id


def test_a_decision_is_approved_by_whoever_has_the_token(
    pages: Decisions, journal: Journal
) -> None:
    """By the name that the request gives."""
    made = proposed(journal)
    answer = ask(pages, "POST", f"{ROOT}/{made}/approve", actor="alice")
    assert (answer.status, told(answer)["state"]) == (200, "approved")
    assert journal.get(made).actor == "alice (http)"


def test_a_decision_is_rejected_with_its_reason(pages: Decisions, journal: Journal) -> None:
    """It is over then; a second yes or no is a conflict."""
    made = proposed(journal)
    assert ask(pages, "POST", f"{ROOT}/{made}/reject", reason="not today").status == 200
    assert journal.get(made).reason == "rejected: not today"
    assert ask(pages, "POST", f"{ROOT}/{made}/approve").status == 409


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x"])
def test_without_the_token_nothing_is_said(
    pages: Decisions, journal: Journal, token: str | None
) -> None:
    """401, and the journal is as it was."""
    made = proposed(journal)
    answer = ask(pages, "POST", f"{ROOT}/{made}/approve", token=token)
    assert answer.status == 401
    assert journal.get(made).state is State.PROPOSED


def test_an_empty_token_file_lets_nobody_in(
    pages: Decisions, journal: Journal, tmp_path: Path
) -> None:
    """No token is not the empty token; and a file that is gone is told."""
    made = proposed(journal)
    (tmp_path / "token").write_text("")
    assert ask(pages, "POST", f"{ROOT}/{made}/approve", token="").status == 401
    (tmp_path / "token").unlink()
    assert ask(pages, "POST", f"{ROOT}/{made}/approve").status == 500


def test_a_token_that_changes_is_the_new_one_at_once(
    pages: Decisions, journal: Journal, tmp_path: Path
) -> None:
    """It is read for each request."""
    made = proposed(journal)
    (tmp_path / "token").write_text("other")
    assert ask(pages, "POST", f"{ROOT}/{made}/approve").status == 401
    assert ask(pages, "POST", f"{ROOT}/{made}/approve", token="other").status == 200


def test_without_a_token_file_approvals_are_off(journal: Journal) -> None:
    """And say how to switch them on; the list is there."""
    made = proposed(journal)
    pages = Decisions(journal.path, Policy(), None)
    answer = ask(pages, "POST", f"{ROOT}/{made}/approve")
    assert answer.status == 403
    assert "--approval-token-file" in told(answer)["error"]
    assert [each["id"] for each in told(ask(pages, "GET", ROOT))["decisions"]] == [made]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/x/approve", 405),
        ("POST", "", 405),
        ("POST", "/0000/approve", 404),
        ("POST", "/x/delete", 404),
        ("GET", "/x", 404),
    ],
)
def test_other_requests_are_refused(
    pages: Decisions, journal: Journal, method: str, path: str, status: int
) -> None:
    """A link that is followed approves nothing."""
    proposed(journal)
    assert ask(pages, method, f"{ROOT}{path}").status == status


def test_before_the_first_decision_the_list_is_empty(tmp_path: Path) -> None:
    """And no journal is made for it."""
    pages = Decisions(tmp_path / "none.db", Policy(), None)
    assert told(ask(pages, "GET", ROOT)) == {"decisions": []}
    assert not (tmp_path / "none.db").exists()
