"""Both promtools on alerts and recording rules: valid, tested; the tests notice a change."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.parts import need
from tools.alert_rules import rules, thresholds, values
from tools.programs import promtool_of, version_of

ALERTS = Path(__file__).parents[2] / "alerts"
RULES = sorted((ALERTS / "templates").glob("*.yaml"))
RECORDING = sorted((ALERTS / "rules").glob("agentaflow-recording-*.yaml"))
TESTS = sorted(path.name for path in (ALERTS / "tests").glob("*.yaml"))


def version(major: int) -> str:
    program = promtool_of(major)
    found = version_of(str(program)) if program else ()
    return f"promtool-{'.'.join(map(str, found)) or f'{major}-missing'}"


@pytest.fixture(params=[2, 3], ids=version)
def each_promtool(request: pytest.FixtureRequest) -> Path:
    """The oldest that we support, of Debian, and the newest, built by Go."""
    program = promtool_of(request.param)
    need(f"promtool of Prometheus {request.param}", program is not None)
    assert program is not None
    return program


def run(promtool: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=300)


def test_the_rules_are_valid(each_promtool: Path) -> None:
    """promtool's own lint has nothing to say."""
    files = [ALERTS / "rules" / path.name for path in RULES]
    ended = run(each_promtool, "check", "rules", "--lint=all", "--lint-fatal", *files)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("SUCCESS") == len(RULES)


@pytest.mark.parametrize("path", RECORDING, ids=lambda path: path.stem)
def test_the_recording_rules_are_valid(each_promtool: Path, path: Path) -> None:
    """The same of what is recorded; promtool knows no metric under two names."""
    ended = run(each_promtool, "check", "rules", "--lint=all", "--lint-fatal", path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", TESTS)
def test_rules_do_as_their_tests_say(each_promtool: Path, name: str) -> None:
    """An alert fires, misses, ends; what is recorded keeps gaps, NaN, resets and lost GPUs."""
    ended = run(each_promtool, "test", "rules", ALERTS / "tests" / name)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1 - agentaflow_gpu_up > 0", "1 - agentaflow_gpu_up > 1"),
        ("count without (gpu, uuid) (agentaflow_gpu_up)", "agentaflow_gpu_devices"),
        (" or 0 * agentaflow_exporter_driver_up)", ")"),
        ('{threshold="slowdown"} - 3', '{threshold="slowdown"} - 4'),
        ('{threshold="slowdown"} - 3', '{threshold="slowdown"} - 2'),
        ('{threshold="slowdown"} - 3', '{threshold="shutdown"} - 3'),
        (">= 87", ">= 86"),
        ("unless ignoring", "and ignoring"),
        ('up{job="agentaflow-exporter"} == 0', 'absent(up{job="agentaflow-exporter"})'),
        ('absent(up{job="agentaflow-exporter"})', 'up{job="agentaflow-exporter"} == 0'),
        ("severity: critical", "severity: warning"),
    ],
)
def test_the_tests_notice_a_change(promtool: Path, tmp_path: Path, before: str, after: str) -> None:
    """A rule that is changed in a small way no longer passes its tests."""
    shutil.copytree(ALERTS, tmp_path, dirs_exist_ok=True)
    hit = set()
    for path in RULES:
        copy = tmp_path / "rules" / path.name
        text = copy.read_text()
        if before in text:
            hit.add(f"../rules/{path.name}")
            copy.write_text(text.replace(before, after))
    assert hit
    assert_noticed(promtool, tmp_path, hit)


@pytest.mark.parametrize("name", thresholds())
@pytest.mark.parametrize("factor", [0.5, 2])
def test_the_tests_notice_another_threshold(
    promtool: Path, tmp_path: Path, name: str, factor: float
) -> None:
    """Half of a number, or twice as much, is not what the tests expect."""
    shutil.copytree(ALERTS / "tests", tmp_path / "tests")
    (tmp_path / "rules").mkdir()
    kept, made = rules(values()), rules({**values(), name: values()[name] * factor})
    for file, text in made.items():
        (tmp_path / "rules" / file).write_text(text)
    changed = {f"../rules/{file}" for file, text in made.items() if text != kept[file]}
    assert_noticed(promtool, tmp_path, changed)


