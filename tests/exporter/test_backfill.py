"""A simulated fleet's past: the same series as live scrapes have, in the form promtool wants."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agentaflow_exporter import cli
from agentaflow_exporter.backfill import Plan, write
from agentaflow_exporter.collectors import busy
from agentaflow_exporter.durations import parse_duration
from agentaflow_exporter.errors import UserError
from agentaflow_exporter.progress import Progress
from agentaflow_exporter.settings import Settings
from agentaflow_exporter.simulate import FleetApp
from agentaflow_exporter.simulated import SimulatedFleet
from tests.support.web import get, serving

END = 1_795_000_080  # a multiple of the step
STEP = 120
Labels = frozenset[tuple[str, str]]
# (sample name, labels) → value at each time
History = dict[tuple[str, Labels], dict[float, float]]

TARGET = {"job": "agentaflow-exporter", "cluster": "simulated"}


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One hour of two nodes with four GPUs each."""
    path = tmp_path_factory.mktemp("backfill") / "past.om"
    shape = ["--nodes=2", "--gpus-per-node=4", "--seed=7", f"--end={END}"]
    assert cli.main(["simulate", *shape, "--backfill=1h", "--step=2m", f"--output={path}"]) == 0
    return path.read_text()


def parse(text: str) -> History:
    """By prometheus_client, which refuses families or series that are not in one piece."""
    found: History = {}
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            series = found.setdefault((sample.name, frozenset(sample.labels.items())), {})
            assert sample.timestamp is not None
            series[float(sample.timestamp)] = sample.value
    return found


def test_every_step_of_the_past_is_there(past: str) -> None:
    """Each series has a sample at every multiple of the step from an hour ago until the end."""
    history = parse(past)
    times = list(range(END - 3600, END + 1, STEP))
    assert all(list(samples) == times for samples in history.values())
    assert sum(name == "agentaflow_gpu_up" for name, _ in history) == 8


def test_the_past_is_what_live_scrapes_would_have_found(past: str) -> None:
    """At a step, a live scrape of each node has the same series with the same values.

    But for the seconds that the exporter itself adds up, which begin with it.
    """
    moment = END - 10 * STEP
    fleet = SimulatedFleet(nodes=2, gpus_per_node=4, seed=7, clock=lambda: moment)
    history = parse(past)
    expected = {key: samples[moment] for key, samples in history.items()}
    found = dict(_scraped(fleet))
    assert found.keys() == expected.keys()
    adding_up = {metric.name for metric in busy.COLLECTOR.metrics}
    assert {key for key in found if found[key] != expected[key]} <= {
        key for key in found if key[0] in adding_up
    }


def test_the_past_under_other_names(tmp_path: Path) -> None:
    """Under DCGM's names too it is what live scrapes would have found."""
    names = Settings(compat="dcgm", own_metrics=False)
    output = tmp_path / "past.om"
    plan = Plan(2, 4, 7, range(END, END + 1), names.compat, names.own_metrics)
    write(plan, output)
    fleet = SimulatedFleet(nodes=2, gpus_per_node=4, seed=7, clock=lambda: END)
    found = {key: samples[END] for key, samples in parse(output.read_text()).items()}
    assert found == dict(_scraped(fleet, names))
    assert sum(name == "DCGM_FI_DEV_GPU_UTIL" for name, _ in found) == 8
    assert not any(name == "agentaflow_gpu_power_watts" for name, _ in found)


def _scraped(
    fleet: SimulatedFleet, names: Settings | None = None
) -> Iterator[tuple[tuple[str, Labels], float]]:
    """GPU samples of a live scrape, with the labels that the target has."""
    with serving(FleetApp(fleet, names)) as address:
        for node in fleet.nodes:
            accept = "Accept: application/openmetrics-text\r\n"
            text = get(address, f"/node/{node}/metrics", accept).body.decode()
            for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
                for sample in family.samples:
                    if sample.name.startswith(("agentaflow_gpu_", "DCGM_")):
                        labels = {**sample.labels, **TARGET, "node": node, "instance": node}
                        yield (sample.name, frozenset(labels.items())), sample.value


