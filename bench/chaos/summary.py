"""What `make chaos` prints: what went wrong, and what that should have been tried was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentaflow_advisor.act.channels import CHANNELS
from bench.chaos.fleet import METRIC_LIES
from bench.chaos.reckoning import Reckoning

if TYPE_CHECKING:
    from bench.chaos.run import Chaos


def missing(chaos: Chaos, *, thorough: bool) -> list[str]:
    """What was to be tried and was not: then the zeros show less than they say."""
    untried = [f"no worker died at {point}" for point in chaos.due]
    kinds = chaos.proxy.never()
    if not thorough:  # a small run has few lists and watches
        kinds = [kind for kind in kinds if ":" not in kind]
    untried += [f"nothing was struck by: {kind}" for kind in kinds]
    untried += [
        f"the metrics never lied: {lie}" for lie in METRIC_LIES if not chaos.lying_looks[lie]
    ]
    if thorough:
        untried += [f"the time never lied: {lie}" for lie in chaos.lies.due]
    if not chaos.prometheus_kills or not chaos.clock.met:
        untried.append("no worker met a dead Prometheus")
    channels = _channels(chaos)
    untried += [
        f"no decision of channel {name} took effect" for name in CHANNELS if not channels[name]
    ]
    return untried


def _channels(chaos: Chaos) -> Counter[str]:
    """By channel, the decisions that took effect."""
    return Counter(
        each.action.channel
        for journal in chaos.journals
        for each in journal.list()
        if each.state in ("applied", "verified", "reverted")
    )


def tell(found: Reckoning, chaos: Chaos, untried: list[str], seed: int, seconds: float) -> None:
    """To standard output."""
    struck, lies = chaos.proxy.counted, chaos.lies.told
    faults = struck.total() + lies.total() + chaos.prometheus_kills
    print(
        f"decisions {found.decisions}, kills {chaos.kills}, faults {faults}: "
        f"lost {len(found.lost)}, applied twice {len(found.twice)}, "
        f"innocent pods touched {len(found.innocent)}, "
        f"acts on stale evidence {len(found.stale)} (seed {seed}, {seconds:.0f} s)"
    )
    print(f"came to: {_listed(found.states)}")
    print(f"took effect: {_listed(_channels(chaos))}")
    print(f"killed at: {_listed(chaos.points)}")
    print(f"faults: {_listed(struck)}")
    follower = chaos.follower
    print(
        f"the view: changes {follower.events}, lists anew {follower.relists}, "
        f"comparisons with a list {follower.compared}: lost {len(follower.lost)}"
    )
    print(
        f"Prometheus: killed {chaos.prometheus_kills}, asked while dead {chaos.clock.met}, "
        f"lied: {_listed(lies)}"
    )
    print(
        f"looks while its metrics lied {chaos.lying_looks.total()}: "
        f"proposals {len(chaos.baseless)}; looks that failed {chaos.advisor.failed.total()}"
    )
    wrong = (*found.lost, *found.twice, *found.innocent, *found.stale, *follower.lost)
    for line in (*wrong[:20], *untried):
        print(f"  {line}")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items())) or "never"