def assert_noticed(promtool: Path, folder: Path, changed: set[str]) -> None:
    """Of the tests that load a changed file, some fail."""
    tests = [
        path
        for path in sorted((folder / "tests").iterdir())
        if changed & set(yaml.safe_load(path.read_text())["rule_files"])
    ]
    ended = run(promtool, "test", "rules", *tests)
    assert ended.returncode != 0
    assert "FAILED" in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("agentaflow", "max_over_time(agentaflow_gpu_util", "min_over_time(agentaflow_gpu_util"),
        ("agentaflow", '{engine="gpu"}', ""),
        ("agentaflow", "1 - avg_over_time(agentaflow_gpu_up", "avg_over_time(agentaflow_gpu_up"),
        ("agentaflow", "agentaflow_gpu_up[5m])) * 300", "agentaflow_gpu_up[5m])) * 60"),
        ("agentaflow", "[1h] offset 5m", "[1m] offset 5m"),
        ("agentaflow", "pcie_replays_total offset 5m", "pcie_replays_total offset 9m"),
        ("agentaflow", " * 16384,", " * 8192,"),
        ("dcgm", 'GPU_UTIL{GPU_I_ID=""}[5m])) / 100', 'GPU_UTIL{GPU_I_ID=""}[5m]))'),
        ("dcgm", "max_over_time(DCGM_FI_DEV_GPU_UTIL", "min_over_time(DCGM_FI_DEV_GPU_UTIL"),
        ("dcgm", "sum_over_time(DCGM_FI_DEV_GPU_UTIL", "max_over_time(DCGM_FI_DEV_GPU_UTIL"),
        ("dcgm", "count_over_time(DCGM_FI_DEV_GPU_UTIL", "sum_over_time(DCGM_FI_DEV_GPU_UTIL"),
        ("dcgm", " / 1000", " / 100"),
        ("dcgm", " / 1e9", " / 1e8"),
        ("dcgm", " * 1048576", " * 1000000"),
        ("dcgm-4.6", "max_over_time(DCGM_FI_DEV_GPU_UTIL", "min_over_time(DCGM_FI_DEV_GPU_UTIL"),
        ("dcgm-4.6", " / 1000", " / 100"),
        ("nvidia_gpu_exporter", "GPU-$1", "$1"),
        ("hours", "sum_over_time(agentaflow:gpu_held", "max_over_time(agentaflow:gpu_held"),
        ("hours", "avg_over_time(agentaflow:gpu_util", "max_over_time(agentaflow:gpu_util"),
        ("hours", "max_over_time(agentaflow:gpu_utilization_ratio:max5m[1h])",
         "max_over_time(agentaflow:gpu_utilization_ratio:max5m[30m])"),
        ("hours", "max_over_time(agentaflow:gpu_utilization_ratio:max1h[1439m])",
         "max_over_time(agentaflow:gpu_utilization_ratio:max1h[1199m])"),
        ("hours", "quantile_over_time(0.95, agentaflow:gpu_util",
         "max_over_time(agentaflow:gpu_util"),
        ("hours", "avg_over_time(agentaflow:gpu_utilization_ratio:avg1h",
         "max_over_time(agentaflow:gpu_utilization_ratio:avg1h"),
        ("hours", "sum_over_time(agentaflow:gpu_xids:increase1h",
         "max_over_time(agentaflow:gpu_xids:increase1h"),
    ],
)  # fmt: skip
def test_the_tests_notice_a_change_of_what_is_recorded(
    promtool: Path, tmp_path: Path, name: str, before: str, after: str
) -> None:
    """A recording rule that is changed in a small way no longer passes its tests."""
    shutil.copytree(ALERTS, tmp_path, dirs_exist_ok=True)
    copy = tmp_path / "rules" / f"agentaflow-recording-{name}.yaml"
    changed = yaml.safe_load(copy.read_text())
    hit = 0
    for rule in changed["groups"][0]["rules"]:
        hit += before in rule["expr"]
        rule["expr"] = rule["expr"].replace(before, after)
    assert hit
    copy.write_text(yaml.safe_dump(changed))
    ended = run(promtool, "test", "rules", tmp_path / "tests" / "agentaflow-recording.yaml")
    assert ended.returncode != 0
    assert "FAILED" in ended.stdout + ended.stderr
