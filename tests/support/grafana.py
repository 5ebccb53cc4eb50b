"""A server that speaks the documented part of Grafana's API that boards are pushed by.

POST /api/dashboards/db, GET /api/dashboards/uid/:uid, GET and POST /api/folders. It keeps versions:
a board that is sent with another version than the newest is refused with 412, unless `overwrite`.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "glsa_right"
BASIC = "Basic " + base64.b64encode(b"admin:secret").decode()


@dataclass
class Kept:
    """What it was told, and what it was asked."""

    url: str = ""
    boards: dict[str, dict[str, Any]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    speaks_html: bool = False  # is something else
    saved_meanwhile: bool = False  # somebody saves between each look and each save


@contextmanager
def grafana() -> Iterator[Kept]:
    kept = Kept()

    class Handler(_Handler):
        state = kept

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Kept

    def do_GET(self) -> None:
        if not self._known():
            return
        *_, kind, uid = self.path.split("/")
        if kind == "uid" and uid in self.state.boards:
            meta = {"folderUid": self.state.placed[uid], "url": f"/d/{uid}"}
            self._answer(200, {"dashboard": self.state.boards[uid], "meta": meta})
            if self.state.saved_meanwhile:
                self.state.boards[uid]["version"] += 1
        elif kind == "folders" and uid in self.state.folders:
            self._answer(200, {"uid": uid, "title": self.state.folders[uid]})
        else:
            self._answer(404, {"message": "not found", "status": "not-found"})

    def do_POST(self) -> None:
        if not self._known():
            return
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/folders":
            self.state.folders[sent["uid"]] = sent["title"]
            self._answer(200, sent)
        else:
            self._answer(*self._saved(sent))

    def _saved(self, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        board, kept = sent["dashboard"], self.state
        if sent["folderUid"] and sent["folderUid"] not in kept.folders:
            return 404, {"message": "folder not found"}
        old = kept.boards.get(board["uid"], {"version": 0})
        if board.get("version", 0) != old["version"] and not sent["overwrite"]:
            return 412, {"message": "changed by someone else", "status": "version-mismatch"}
        kept.boards[board["uid"]] = {**board, "id": 7, "version": old["version"] + 1}
        kept.placed[board["uid"]] = sent["folderUid"]
        kept.messages.append(sent["message"])
        return 200, {"uid": board["uid"], "url": f"/d/{board['uid']}", "status": "success"}

    def _known(self) -> bool:
        if self.headers.get("Authorization") in (f"Bearer {TOKEN}", BASIC):
            return True
        self._answer(401, {"message": "Invalid API key"})
        return False

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = b"<html></html>" if self.state.speaks_html else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing: what matters is in the state."""
