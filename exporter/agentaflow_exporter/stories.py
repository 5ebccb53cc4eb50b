"""Who does what on the simulated fleet: named stories whose truth is known, and ordinary use.

The cast is drawn for 8 nodes at a time, so that a fleet of any size has its share of each story and
one node's part is known without drawing the others'.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentaflow_exporter.collector import Pod
from agentaflow_exporter.signals import (
    Bursts,
    Constant,
    Noise,
    Signal,
    Total,
    Wave,
    pulses,
    total,
)

NODES_PER_CAST = 8

TRUTHS = {
    "busy_training": "A training job that uses its GPU day and night: leave it alone.",
    "idle_notebook": "A notebook holds memory and a pod, and has not computed for days.",
    "oversized_inference": "An inference pod that never needs more than a fifth of its GPU.",
    "hot_node": "A node that is cooled badly: its GPUs reach the slowdown threshold.",
    "ecc_errors": "A GPU whose uncorrected memory errors grow: drain it and have it replaced.",
    "forgotten_process": "A process without a pod holds memory and computes nothing.",
    "training": "Ordinary training.",
    "inference": "Ordinary inference, in bursts: idle at moments, never for long.",
    "unallocated": "Nobody's: no pod, no process.",
}
ORDINARY = ("training", "inference", "unallocated")
# In the order in which a small fleet gets them; a node more than one adds hot_node.
_STARS = (
    "busy_training",
    "idle_notebook",
    "oversized_inference",
    "forgotten_process",
    "ecc_errors",
    "idle_notebook",
    "oversized_inference",
)
_FEWEST_STARS = 5
NEVER = Constant(0.0)
_UNALLOCATED_SHARE = 0.15
_TRAINING_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Story:
    """What is true of one GPU of the fleet, whatever the metrics may suggest."""

    name: str
    node: str
    gpu: int
    uuid: str
    truth: str
    pods: tuple[Pod, ...]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a story does to a GPU. Signals of ratios are 0…1; the indicators are 0 or 1."""

    utilization: Signal = NEVER
    memory_ratio: float = 0.0
    processes: int = 0
    power_capped: Signal = NEVER
    too_hot: Signal = NEVER
    badly_cooled: bool = False
    uncorrected_per_day: float = 0.0
    corrected_per_day: float = 0.02
    nvlink_ratio: float = 0.0  # of the links' speed, at full utilization


def roles(seed: int, nodes: range, gpus_per_node: int) -> dict[tuple[int, int], str]:
    """The story or ordinary use of each (node, gpu) of one cast."""
    chance = random.Random(f"{seed}/cast/{nodes.start}")  # noqa: S311
    hot = chance.choice(nodes) if len(nodes) > 1 else None
    slots = [(node, gpu) for node in nodes if node != hot for gpu in range(gpus_per_node)]
    chance.shuffle(slots)
    stars = dict(zip(slots, _STARS[: max(_FEWEST_STARS, len(slots) // 8)], strict=False))
    use = {node: _ordinary_use(chance) for node in nodes}
    cast = {}
    for node in nodes:
        for gpu in range(gpus_per_node):
            ordinary = "unallocated" if chance.random() < _UNALLOCATED_SHARE else use[node]
            cast[node, gpu] = "hot_node" if node == hot else stars.get((node, gpu), ordinary)
    return cast


def _ordinary_use(chance: random.Random) -> str:
    return "training" if chance.random() < _TRAINING_SHARE else "inference"


def behaviour(role: str, key: int) -> Behaviour:
    """What `role` does on the GPU whose random key is `key`."""
    match role:
        case "idle_notebook":
            return Behaviour(memory_ratio=0.4 + 0.3 * _part(key, 1), processes=1)
        case "forgotten_process":
            return Behaviour(memory_ratio=0.2 + 0.3 * _part(key, 1), processes=1)
        case "oversized_inference":
            return Behaviour(total(Wave(0.14, 0.02), Noise(key, 0.035)), 0.22, 1)
        case "inference":
            load = Wave(0.18 + 0.06 * _part(key, 1), 0.08, peak_seconds=15 * 3600.0)
            return Behaviour(Bursts(load, key, 600.0, 0.4, 0.92), 0.6 + 0.3 * _part(key, 2), 1)
        case "unallocated":
            return Behaviour()
        case "hot_node":
            too_hot = pulses(key + 3, share=0.25, slot_seconds=600.0)
            return replace(_training(key), too_hot=too_hot, badly_cooled=True)
        case "ecc_errors":
            return replace(_training(key), uncorrected_per_day=4.0, corrected_per_day=60.0)
        case _:
            return _training(key)


def _training(key: int) -> Behaviour:
    """Busy day and night, a little more so by day; short pauses while a checkpoint is written."""
    busy = total(Wave(0.84 + 0.04 * _part(key, 1), 0.05), Noise(key, 0.06))
    checkpoints = pulses(key + 1, share=0.02, slot_seconds=1800.0)
    return Behaviour(
        utilization=Total(((1.0, busy), (-0.5, checkpoints))),
        memory_ratio=0.8 + 0.15 * _part(key, 2),
        processes=1,
        power_capped=pulses(key + 2, share=0.12, slot_seconds=900.0),
        nvlink_ratio=0.1 + 0.05 * _part(key, 3),
    )


def pods(role: str, node: int, gpu: int, uuid: str) -> tuple[Pod, ...]:
    """Training jobs span the GPUs of a node, everything else has a pod for each GPU."""
    match role:
        case "unallocated" | "forgotten_process":
            return ()
        case "idle_notebook":
            return (Pod(uuid, "research", f"notebook-{node}-{gpu}", "jupyter"),)
        case "oversized_inference":
            return (Pod(uuid, "serving", f"classifier-{node}-{gpu}", "server"),)
        case "inference":
            return (Pod(uuid, "serving", f"llm-{node}-{gpu}", "server"),)
        case _:
            return (Pod(uuid, "training", f"pretrain-{node}", "trainer"),)


def landing_rows(stories: Sequence[Story]) -> list[tuple[str, str, str]]:
    """(where, story, truth) for people; all GPUs of a hot node are one row."""
    rows = {}
    for story in stories:
        hot = story.name == "hot_node"
        where = story.node if hot else f"{story.node} GPU {story.gpu}"
        rows[where, story.name] = (where, story.name, story.truth)
    return list(rows.values())


def _part(key: int, number: int) -> float:
    """One of a GPU's own constants, in [0, 1)."""
    return ((key >> (8 * number)) & 0xFF) / 256
