"""The number of GPUs that there should be, read from files like the kernel's."""

from __future__ import annotations

from pathlib import Path

from agentaflow_exporter import metrics
from agentaflow_exporter.collector import Sources
from agentaflow_exporter.collectors.expected import GPU_EXPECTED
from agentaflow_exporter.kernel import expected_gpus
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import Seen


def on_the_bus(root: Path, address: str, vendor: str, kind: str) -> None:
    device = root / "sys/bus/pci/devices" / address
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")


def test_the_kernel_drivers_gpus(tmp_path: Path) -> None:
    """What the kernel driver holds counts, whatever else is on the bus."""
    for address in ("0000:17:00.0", "0000:18:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / address).mkdir(parents=True)
    on_the_bus(tmp_path, "0000:99:00.0", "0x10de", "0x030200")
    assert expected_gpus(tmp_path) == 2


def test_without_the_kernel_driver(tmp_path: Path) -> None:
    """NVIDIA's display controllers on the bus count; its audio functions and other vendors do not.

    A device that is unplugged while it is looked at is not one.
    """
    on_the_bus(tmp_path, "0000:17:00.0", "0x10de", "0x030200")
    on_the_bus(tmp_path, "0000:18:00.0", "0x10de", "0x030000")
    on_the_bus(tmp_path, "0000:18:00.1", "0x10de", "0x040300")
    on_the_bus(tmp_path, "0000:00:02.0", "0x8086", "0x030000")
    (tmp_path / "sys/bus/pci/devices/0000:19:00.0").mkdir()
    assert expected_gpus(tmp_path) == 2


def test_no_telling(tmp_path: Path) -> None:
    """Where there is neither, the number is unknown and not 0."""
    assert expected_gpus(tmp_path) is None


def test_expected_against_seen(driver: NvmlDriver, stub: NvmlStub) -> None:
    """A GPU that the driver does not enumerate is missed, also while there is no driver at all."""
    stub.script("gpus 7")
    scraper = Scraper(driver, sources=Sources(expected=lambda: 8))
    seen = Seen(scraper.scrape())
    assert seen.value(GPU_EXPECTED) == 8
    assert seen.value(metrics.GPU_DEVICES) == 7
    stub.script("- nvmlDeviceGetCount_v2 error 9", "- nvmlInitWithFlags error 9")
    seen = Seen(scraper.scrape())
    assert seen.value(GPU_EXPECTED) == 8
    assert seen.value(metrics.COLLECTOR_SUCCESS, "expected") == 1


def test_nobody_knows(driver: NvmlDriver) -> None:
    """Without a source, or with one that cannot tell, there is no series."""
    assert GPU_EXPECTED not in Seen(Scraper(driver).scrape()).families
    unknown = Scraper(driver, sources=Sources(expected=lambda: None))
    assert GPU_EXPECTED not in Seen(unknown.scrape()).families
