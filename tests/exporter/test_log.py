"""The log's lines, and what becomes of them when they cannot be written."""

from __future__ import annotations

import errno
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter.log import FORMATS, LEVELS, Log


def test_text() -> None:
    """A line is logfmt: quoted only where that is needed."""
    stream = io.StringIO()
    Log(stream=stream).warning("GPU lost", gpu=3, reason='said "no"', empty="")
    line = re.sub(r"time=\S+", "time=T", stream.getvalue())
    assert line == 'time=T level=warning msg="GPU lost" gpu=3 reason="said \\"no\\"" empty=""\n'


def test_json() -> None:
    """A line is one JSON object."""
    stream = io.StringIO()
    Log(format="json", stream=stream).info("listening", address=":9837")
    entry = json.loads(stream.getvalue())
    assert (entry["level"], entry["msg"], entry["address"]) == ("info", "listening", ":9837")


@pytest.mark.parametrize("lowest", LEVELS)
def test_levels(lowest: str) -> None:
    """What is below the lowest level is not written."""
    stream = io.StringIO()
    log = Log(level=lowest, stream=stream)
    for level in LEVELS:
        getattr(log, level)(level)
    assert re.findall(r"msg=(\w+)", stream.getvalue()) == list(LEVELS[LEVELS.index(lowest) :])


@given(st.text(), st.sampled_from(FORMATS))
def test_one_line_each(text: str, kind: str) -> None:
    """No message, whatever is in it, becomes two lines."""
    stream = io.StringIO()
    Log(format=kind, stream=stream).error(text, field=text)
    assert len(stream.getvalue().splitlines()) == 1


class FullDisk(io.StringIO):
    def write(self, _: str, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.fault("E11")
def test_full_disk() -> None:
    """A log that cannot be written is silent."""
    Log(stream=FullDisk()).error("nobody will read this")


@pytest.mark.fault("E11")
def test_closed_stream() -> None:
    """So is one whose stream was closed."""
    stream = io.StringIO()
    stream.close()
    Log(stream=stream).error("nor this")
