"""The same readings under another exporter's names, so that its boards and rules work unchanged.

A set of names is a table in a file of its own; only the chosen one is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from agentaflow_exporter.metric import Family, Metric

NAMES = ("dcgm", "dcgm-4.6")
NEEDS = frozenset({"info", "mig", "pods"})  # collectors that the labels come from

Translate = Callable[[list[Family]], list[Family]]


def translator(name: str, host: str = "", *, own: bool = True) -> Translate:
    """From a scrape's families to those under the names of `name`, after our own if `own`.

    `host` is the value of the label Hostname (default: this machine's, see below).
    """
    from agentaflow_exporter.compat.dcgm import FIELDS, style_of
    from agentaflow_exporter.compat.translation import Translation

    return Translation(FIELDS, style_of(name), host or _host(), own=own)


def metrics_of(name: str) -> tuple[Metric, ...]:
    """All that a translation may add, in order."""
    from agentaflow_exporter.compat.dcgm import FIELDS, style_of
    from agentaflow_exporter.compat.translation import declared

    return tuple(declared(field, style_of(name)) for field in FIELDS)


def _host() -> str:
    """In a pod the host's name is not the node's; dcgm-exporter reads the same variable."""
    return os.environ.get("NODE_NAME") or os.uname().nodename
