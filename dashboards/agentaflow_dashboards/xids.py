"""How boards name and colour an Xid: by the classes that the advisor and the alerts go by."""

from __future__ import annotations

from collections.abc import Iterable

from agentaflow_advisor.analyze.xids import APPLICATION, CRITICAL, INFORMATION, WARNING

XID_NAMES = (
    (0.0, "none", "green"),
    *((float(code), f"{code}: {what}", "red") for code, what in CRITICAL.items()),
    *((float(code), f"{code}: {what}", "orange") for code, what in WARNING.items()),
    *((float(code), f"{code}: the program's", "yellow") for code in sorted(APPLICATION, key=int)),
    *((float(code), f"{code}: a note", "blue") for code in sorted(INFORMATION, key=int)),
)
"""Value, text and colour of each known code; the others are shown as they are."""


def _codes(those: Iterable[str]) -> str:
    return ", ".join(sorted(those, key=int))


XIDS_SAID = (
    f"Red are the board's ({_codes(CRITICAL)}): drain it, then reset. Orange ({_codes(WARNING)}) "
    f"asks to restart what ran there; yellow ({_codes(APPLICATION)}) is mostly the program's "
    f"fault; blue ({_codes(INFORMATION)}) is a note."
)
