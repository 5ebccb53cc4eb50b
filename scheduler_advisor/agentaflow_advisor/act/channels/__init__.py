"""Channels: the ways a decision can be carried out. One file and one line here each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentaflow_advisor.act.channels.admission_check import ADMISSION_CHECK
from agentaflow_advisor.act.channels.binding import BINDING
from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.channels.cordon import CORDON
from agentaflow_advisor.act.channels.device_taint import DEVICE_TAINT
from agentaflow_advisor.act.channels.eviction import EVICTION
from agentaflow_advisor.act.channels.gate import SCHEDULING_GATE
from agentaflow_advisor.act.channels.node_label import NODE_LABEL
from agentaflow_advisor.act.channels.suspended_job import SUSPENDED_JOB
from agentaflow_advisor.decide.guards import EVERYWHERE, PACING, Guard

CHANNELS: Mapping[str, Channel[Any]] = {
    channel.name: channel
    for channel in (
        SCHEDULING_GATE,
        SUSPENDED_JOB,
        EVICTION,
        NODE_LABEL,
        CORDON,
        DEVICE_TAINT,
        ADMISSION_CHECK,
        BINDING,
    )
}

_OWN = (guard for channel in CHANNELS.values() for guard in channel.guards)
GUARDS: tuple[Guard, ...] = tuple(dict.fromkeys((*EVERYWHERE, *_OWN, *PACING)))
"""Of every channel, each once."""

__all__ = ["CHANNELS", "GUARDS", "Channel"]
