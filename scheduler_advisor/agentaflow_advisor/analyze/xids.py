"""Xid errors by what they say of the board: NVIDIA's catalogue, docs.nvidia.com/deploy/xid-errors.

A code in APPLICATION is the program's fault (an illegal access, say) and one in INFORMATION tells
of a repair that worked: neither speaks against the board. A code that is nowhere here counts as
unclassified.
"""

from __future__ import annotations

from collections.abc import Mapping

CRITICAL: Mapping[str, str] = {
    "48": "a double-bit ECC error",
    "62": "its microcontroller halted",
    "64": "a broken memory row or page could not be taken out of use",
    "74": "an NVLink error",
    "79": "it fell off the bus",
    "95": "an uncontained memory error, which hits every program on it",
    "119": "its system processor (GSP) did not answer",
    "120": "its system processor (GSP) failed",
}
WARNING: Mapping[str, str] = {"94": "a memory error, contained to one program"}
APPLICATION = frozenset({"13", "31", "43"})
INFORMATION = frozenset({"63", "92"})
