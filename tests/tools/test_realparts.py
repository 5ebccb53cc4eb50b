"""Where real parts are looked for, through the command that the Makefile runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.programs import CLUSTER_PROGRAMS, STAGES


def check(*parts: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.realparts", "--check", *parts],
        capture_output=True,
        text=True,
        env={**os.environ, "KUBEBUILDER_ASSETS": "", **environment},
    )


def program(folder: Path, name: str, says: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)


def test_a_prometheus_on_path_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    """A user's own Prometheus and promtool, 2.42 or newer, need nothing else."""
    for name in ("prometheus", "promtool"):
        program(tmp_path / "bin", name, f"{name}, version 3.1.0 (branch: x)")
    ended = check("prometheus", PATH=f"{tmp_path}/bin:/bin", XDG_CACHE_HOME=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (0, "every part is there\n")


def test_a_prometheus_on_path_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    """An older one is as good as none, and the line says which version is wanted."""
    program(tmp_path / "bin", "prometheus", "prometheus, version 2.10.0 (branch: x)")
    ended = check("prometheus", PATH=f"{tmp_path}/bin:/bin", XDG_CACHE_HOME=str(tmp_path))
    assert ended.returncode == 1
    assert "prometheus: no 2.42 or newer on PATH" in ended.stdout


@pytest.mark.parametrize(("version", "taken"), [("3.16.2", True), ("3.4.0", False)])
def test_rules_are_tested_on_a_prometheus_3_too(tmp_path: Path, version: str, taken: bool) -> None:
    """Beside the oldest promtool one of 3.16 or newer is wanted; on PATH it needs no Go."""
    program(tmp_path / "bin", "promtool", f"promtool, version {version} (branch: x)")
    environment = {"PATH": f"{tmp_path}/bin:/bin", "XDG_CACHE_HOME": str(tmp_path)}
    assert ("promtool: no 3.16" not in check("prometheus-3", **environment).stdout) is taken
    assert ("promtool: no 3.16" not in check(**environment).stdout) is taken


@pytest.mark.parametrize("name", ["node_exporter", "prometheus-node-exporter"])
def test_a_node_exporter_on_path_is_taken(tmp_path: Path, name: str) -> None:
    """The peer of the benches is found by its own name and by Debian's."""
    program(tmp_path / "bin", name, f"{name}, version 1.5.0 (branch: x)")
    ended = check("node-exporter", PATH=f"{tmp_path}/bin:/bin", XDG_CACHE_HOME=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (0, "every part is there\n")


def test_a_node_exporter_is_missed_only_where_it_is_asked_for(tmp_path: Path) -> None:
    """Only the benches need it: without it the tests lack nothing."""
    environment = {"PATH": "/bin", "XDG_CACHE_HOME": str(tmp_path)}
    assert "node_exporter: no 1.3" in check("node-exporter", **environment).stdout
    assert "node_exporter: no 1.3" not in check(**environment).stdout


@pytest.mark.parametrize(("version", "taken"), [("0.42.1", True), ("0.29.0", False)])
def test_a_thanos_on_path_that_is_new_enough_is_taken(
    tmp_path: Path, version: str, taken: bool
) -> None:
    """From 0.30 on a user's own needs no Go; the tests need one."""
    program(tmp_path / "bin", "thanos", f"thanos, version {version} (branch: HEAD)")
    environment = {"PATH": f"{tmp_path}/bin:/bin", "XDG_CACHE_HOME": str(tmp_path)}
    assert ("thanos: no 0.30" not in check("thanos", **environment).stdout) is taken
    assert ("thanos: no 0.30" not in check(**environment).stdout) is taken


def test_kubebuilder_assets_are_honoured(tmp_path: Path) -> None:
    """Programs in $KUBEBUILDER_ASSETS are taken, and only the ones it lacks are missed."""
    for name in CLUSTER_PROGRAMS:
        program(tmp_path / "assets", name)
    ended = check(
        "kubernetes", KUBEBUILDER_ASSETS=f"{tmp_path}/assets", XDG_CACHE_HOME=str(tmp_path)
    )
    assert ended.returncode == 1
    assert ended.stdout.splitlines() == [
        f"{STAGES}: not in $KUBEBUILDER_ASSETS, not in {tmp_path}/agentaflow"
    ]


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    """A misspelt part ends in a line that lists the parts there are."""
    ended = check("promethius", XDG_CACHE_HOME=str(tmp_path))
    assert ended.returncode == 2
    there = (
        "compiler, prometheus, prometheus-3, alertmanager, kubernetes, prometheus-operator, kueue,"
        " thanos, browser, node-exporter"
    )
    assert f"no such part: promethius (there are {there})" in ended.stderr