def test_the_past_says_nothing_of_the_exporter_itself(past: str) -> None:
    """No exporter ran then: its own metrics and its process' are not made up."""
    assert {line.split("_")[0] for line in past.splitlines() if line[0] != "#"} == {"agentaflow"}
    assert "agentaflow_exporter_" not in past
    assert "\nprocess_" not in past


def test_the_same_plan_writes_the_same_file(past: str, tmp_path: Path) -> None:
    """In one process or several, byte for byte."""
    plan = Plan(nodes=2, gpus_per_node=4, seed=7, times=range(END - 3600, END + 1, STEP))
    write(plan, tmp_path / "again.om")
    assert (tmp_path / "again.om").read_text() == past


def test_a_single_node_is_written_too(tmp_path: Path) -> None:
    """Without other processes, and ended as OpenMetrics ends."""
    output = tmp_path / "one.om"
    write(Plan(nodes=1, gpus_per_node=1, seed=0, times=range(END, END + 1)), output)
    assert output.read_text().endswith("# EOF\n")
    assert len(parse(output.read_text())) > 40
    assert [path.name for path in tmp_path.iterdir()] == ["one.om"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """One line, no half file, and an older file of that name stays as it was."""
    older = tmp_path / "past.om"
    older.write_text("older")
    program = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "from agentaflow_exporter import cli\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    flags = ["simulate", "--nodes=1", "--backfill=1d", f"--output={older}"]
    ended = subprocess.run(
        [sys.executable, "-c", program, *flags],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert ended.returncode == 1
    assert "File too large; choose a file in a folder with enough space" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert older.read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["past.om"]


def test_an_output_that_is_a_folder_is_one_line(tmp_path: Path) -> None:
    """The message names it."""
    plan = Plan(nodes=1, gpus_per_node=1, seed=0, times=range(END, END + 1))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder is a folder; name a file in it"):
        write(plan, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7d", 604_800), ("1h30m", 5_400), ("60s", 60), ("250ms", 0.25), ("1y2w", 32_745_600)],
)
def test_durations_are_prometheus_durations(text: str, seconds: float) -> None:
    """Units from years to milliseconds, largest first."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "0s", "1m1h", "-1d", "1.5h", "1d ", "d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """The message shows how to write one."""
    with pytest.raises(ValueError, match="write for instance 7d, 1h30m or 60s"):
        parse_duration(text)


@given(end=st.floats(1e9, 2e9), seconds=st.floats(3600, 9e5), step=st.integers(1, 3600).map(float))
def test_steps_are_on_the_grid(end: float, seconds: float, step: float) -> None:
    """All multiples of the step in the span, so that two backfills meet without a seam."""
    times = Plan.make(1, 1, 0, end=end, seconds=seconds, step=step).times
    assert all(time % step == 0 for time in (times[0], times[-1]))
    assert end - seconds <= times[0] < end - seconds + step
    assert end - step < times[-1] <= end


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_progress(stream: io.StringIO) -> str:
    now = 0.0
    with Progress("working", 100, stream=stream, clock=lambda: now) as progress:
        for _ in range(100):
            now += 0.3
            progress.advance()
    return stream.getvalue()


def test_a_terminal_sees_a_bar() -> None:
    """One line that is drawn again, with what is left, and ended when the work is."""
    drawn = run_progress(Terminal())
    assert drawn.count("\n") == 1
    assert "[###############...............]  50%, 15 s left" in drawn
    assert drawn.endswith("100%, 30.0 s\n")


def test_a_log_sees_a_line_now_and_then() -> None:
    """A line every few seconds without control characters."""
    lines = run_progress(io.StringIO()).splitlines()
    assert len(lines) == 6
    assert lines[0] == "working  17%, 25 s left"
    assert lines[-1] == "working 100%, 30.0 s"
    assert all(line.isprintable() for line in lines)
