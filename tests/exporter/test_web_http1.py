"""The laws of the HTTP parser, against the standard library where that has an answer."""

from __future__ import annotations

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter.http1 import Refusal, Response, encode, parse_head, parse_query, unquote

latin = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]))
pieces = st.lists(st.sampled_from(["%41", "%c3%a9", "%", "%zz", "%2", "a", "+", "%+1", "%_1"]))


@given(pieces.map("".join))
def test_percent_decoding_is_urllibs(text: str) -> None:
    """Complete escapes are decoded as UTF-8, anything else stays as it is."""
    assert unquote(text) == urllib.parse.unquote(text, errors="replace")


@given(st.lists(st.sampled_from(["a=1", "a", "=", "", "b=%26", "c=x+y", "a==", "%61=2"])))
def test_queries_are_urllibs(pairs: list[str]) -> None:
    """Names without a value are empty strings, repeated names keep their order."""
    query = "&".join(pairs)
    assert parse_query(query) == urllib.parse.parse_qs(query, keep_blank_values=True)


@given(st.binary(max_size=200))
def test_any_head_is_a_request_or_a_refusal(head: bytes) -> None:
    """No input makes the parser fail in any other way, and a refusal is a client's error."""
    try:
        parse_head(head)
    except Refusal as refusal:
        status = refusal.response.status
    else:
        status = 200
    assert status in (200, 400, 405, 505)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True), latin))
def test_headers_survive(headers: dict[str, str]) -> None:
    """What is sent in a header is what the handler sees, but for blanks around it."""
    kept = {
        name: value.strip(" \t")
        for name, value in headers.items()
        if name not in ("host", "content-length", "transfer-encoding") and value.isprintable()
    }
    lines = ["GET / HTTP/1.1", "Host: h", *(f"{name}: {kept[name]}" for name in kept)]
    assert parse_head("\r\n".join(lines).encode("latin-1")).headers == {"host": "h"} | kept


@pytest.mark.parametrize("keep_alive", [True, False])
def test_an_answer_has_its_length_and_says_what_follows(keep_alive: bool) -> None:
    """Every answer has Date, Content-Length and Connection."""
    answer = encode(Response(200, (("X", "1"),), b"body"), keep_alive=keep_alive)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"body"
    assert b"\r\nContent-Length: 4" in head
    assert b"\r\nDate: " in head
    assert head.endswith(b"Connection: keep-alive" if keep_alive else b"Connection: close")
