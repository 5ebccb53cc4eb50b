"""HTTP/1.x as values: a request's head is parsed, an answer is encoded, nothing is read or written.

Strict where leniency is how requests are smuggled (RFC 9112 sections 2.2, 5.1 and 6.3): no bare
line feeds, no folded headers, no request bodies. Written by hand because `http.server`, `email`
and `urllib.parse` together cost a resident exporter more memory than all of its own code.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

TEXT = ("Content-Type", "text/plain; charset=utf-8")
REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

METHODS = ("GET", "HEAD")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[\x21-\x7e\x80-\xff]+")
_VERSION = re.compile(r"HTTP/[0-9]\.[0-9]")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(r"https?://[^/?#]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """A request without a body: `path` and `query` are percent-decoded, header names lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    keep_alive: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Refusal(Exception):
    """A request that is answered by the server itself: a status and a short text."""

    def __init__(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.response = text_response(status, text, *headers)


def text_response(status: int, text: str, *headers: tuple[str, str]) -> Response:
    return Response(status, (TEXT, *headers), f"{text}\n".encode())


def parse_head(head: bytes, methods: tuple[str, ...] = METHODS) -> Request:
    """The request whose head, up to and without the empty line, is `head`. Raises Refusal."""
    request_line, *lines = head.decode("latin-1").split("\r\n")
    match request_line.split(" "):
        case [method, target, version] if _TOKEN.fullmatch(method) and _TARGET.fullmatch(target):
            pass
        case _:
            raise Refusal(400, "malformed request line")
    if not _VERSION.fullmatch(version):
        raise Refusal(400, "malformed protocol version")
    if not version.startswith("HTTP/1."):
        raise Refusal(505, "this server speaks HTTP/1.0 and HTTP/1.1")
    if method not in methods:
        answered = " and ".join((", ".join(methods[:-1]), methods[-1]))
        allowed = ("Allow", ", ".join(methods))
        raise Refusal(405, f"only {answered} are answered here", allowed)
    headers = _parse_headers(lines)
    if version != "HTTP/1.0" and "," in headers.get("host", ","):
        raise Refusal(400, "exactly one Host header is required")
    _refuse_body(headers)
    path, query = _split_target(target)
    return Request(method, path, query, headers, _keeps_alive(version, headers))


def _parse_headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Refusal(400, "malformed header")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _refuse_body(headers: Mapping[str, str]) -> None:
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise Refusal(400, "a request body is not accepted")


def _split_target(target: str) -> tuple[str, dict[str, list[str]]]:
    if absolute := _ABSOLUTE.match(target):
        target = target[absolute.end() :]
        target = target if target.startswith("/") else f"/{target}"
    if not target.startswith("/"):
        raise Refusal(400, "malformed request target")
    path, _, query = target.partition("#")[0].partition("?")
    return unquote(path), parse_query(query)


def unquote(text: str) -> str:
    """Percent-decoded as UTF-8; what is not UTF-8 becomes U+FFFD, a stray `%` stays."""
    octets = _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode("latin-1"))
    return octets.decode(errors="replace")


def parse_query(query: str) -> dict[str, list[str]]:
    """As `application/x-www-form-urlencoded`: values in order, a name without `=` is empty."""
    values: dict[str, list[str]] = {}
    for pair in query.split("&"):
        name, _, value = pair.replace("+", " ").partition("=")
        if pair:
            values.setdefault(unquote(name), []).append(unquote(value))
    return values


def _keeps_alive(version: str, headers: Mapping[str, str]) -> bool:
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    return "close" not in options and (version != "HTTP/1.0" or "keep-alive" in options)


def encode(response: Response, *, keep_alive: bool, head_only: bool = False) -> bytes:
    """The bytes of an answer; HEAD gets the same head as GET, and no body."""
    lines = [
        f"HTTP/1.1 {response.status} {REASONS.get(response.status, '')}",
        f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}",
        *(f"{name}: {value}" for name, value in response.headers),
        f"Content-Length: {len(response.body)}",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
    ]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head if head_only else head + response.body
