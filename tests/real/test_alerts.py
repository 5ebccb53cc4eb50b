"""The real promtool on the alert rules: valid, tested, and the tests notice a change."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ALERTS = Path(__file__).parents[2] / "alerts"
RULES = "agentaflow-exporter.yaml"
TESTS = sorted(path.name for path in (ALERTS / "tests").glob("*.yaml"))


def run(promtool: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=60)


def test_the_rules_are_valid(promtool: Path) -> None:
    """promtool's own lint has nothing to say."""
    ended = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", ALERTS / "rules" / RULES)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "SUCCESS: 3 rules found" in ended.stdout


@pytest.mark.parametrize("name", TESTS)
def test_an_alert_fires_and_stays_silent_as_its_tests_say(promtool: Path, name: str) -> None:
    """The alert's own tests pass: fires, near misses, ends, series vanish."""
    ended = run(promtool, "test", "rules", ALERTS / "tests" / name)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1 - agentaflow_gpu_up > 0", "1 - agentaflow_gpu_up > 1"),
        ("[1d:10m]", "[1h:10m]"),
        ("for: 2m", "for: 1m"),
        ("for: 2m", "for: 3m"),
        ("count without (gpu, uuid) (agentaflow_gpu_up)", "agentaflow_gpu_devices"),
        (" or 0 * agentaflow_exporter_driver_up)", ")"),
        ('{threshold="slowdown"} - 3', '{threshold="slowdown"} - 4'),
        ('{threshold="slowdown"} - 3', '{threshold="slowdown"} - 2'),
        ('{threshold="slowdown"} - 3', '{threshold="shutdown"} - 3'),
        (">= 87", "> 87"),
        (">= 87", ">= 86"),
        ("unless ignoring", "and ignoring"),
        ("keep_firing_for: 5m", "keep_firing_for: 1m"),
        ('up{job="agentaflow-exporter"} == 0', 'absent(up{job="agentaflow-exporter"})'),
        ('absent(up{job="agentaflow-exporter"})', 'up{job="agentaflow-exporter"} == 0'),
        ('up{job="agentaflow-exporter"} == 0', "up == 0"),
        ("severity: critical", "severity: warning"),
    ],
)
def test_the_tests_notice_a_change(promtool: Path, tmp_path: Path, before: str, after: str) -> None:
    """A rule that is changed in a small way no longer passes its tests."""
    shutil.copytree(ALERTS, tmp_path, dirs_exist_ok=True)
    rules = tmp_path / "rules" / RULES
    text = rules.read_text()
    assert before in text
    rules.write_text(text.replace(before, after))
    ended = run(promtool, "test", "rules", *sorted((tmp_path / "tests").iterdir()))
    assert ended.returncode != 0
    assert "FAILED" in ended.stdout + ended.stderr
