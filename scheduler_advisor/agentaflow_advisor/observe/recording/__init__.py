"""Recorded series: what the rules of alerts/rules keep of each GPU, and how the advisor asks them.

`families` says what each family means and how a window is asked of it; `exporters` from which of
each exporter's metrics it is made; `rules` writes the rule files; `span` decides whether they
reach far enough for a window.
"""

from __future__ import annotations

from agentaflow_advisor.observe.recording.families import (
    MEASURED,
    NOW,
    RARE,
    REASONS,
    TOLD,
    USUAL_LANES,
    Question,
    questions,
    recent_peaks,
)
from agentaflow_advisor.observe.recording.span import Recorded, Span, choose

__all__ = [
    "MEASURED",
    "NOW",
    "RARE",
    "REASONS",
    "TOLD",
    "USUAL_LANES",
    "Question",
    "Recorded",
    "Span",
    "choose",
    "questions",
    "recent_peaks",
]
