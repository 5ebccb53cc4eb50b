"""Channels: the ways a decision can be carried out. One file and one line here each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.channels.gate import SCHEDULING_GATE
from agentaflow_advisor.decide.guards import EVERYWHERE, PACING, Guard

CHANNELS: Mapping[str, Channel[Any]] = {channel.name: channel for channel in (SCHEDULING_GATE,)}

_OWN = (guard for channel in CHANNELS.values() for guard in channel.guards)
GUARDS: tuple[Guard, ...] = tuple(dict.fromkeys((*EVERYWHERE, *_OWN, *PACING)))
"""Of every channel, each once."""

__all__ = ["CHANNELS", "GUARDS", "Channel"]
