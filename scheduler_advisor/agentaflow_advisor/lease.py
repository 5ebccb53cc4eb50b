"""The lease by which one of several advisors acts: coordination.k8s.io, as client-go's election.

It saves useless work and keeps limits in one place. What makes acting safe is the precondition of
each write: a lease alone does not stop a process that slept past its end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from lightkube import Client
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease as Object

from agentaflow_advisor.act.api import read, write
from agentaflow_advisor.act.errors import ApiTrouble
from agentaflow_advisor.model.names import FIELD_MANAGER, LEASE

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Term:
    """What a leader knows of its lease; `renewed_at` is monotonic."""

    transitions: int
    renewed_at: float


@dataclass(frozen=True, slots=True)
class Sight:
    """Somebody else's lease, and since when it has looked the same; `since` is monotonic."""

    holder: str
    resource_version: str
    since: float


class Lease:
    """`tick()` every `retry_seconds`; `follower()` right before each write."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        identity: str,
        *,
        duration_seconds: float = 15.0,
        renew_seconds: float = 10.0,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self.client, self.namespace, self.identity = client, namespace, identity
        self.duration_seconds, self.renew_seconds = duration_seconds, renew_seconds
        self._monotonic = monotonic
        self._term: Term | None = None
        self._sight: Sight | None = None
        self._trouble = "the lease was not asked for yet"

    @property
    def transitions(self) -> int | None:
        """The number of this term; None where another leads."""
        return self._term.transitions if self._term and self.follower() is None else None

    def follower(self) -> str | None:
        """Why this process may not act; None while it holds the lease and renewed it in time.

        By its own clock: one that was stopped and goes on finds that its time is over.
        """
        if self._term is None:
            return self._trouble
        late = self._monotonic() - self._term.renewed_at
        if late >= self.renew_seconds:
            return f"lease {self.namespace}/{LEASE} was renewed {late:.0f} s ago"
        return None

    def tick(self) -> None:
        """Take the lease, renew it, or see who has it. Trouble is kept for `follower`."""
        try:
            self._tick()
        except ApiTrouble as trouble:
            self._trouble = f"lease {self.namespace}/{LEASE}: {trouble}"

    def release(self) -> None:
        """So that another need not wait for its end."""
        if self._term is None:
            return
        self._term, self._trouble = None, "the lease was given back"
        with suppress(ApiTrouble):
            seen = self._read()
            if seen and seen.spec and seen.spec.holderIdentity == self.identity:
                self._replace(seen, replace_holder="", transitions=_transitions(seen))

    def _tick(self) -> None:
        seen = self._read()
        asked_at = self._monotonic()
        if seen is None:
            self._create()
            self._term = Term(0, asked_at)
            return
        holder = (seen.spec.holderIdentity if seen.spec else "") or ""
        transitions = _transitions(seen)
        if holder != self.identity:
            self._term = None
            if holder and not self._ended(seen, holder):
                self._trouble = f"{holder} holds lease {self.namespace}/{LEASE}"
                return
            transitions += 1
        self._replace(seen, replace_holder=self.identity, transitions=transitions)
        self._term = Term(transitions, asked_at)

    def _ended(self, seen: Object, holder: str) -> bool:
        """Nobody has renewed it for its duration, by our clock: theirs may be another."""
        version = (seen.metadata.resourceVersion if seen.metadata else "") or ""
        now = self._monotonic()
        if self._sight is None or self._sight.resource_version != version:
            self._sight = Sight(holder, version, now)
        lasts = (seen.spec.leaseDurationSeconds if seen.spec else 0) or self.duration_seconds
        return now - self._sight.since >= lasts

    def _read(self) -> Object | None:
        return read(lambda: self.client.get(Object, LEASE, namespace=self.namespace))

    def _create(self) -> None:
        made = Object(
            metadata=ObjectMeta(name=LEASE, namespace=self.namespace),
            spec=self._spec(self.identity, 0, acquired=datetime.now(UTC)),
        )
        write(lambda: self.client.create(made, field_manager=FIELD_MANAGER))

    def _replace(self, seen: Object, *, replace_holder: str, transitions: int) -> None:
        """Refused with 409 where anybody wrote since it was read."""
        taken = bool(seen.spec and seen.spec.holderIdentity != replace_holder)
        acquired = seen.spec.acquireTime if seen.spec and not taken else datetime.now(UTC)
        made = Object(
            metadata=seen.metadata, spec=self._spec(replace_holder, transitions, acquired=acquired)
        )
        write(lambda: self.client.replace(made, field_manager=FIELD_MANAGER))

    def _spec(self, holder: str, transitions: int, *, acquired: datetime | None) -> LeaseSpec:
        return LeaseSpec(
            holderIdentity=holder,
            leaseDurationSeconds=math.ceil(self.duration_seconds),
            acquireTime=acquired,
            renewTime=datetime.now(UTC),
            leaseTransitions=transitions,
        )


def _transitions(seen: Object) -> int:
    return (seen.spec.leaseTransitions if seen.spec else 0) or 0
