"""Lines to stderr, as logfmt text or JSON: the standard library's logging costs 1 MiB for this."""

from __future__ import annotations

import os
import time
from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")


class Log:
    """A log that cannot be written, on a full disk or a closed pipe, is no reason to stop."""

    def __init__(
        self, level: str = "info", format: str = "text", stream: TextIO | None = None
    ) -> None:
        self._lowest = LEVELS.index(level)
        self._line = _json if format == "json" else _text
        self._stream = stream

    def debug(self, message: str, **fields: object) -> None:
        self._write("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        self._write("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        self._write("warning", message, fields)

    def error(self, message: str, **fields: object) -> None:
        self._write("error", message, fields)

    def _write(self, level: str, message: str, fields: dict[str, object]) -> None:
        if LEVELS.index(level) < self._lowest:
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = self._line({"time": now, "level": level, "msg": message, **fields})
        try:
            if self._stream is None:
                # Not sys.stderr, which would keep what cannot be written.
                os.write(2, f"{line}\n".encode(errors="replace"))
            else:
                self._stream.write(f"{line}\n")
        except (OSError, ValueError):
            return


def _text(entry: dict[str, object]) -> str:
    return " ".join(f"{key}={_quoted(str(value))}" for key, value in entry.items())


def _quoted(value: str) -> str:
    if value and value.isprintable() and not any(c in ' "=' for c in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in escaped) + '"'


def _json(entry: dict[str, object]) -> str:
    import json

    return json.dumps(entry, default=str)
