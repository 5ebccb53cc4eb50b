"""Channels: the ways a decision can be carried out. One file and one line here each."""

from __future__ import annotations

from collections.abc import Mapping

from agentaflow_advisor.act.channels.channel import Channel, Settled
from agentaflow_advisor.act.channels.gate import SCHEDULING_GATE

CHANNELS: Mapping[str, Channel] = {channel.name: channel for channel in (SCHEDULING_GATE,)}

__all__ = ["CHANNELS", "Channel", "Settled"]
