"""Product names to price lists' names: an exact table, since an RTX A1000 is no A100."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Product:
    """A GPU as price lists know it. Memory tells the A100 of 40 GB from that of 80 GB."""

    gpu: str
    memory_mib: int


_M60 = Product("m60", 8_192)
_T4 = Product("t4", 16_384)
_T4G = Product("t4g", 16_384)
_A10 = Product("a10", 24_576)
_A10G = Product("a10g", 22_888)
_L4 = Product("l4", 22_888)
_L40S = Product("l40s", 45_776)
_V100_16 = Product("v100", 16_384)
_V100_32 = Product("v100", 32_768)
_A100_40 = Product("a100", 40_960)
_A100_80 = Product("a100", 81_920)
_H100 = Product("h100", 81_920)
_H100_NVL = Product("h100-nvl", 96_256)
_H200 = Product("h200", 144_384)
_B200 = Product("b200", 183_359)
_GB200 = Product("gb200", 189_471)
_B300 = Product("b300", 275_040)
_RTX_PRO_4500 = Product("rtx-pro-4500", 32_768)
_RTX_PRO_6000 = Product("rtx-pro-server-6000", 98_304)

PRODUCTS: Mapping[str, Product] = {
    "m60": _M60,
    "t4": _T4,
    "t4g": _T4G,
    "a10": _A10,
    "a10g": _A10G,
    "l4": _L4,
    "l40s": _L40S,
    "v100 sxm2 16gb": _V100_16,
    "v100 pcie 16gb": _V100_16,
    "v100 sxm2 32gb": _V100_32,
    "v100 sxm3 32gb": _V100_32,
    "v100 pcie 32gb": _V100_32,
    "a100 sxm4 40gb": _A100_40,
    "a100 pcie 40gb": _A100_40,
    "a100 sxm4 80gb": _A100_80,
    "a100 80gb pcie": _A100_80,
    "h100 80gb hbm3": _H100,
    "h100 pcie": _H100,
    "h100 nvl": _H100_NVL,
    "h200": _H200,
    "b200": _B200,
    "gb200": _GB200,
    "b300 sxm6 ac": _B300,
    "rtx pro 4500 blackwell": _RTX_PRO_4500,
    "rtx pro 4500 blackwell server edition": _RTX_PRO_4500,
    "rtx pro 6000 blackwell server edition": _RTX_PRO_6000,
}
"""nvmlDeviceGetName in lower case, without the brand and with blanks for dashes."""

_BRAND = re.compile(r"^(nvidia )?(tesla )?")


def plain(name: str) -> str:
    """NVML's name of a GPU as the tables have it."""
    return _BRAND.sub("", " ".join(name.lower().replace("-", " ").split()))


def same_name(one: str, other: str) -> bool:
    """Whether both are NVIDIA's name of one product, whole: an A40 is no RTX A4000."""
    return plain(one) == plain(other) != ""


@lru_cache
def product(name: str) -> Product | None:
    """The product of that name as NVML tells it; None where no list price is known for it."""
    return PRODUCTS.get(plain(name))
