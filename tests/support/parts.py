"""Real parts that a test needs: where one is absent the test says so and skips, in CI it fails."""

from __future__ import annotations

import os

import pytest


def need(part: str, there: bool) -> None:
    if there:
        return
    message = f"{part} is not there: run `make parts`"
    if os.environ.get("AGENTAFLOW_REQUIRE_REAL_PARTS"):
        pytest.fail(message)
    pytest.skip(message)
