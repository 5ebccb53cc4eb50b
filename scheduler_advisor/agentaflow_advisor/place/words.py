"""A placement in words: why this node, why not the others, and why none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentaflow_advisor.place.strategy import Candidate, Strategy


def why(
    strategy: Strategy, told: Sequence[Candidate], refused: Mapping[str, int], standing: str
) -> str:
    """The chosen node and the runner-up, or why there is none; then its place in the queue."""
    said = [_told(candidate, strategy) for candidate in told]
    standing = standing and f"; {standing}"
    if len(said) == 2:
        return f"{said[0]}; runner-up {said[1]}{standing}"
    if not refused:
        return f"{said[0]}; it is the only node{standing}"
    return f"{said[0]}; no other node can take it: {counted(refused)}{standing}"


def _told(candidate: Candidate, strategy: Strategy) -> str:
    kept = "".join(f", {left} {name} left" for name, left in candidate.extended)
    return f"{candidate.node.name} {strategy.explain(candidate)}{kept}"


def counted(reasons: Mapping[str, int]) -> str:
    """The reasons with their numbers of nodes, most frequent first."""
    if not reasons:
        return "there are no nodes"
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{count} node{'s' * (count > 1)}: {reason}" for reason, count in ordered)
