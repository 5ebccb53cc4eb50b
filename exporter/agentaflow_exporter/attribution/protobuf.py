"""Protobuf's wire format as far as the kubelet's answer needs it: messages and texts in messages.

The protobuf runtime would cost more memory than the whole exporter.
https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT_BITS = 64


class ProtobufError(Exception):
    """These bytes are no message, or one that was cut off."""


def delimited(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(field number, content) of every text, message or packed list; numbers are skipped.

    Raises ProtobufError.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _DELIMITED:
            size, at = _varint(message, at)
            start, at = at, at + size
            if at > end:
                raise ProtobufError("a protobuf message that was cut off")
            yield tag >> 3, message[start:at]
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _EIGHT_BYTES:
            at += 8
        elif kind == _FOUR_BYTES:
            at += 4
        else:
            raise ProtobufError(f"no protobuf message: a field of type {kind}")
    if at > end:
        raise ProtobufError("a protobuf message that was cut off")


def text(content: bytes) -> str:
    """Raises ProtobufError."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("a protobuf text that is not UTF-8") from error


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    value = shift = 0
    try:
        while (byte := message[at]) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            at += 1
            if shift >= _LONGEST_VARINT_BITS:
                raise ProtobufError("no protobuf message: a number without an end")
    except IndexError as error:
        raise ProtobufError("a protobuf message that was cut off") from error
    return value | byte << shift, at + 1
