"""Guards: each a named function that allows a decision or vetoes it with a reason. Pure.

They judge a Context of facts that were read just now, never what was true when it was proposed.
"""

from agentaflow_advisor.decide.guards.context import Context, Guard, Recent, reasons, vetoes
from agentaflow_advisor.decide.guards.everywhere import EVERYWHERE
from agentaflow_advisor.decide.guards.pacing import PACING

__all__ = ["EVERYWHERE", "PACING", "Context", "Guard", "Recent", "reasons", "vetoes"]
