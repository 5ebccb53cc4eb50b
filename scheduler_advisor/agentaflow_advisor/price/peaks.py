"""How fast a GPU can be at most, by data sheet: what a smaller one costs in time, at worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peak:
    """Published peaks: memory bandwidth in GB/s, dense FP16 tensor (else FP16) in TFLOPS.

    `arm`: sold with Arm CPUs only, for which a pod's images may not be built.
    """

    bandwidth_gb_s: float
    tflops: float
    arm: bool = False


PEAKS: Mapping[tuple[str, int], Peak] = {
    ("t4", 16_384): Peak(320, 65),
    ("t4g", 16_384): Peak(320, 65, arm=True),
    ("a10", 24_576): Peak(600, 125),
    ("a10g", 22_888): Peak(600, 70),
    ("l4", 22_888): Peak(300, 121),
    ("l40s", 45_776): Peak(864, 362),
    ("v100", 16_384): Peak(900, 125),
    ("v100", 32_768): Peak(900, 125),
    ("a100", 40_960): Peak(1555, 312),
    ("a100", 81_920): Peak(2039, 312),
    ("h100", 81_920): Peak(3350, 989),
    ("h100-nvl", 96_256): Peak(3900, 835),
    ("h200", 144_384): Peak(4800, 989),
    ("b200", 183_359): Peak(8000, 2250),
    ("gb200", 189_471): Peak(8000, 2500, arm=True),
    ("b300", 275_040): Peak(8000, 2500),
}
"""By price lists' name and MiB. NVIDIA's data sheets, without sparsity; of several forms of one
product the fastest. A product that is not here is neither judged nor proposed."""


def slowdown(now: Peak, then: Peak) -> float:
    """How many times longer work takes, whichever of the two peaks bounds it; 1 at least."""
    return max(1.0, now.bandwidth_gb_s / then.bandwidth_gb_s, now.tflops / then.tflops)
