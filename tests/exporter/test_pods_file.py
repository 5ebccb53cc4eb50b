"""Pods from a file that changes under the exporter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentaflow_exporter import metrics
from agentaflow_exporter.attribution.pods_file import PodsFile, PodsFileError
from agentaflow_exporter.collector import Pod, Sources
from agentaflow_exporter.collectors.pods import POD_INFO
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from tests.support.scraping import UUIDS, Seen

ROW = "- {gpu: 0, namespace: research, pod: notebook, container: main}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pods.yaml"


def replace(file: Path, text: str) -> None:
    part = file.with_suffix(".part")
    part.write_text(text)
    part.replace(file)


def test_rows(file: Path) -> None:
    """A row names its GPU by index or by uuid."""
    file.write_text(ROW + "- {uuid: GPU-1, namespace: a, pod: b, container: c}\n")
    assert list(PodsFile(file)()) == [
        Pod("0", "research", "notebook", "main"),
        Pod("GPU-1", "a", "b", "c"),
    ]


def test_empty_file(file: Path) -> None:
    """An empty file says that no pod holds a GPU."""
    file.write_text("")
    assert PodsFile(file)() == ()


def test_follows_the_file(file: Path) -> None:
    """A change counts from the next scrape on; without one the file is not read again."""
    file.write_text(ROW)
    source = PodsFile(file)
    assert source() is source()
    replace(file, ROW.replace("notebook", "training"))
    assert source()[0].pod == "training"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pods: []", "must be a list"),
        ("- 7", "row 1: must be a mapping"),
        (ROW + "- {gpu: 1, namespace: a, pod: b}", "row 2: container"),
        ("- {gpu: 1, uuid: x, namespace: a, pod: b, container: c}", "either uuid or gpu"),
        ("- {namespace: a, pod: b, container: c}", "either uuid or gpu"),
        ("- {gpu: 1, namespace: a, pod: b, container: c, node: d}", "unknown key 'node'"),
        ("- {gpu: 1, namespace: 2, pod: b, container: c}", "namespace must be a text"),
        ("- {gpu: true, namespace: a, pod: b, container: c}", "index such as 0"),
        ("- {gpu: [1], namespace: a, pod: b, container: c}", "index such as 0"),
        ("- {", "not YAML"),
    ],
)
def test_bad_file(file: Path, text: str, said: str) -> None:
    """One line names the file, the row, and what to write."""
    file.write_text(text)
    with pytest.raises(PodsFileError, match=said) as caught:
        PodsFile(file)()
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_missing_file(file: Path) -> None:
    """A file that is not there is told, too."""
    with pytest.raises(PodsFileError, match="No such file"):
        PodsFile(file)()


def test_change_for_the_worse(file: Path, driver: NvmlDriver) -> None:
    """After a bad change no pod is exported, rather than one that may be gone; then all is well."""
    file.write_text(ROW)
    scraper = Scraper(driver, sources=Sources(pods=PodsFile(file)))
    assert POD_INFO in Seen(scraper.scrape()).families
    replace(file, "- 7")
    seen = Seen(scraper.scrape())
    assert POD_INFO not in seen.families
    assert seen.value(metrics.COLLECTOR_SUCCESS, "pods") == 0
    assert seen.value(metrics.GPU_UP, "0", UUIDS[0]) == 1
    replace(file, ROW)
    assert POD_INFO in Seen(scraper.scrape()).families


def test_same_size_and_time(file: Path) -> None:
    """A file that was put in place of another of the same size and time is noticed."""
    file.write_text(ROW)
    source = PodsFile(file)
    source()
    before = file.stat()
    replace(file, ROW.replace("notebook", "training"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source()[0].pod == "training"
