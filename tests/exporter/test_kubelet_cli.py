"""The exporter as a process, with a kubelet to ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.settings import load
from tests.support.exporter_process import run, running
from tests.support.fake_kubelet import FakeKubelet, pod, short_folder

POD_INFO = b'agentaflow_gpu_pod_info{gpu="3",'
SUCCESS = b'agentaflow_exporter_collector_success{collector="pods"} '


@pytest.fixture
def path() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "kubelet.sock"


def test_kubelet_that_comes_later(tmp_path: Path, path: Path) -> None:
    """A missing socket is no reason not to start; the log says it once."""
    flags = ("--backend=simulated", f"--attribution.kubelet-socket={path}")
    with running(tmp_path, *flags) as exporter:
        for _ in range(3):
            body = exporter.get()
            assert SUCCESS + b"0" in body
            assert b"agentaflow_gpu_pod_info" not in body
            assert b'agentaflow_gpu_power_watts{gpu="3"' in body
        with FakeKubelet(path, pod("train", "3")):
            body = exporter.get()
        assert SUCCESS + b"1" in body
        assert POD_INFO in body
        assert exporter.stop() == 0
        log = exporter.log.read_text()
    assert log.count("collector failed") == 1
    assert "is it running, and is its folder mounted?" in log
    assert log.count("collector works again") == 1


def test_inline(tmp_path: Path, path: Path) -> None:
    """Flags make labels of what the kubelet says."""
    flags = ("--attribution.labels=inline", "--compat=dcgm", f"--attribution.kubelet-socket={path}")
    with (
        FakeKubelet(path, pod("train", "3")),
        running(tmp_path, "--backend=simulated", *flags) as exporter,
    ):
        body = exporter.get().decode()
    [line] = [x for x in body.splitlines() if x.startswith('agentaflow_gpu_power_watts{gpu="3"')]
    assert 'namespace="research",pod="train",container="main"} ' in line
    [line] = [x for x in body.splitlines() if x.startswith('DCGM_FI_DEV_POWER_USAGE{gpu="3"')]
    assert 'container="main",namespace="research",pod="train"} ' in line


def test_without_the_extra(tmp_path: Path) -> None:
    """One line says what to install; without the flag nothing of it is missed."""
    (tmp_path / "h2.py").write_text("raise ImportError('no module named h2')")
    path = ":".join([str(tmp_path), "exporter"])
    ended = run("--attribution.kubelet-socket=/x", environment={"PYTHONPATH": path})
    assert ended.returncode == 2
    assert ended.stderr == (
        "agentaflow-exporter: --attribution.kubelet-socket needs the extra: "
        "pip install 'agentaflow[kubernetes]'\n"
    )
    with running(tmp_path, "--backend=simulated", environment={"PYTHONPATH": path}) as exporter:
        assert SUCCESS + b"1" in exporter.get()


def test_two_sources() -> None:
    """A file and a kubelet could contradict each other."""
    flags = {"attribution.pods-file": "a", "attribution.kubelet-socket": "b"}
    with pytest.raises(SettingsError, match="give one of them"):
        load(flags, {}, None)


def test_unknown_shape_of_labels() -> None:
    """What does not do is told with what does."""
    with pytest.raises(SettingsError, match="'outline' does not do: give one of join, inline"):
        load({"attribution.labels": "outline"}, {}, None)
