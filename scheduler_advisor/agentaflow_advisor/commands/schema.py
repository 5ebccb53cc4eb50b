"""schema: the JSON Schema of what recommend prints, for those who check or generate from it."""

from __future__ import annotations

from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.schema import advice_schema


@command()
def schema(session: Session) -> int:
    """Print the JSON Schema of `recommend -o json`."""
    session.output.document(advice_schema())
    return 0
