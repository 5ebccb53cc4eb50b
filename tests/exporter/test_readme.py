"""The README's flags are the exporter's."""

from __future__ import annotations

from pathlib import Path

from agentaflow_exporter.collectors import NAMES
from agentaflow_exporter.options import OPTIONS


def test_every_flag_is_documented() -> None:
    """Each option and each collector has its place in the table of flags."""
    table = Path("exporter/README.md").read_text().partition("## Flags")[2].partition("\n## ")[0]
    missing = [
        option.name for option in OPTIONS if option.metavar and f"`--{option.name}`" not in table
    ]
    missing += [name for name in NAMES if f"`{name}`" not in table]
    assert missing == []
