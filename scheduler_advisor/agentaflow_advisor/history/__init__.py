"""What became of recommendations: when they were first seen, and what people said to them."""

from agentaflow_advisor.history.life import Event, Life, Look, Mark, Standing, Step
from agentaflow_advisor.history.store import History

__all__ = ["Event", "History", "Life", "Look", "Mark", "Standing", "Step"]
