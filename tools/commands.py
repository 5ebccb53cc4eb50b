"""Commands of others that take a while: run with a line of progress, quiet unless they fail.

Standard library only: realparts.py runs before anything is installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

_HEARTBEAT_SECONDS = 30


class CommandFailed(Exception):
    """A command ended with another code than 0; the message has the end of what it said."""


def run(
    what: str,
    command: list[str],
    folder: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> None:
    """Run it to its end. Raises CommandFailed, unless `check` is off."""
    started = time.monotonic()
    done = threading.Event()
    heartbeat = threading.Thread(target=_keep_saying, args=(what, started, done), daemon=True)
    say(f"{what} …")
    heartbeat.start()
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", **(environment or {})},
        )
    finally:
        done.set()
        heartbeat.join()
    if ended.returncode and check:
        raise CommandFailed(f"{what}: failed\n{(ended.stdout + ended.stderr)[-3000:]}")
    say(f"{what}: {'done' if not ended.returncode else 'no'}, {time.monotonic() - started:.0f} s")


def say(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


def _keep_saying(what: str, started: float, done: threading.Event) -> None:
    while not done.wait(_HEARTBEAT_SECONDS):
        say(f"{what} … {time.monotonic() - started:.0f} s")
