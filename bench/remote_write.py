"""Samples sent to Prometheus as it is told to receive them: into its memory, as if scraped.

The protocol is Prometheus' remote write 1.0: a protobuf WriteRequest in a Snappy block, which here
is of literals only (https://prometheus.io/docs/specs/prw/remote_write_spec/).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import requests

FLAG = "--web.enable-remote-write-receiver"
SERIES_A_REQUEST = 4000
LITERAL_BYTES = 1 << 16
_PAIR = re.compile(r'(\w+)="([^"]*)"')

Series = tuple[str, Sequence[tuple[int, float]]]
"""Labels as in PromQL, with the name among them; and (seconds since the epoch, value), by time."""


def send(url: str, series: Iterable[Series]) -> int:
    """How many samples went out. Raises requests.RequestException where Prometheus takes less."""
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    sent, rest = 0, iter(series)
    with requests.Session() as session:
        session.trust_env = False
        while some := list(islice(rest, SERIES_A_REQUEST)):
            body = _snappy(b"".join(_message(1, _series(*each)) for each in some))
            answer = session.post(f"{url}/api/v1/write", body, headers=headers, timeout=120)
            answer.raise_for_status()
            sent += sum(len(samples) for _, samples in some)
    return sent


def _series(labels: str, samples: Sequence[tuple[int, float]]) -> bytes:
    pairs = sorted(_PAIR.findall(labels))
    told = (_message(1, _text(1, name) + _text(2, value)) for name, value in pairs)
    return b"".join((*told, *(_message(2, _sample(*each)) for each in samples)))


def _sample(at: int, value: float) -> bytes:
    return b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(at * 1000)


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _message(field: int, content: bytes) -> bytes:
    return bytes((field << 3 | 2,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*parts, number))


def _snappy(content: bytes) -> bytes:
    return _varint(len(content)) + b"".join(_literals(content))


def _literals(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), LITERAL_BYTES):
        part = content[start : start + LITERAL_BYTES]
        yield b"\xf4" + struct.pack("<H", len(part) - 1) + part  # 61 << 2: a length of two bytes
