"""Decisions over HTTP: GET /api/v1/decisions, POST /api/v1/decisions/ID/approve and …/reject.

What changes something takes a bearer token, which comes from a file that is read for each request.
No cookie is ever looked at, so that no page of another site can say yes in somebody's name.
"""

from __future__ import annotations

import hmac
import time
from pathlib import Path

from agentaflow_advisor.decide.approval import approve
from agentaflow_advisor.decide.errors import (
    AmbiguousId,
    JournalError,
    JournalLocked,
    UnknownDecision,
    WrongState,
)
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.render import plain, to_json
from agentaflow_exporter.web import Request, Response, text_response

ROOT = "/api/v1/decisions"
JSON = (("Content-Type", "application/json; charset=utf-8"),)
STATUS: dict[type[JournalError], int] = {
    UnknownDecision: 404,
    AmbiguousId: 400,
    WrongState: 409,
    JournalLocked: 503,
}


class Decisions:
    """Answers for paths that begin with ROOT; called from several threads."""

    def __init__(self, journal: Path, policy: Policy, token_file: Path | None) -> None:
        self._journal, self._policy, self._token_file = journal, policy, token_file

    def __call__(self, request: Request) -> Response:
        try:
            if request.path == ROOT:
                return self._list() if request.method != "POST" else _only("GET")
            match request.path.removeprefix(f"{ROOT}/").split("/"):
                case [decision_id, "approve" | "reject" as verb]:
                    if request.method != "POST":
                        return _only("POST")
                    return self._forbidden(request) or self._say(request, decision_id, verb)
                case _:
                    return text_response(404, "no such page; / lists them")
        except JournalError as error:
            return _error(STATUS.get(type(error), 500), str(error))

    def _list(self) -> Response:
        if not self._journal.exists():
            return _json(200, {"decisions": []})
        with Journal(self._journal) as journal:
            return _json(200, {"decisions": plain(journal.list())})

    def _forbidden(self, request: Request) -> Response | None:
        """Why this request may not say anything; None where it may."""
        if self._token_file is None:
            return _error(
                403, "approvals over HTTP are off; --approval-token-file switches them on"
            )
        try:
            token = self._token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            return _error(500, f"the token file cannot be read: {error.strerror}")
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if token and hmac.compare_digest(given.encode(), token.encode()):
            return None
        return _error(
            401, "give the token as Authorization: Bearer", ("WWW-Authenticate", "Bearer")
        )

    def _say(self, request: Request, decision_id: str, verb: str) -> Response:
        """`?actor=NAME` says who it was; `?reason=TEXT` why not."""
        actor = f"{_one(request, 'actor') or 'unnamed'} (http)"
        with Journal(self._journal) as journal:
            if verb == "approve":
                made = approve(
                    journal, decision_id, actor=actor, now=time.time(), policy=self._policy
                )
            else:
                made = self._reject(journal, decision_id, actor, _one(request, "reason"))
        return _json(200 if made.state in (State.APPROVED, State.VETOED) else 409, plain(made))

    def _reject(self, journal: Journal, decision_id: str, actor: str, reason: str) -> Decision:
        with journal.acting():
            return journal.transition(
                journal.get(decision_id).id,
                State.VETOED,
                actor=actor,
                at=time.time(),
                reason=f"rejected: {reason or 'no reason given'}",
            )


def _one(request: Request, name: str) -> str:
    return request.query.get(name, [""])[-1][:200]


def _json(status: int, body: object) -> Response:
    return Response(status, JSON, to_json(body).encode())


def _error(status: int, message: str, *headers: tuple[str, str]) -> Response:
    return Response(status, (*JSON, *headers), to_json({"error": message}).encode())


def _only(method: str) -> Response:
    return _error(405, f"only {method} is answered here", ("Allow", method))
