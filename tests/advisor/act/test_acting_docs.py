"""docs/acting.md says of each guard, channel and state what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentaflow_advisor.act.channels import CHANNELS, GUARDS
from agentaflow_advisor.decide.guards import Guard
from agentaflow_advisor.model import State

PAGE = (Path(__file__).parents[3] / "docs" / "acting.md").read_text()


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_each_guard_has_its_line(guard: Guard) -> None:
    """The table says what the guard's docstring says."""
    assert f"| `{guard.__name__}` | {guard.__doc__} |" in PAGE


@pytest.mark.parametrize("name", CHANNELS)
def test_each_channel_has_its_line(name: str) -> None:
    """With its rights and whether it can be undone."""
    channel = CHANNELS[name]
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    assert f"| {'yes' if channel.reversible else 'no'} |" in line
    assert all(f"`{right}`" in line for right in channel.needs)


@pytest.mark.parametrize("state", [state for state in State if state is not State.REVERTED])
def test_each_state_has_its_line(state: State) -> None:
    """No decision ends in a state that the page does not explain."""
    assert f"| {state} |" in PAGE
