"""Xid errors by what they say of the board: NVIDIA's catalogue, docs.nvidia.com/deploy/xid-errors.

A code is in CRITICAL where its immediate action is to reset the GPU or to restart the machine, and
in WARNING where only what ran there has to be restarted. One in APPLICATION is the program's fault
(an illegal access, say), or its end; one in INFORMATION tells of a repair that worked, or that
another code came: neither speaks against the board. A code that is nowhere here counts as
unclassified. The Xid alerts (alerts/templates/agentaflow-xid.yaml) are made of the same classes.
"""

from __future__ import annotations

from collections.abc import Mapping

CRITICAL: Mapping[str, str] = {
    "46": "it stopped processing",
    "48": "a double-bit ECC error",
    "62": "its microcontroller halted",
    "64": "a broken memory row or page could not be taken out of use",
    "74": "an NVLink error",
    "79": "it fell off the bus",
    "95": "an uncontained memory error, which hits every program on it",
    "109": "it did not change from one program to the next in time",
    "110": "a security fault",
    "119": "its system processor (GSP) did not answer",
    "120": "its system processor (GSP) failed",
    "136": "a link could not be trained",
    "140": "a memory error that could not be recovered from",
    "143": "it could not be initialised",
    "158": "a fatal timeout",
}
WARNING: Mapping[str, str] = {"94": "a memory error, contained to one program"}
APPLICATION = frozenset({"13", "31", "43", "45", "69"})
INFORMATION = frozenset({"63", "92", "154"})
