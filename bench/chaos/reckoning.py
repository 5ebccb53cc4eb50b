"""What came of it: the API server's audit log beside the journals, decision by decision."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.model.names import CHECK, DECISION, REVERTED
from bench.chaos.worker import UNDONE

DONE = frozenset({State.APPLIED, State.VERIFIED, State.REVERTED})
OPEN = frozenset({State.PROPOSED, State.APPROVED, State.INTENDED})


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Every field but `decisions` and `states` names what is wrong: all have to be empty."""

    decisions: int
    states: Mapping[str, int]
    lost: tuple[str, ...]
    twice: tuple[str, ...]
    innocent: tuple[str, ...]
    stale: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.lost or self.twice or self.innocent or self.stale)


@dataclass(frozen=True, slots=True)
class Writes:
    """What the API server accepted from us: how often, by decision; evictions by uid."""

    applied: Counter[str]
    undone: Counter[str]
    evicted: Counter[str]


def writes(audit_log: Path) -> Writes:
    """Of every accepted request of ours that was no rehearsal."""
    found = Writes(Counter(), Counter(), Counter())
    for line in audit_log.read_text().splitlines():
        event = json.loads(line)
        uri = event["requestURI"]
        accepted = event["responseStatus"].get("code", 0) in (200, 201)
        if not accepted or "fieldManager=agentaflow" not in uri or "dryRun" in uri:
            continue
        _count(found, event.get("requestObject") or {}, event["objectRef"])
    return found


def _count(found: Writes, body: Mapping[str, Any], at: Mapping[str, Any]) -> None:
    if at.get("subresource") == "eviction":
        found.evicted[body["deleteOptions"]["preconditions"]["uid"]] += 1
        return
    if at["resource"] == "workloads":  # of Kueue: the marker is our check's message
        said = next(
            one["message"] for one in body["status"]["admissionChecks"] if one["name"] == CHECK
        )
        _, marker, *rest = said.split()
        (found.undone if rest else found.applied)[marker] += 1
        return
    notes = body["metadata"]["annotations"]
    if reverted := notes.get(REVERTED):
        found.undone[reverted] += 1
    else:
        found.applied[notes[DECISION]] += 1


def reckon(
    decisions: Iterable[Decision],
    done: Writes,
    marked: Mapping[str, str],
    replaced: frozenset[str],
    baseless: frozenset[str] = frozenset(),
    removed: frozenset[str] = frozenset(),
) -> Reckoning:
    """`marked`: uid of each pod and Job that was seen → the decision that it carried; `replaced`:
    uids of those that nobody decided about; `baseless`: ids of decisions made while it lied;
    `removed`: uids of what people took away, maybe before an advisor saw what it had done there.
    """
    known = {decision.id: decision for decision in decisions}
    lost = [f"{each.id} is still {each.state}" for each in known.values() if each.state in OPEN]
    twice = [f"{each} was written {n} times" for each, n in done.applied.items() if n > 1]
    twice += [f"{each} was undone {n} times" for each, n in done.undone.items() if n > 1]
    twice += [f"pod {each} was evicted {n} times" for each, n in done.evicted.items() if n > 1]
    stale = []
    # of two advisors that evict one pod, either may be the one that tells it
    gone = frozenset(
        each.action.uid
        for each in known.values()
        if each.action.channel == "eviction" and each.state in DONE
    )
    for each in known.values():
        evicts = each.action.channel == "eviction"
        written = done.evicted[each.action.uid] if evicts else done.applied[each.id]
        told = gone if evicts else frozenset()
        was_done = each.state in DONE or each.reason.startswith(f"{UNDONE}: ")
        was_done |= each.state is State.SUPERSEDED and each.action.uid in removed
        if written and not was_done and each.action.uid not in told:
            lost.append(f"{each.id} took effect and is {each.state}: {each.reason}")
        if not written and each.state in DONE and not evicts:
            lost.append(f"{each.id} is {each.state} and never took effect")
        if each.state is State.REVERTED and not done.undone[each.id]:
            lost.append(f"{each.id} is reverted and still stands")
        if written and (each.strategy == "stale" or each.id in baseless) and not told:
            stale.append(each.id)
    innocent = [f"pod {uid} was evicted" for uid in done.evicted if uid in replaced]
    innocent += [
        f"{uid} carries {marker}" for uid, marker in marked.items() if marker and uid in replaced
    ]
    states = Counter(str(each.state) for each in known.values())
    return Reckoning(len(known), states, *map(tuple, (lost, twice, innocent, stale)))
