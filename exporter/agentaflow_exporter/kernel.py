"""How many GPUs the kernel knows of, whatever NVML counts: one that fell off the bus is missed."""

from __future__ import annotations

from pathlib import Path

_NVIDIA = "0x10de"
_DISPLAY = ("0x0300", "0x0302")  # VGA and 3D controllers; not the audio and USB functions


def expected_gpus(root: Path = Path("/")) -> int | None:
    """Those of the kernel driver, and if it is not loaded those on the PCI bus; None: no telling.

    A container sees all of the bus, but of the kernel driver's GPUs only its own.
    """
    try:
        return len(list((root / "proc/driver/nvidia/gpus").iterdir()))
    except OSError:
        pass
    try:
        devices = list((root / "sys/bus/pci/devices").iterdir())
    except OSError:
        return None
    return sum(
        _read(device / "vendor") == _NVIDIA and _read(device / "class").startswith(_DISPLAY)
        for device in devices
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:  # unplugged since
        return ""
