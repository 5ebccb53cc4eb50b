"""What a channel has to tell: how its kind of action is judged, written, verified and undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lightkube import Client

from agentaflow_advisor.decide.guards import Context, Guard
from agentaflow_advisor.model import Action, Decision, Settled, Target, Verification

A = TypeVar("A", bound=Action)


def _nothing_more(_client: Client, _action: Action, _target: Target, context: Context) -> Context:
    return context


@dataclass(frozen=True, slots=True)
class Channel(Generic[A]):
    """One kind of action, from the first look to the undoing of it.

    `read`, `gather`, `write`, `verify` and `undo` raise act.errors.ApiTrouble; all others are pure.
    A write carries its preconditions and its marker itself, so that it happens once or not at all.
    """

    action: type[A]
    does: str  # a sentence for people
    needs: tuple[str, ...]  # the rights it uses, as `kubectl auth can-i` takes them
    guards: tuple[Guard, ...]  # beside those of every channel
    read: Callable[[Client, A], Target | Settled]
    """The object as it is now, or how its absence ends the decision."""
    settled: Callable[[A, Decision, Target], Settled | None]
    """What the object itself says; None where the write may still be sent."""
    write: Callable[[Client, A, Decision, Target, bool], None]
    """The one write; a rehearsal of it on the server where the last argument says so."""
    verify: Callable[[Client, A, Decision], Verification]
    """What the cluster made of it."""
    awaits: str = "to be looked at"
    """What its objects have still to come to, once the API server took the write."""
    gather: Callable[[Client, A, Target, Context], Context] = _nothing_more
    """The context with the facts that its own guards judge."""
    gone_after_intent: Callable[[A, Settled], Settled] = lambda _action, settled: settled
    """What the object's absence means once the write may have been sent."""
    harm: Callable[[Client, A, float], str | None] | None = None
    """Which pods it keeps waiting for longer than these seconds, or crashing; None: none."""
    undo: Callable[[Client, A, Decision], Settled] | None = None
    """Takes the change back and says how that ended; None where nothing can."""

    @property
    def name(self) -> str:
        return self.action.channel

    @property
    def reversible(self) -> bool:
        return self.undo is not None
