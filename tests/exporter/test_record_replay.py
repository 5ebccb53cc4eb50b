"""A recording of the stub, replayed, is the stub again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentaflow_exporter import metrics
from agentaflow_exporter.collector import Sources
from agentaflow_exporter.collectors.busy import OBSERVED
from agentaflow_exporter.collectors.gpm import FUNCTION, GRAPHICS_ACTIVE, SM_ACTIVE
from agentaflow_exporter.collectors.power import POWER
from agentaflow_exporter.driver import DriverError, GpuLost
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.record import record
from agentaflow_exporter.recording import SAMPLES, RecordingError
from agentaflow_exporter.replay import ReplayDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from tests.support.exporter_process import run, running
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Clock, Seen

SECRETS = (*UUIDS, *(f"165022400{gpu:04}" for gpu in range(8)))


def devices(seen: Seen) -> dict[str, Any]:
    """What is said of the GPUs, without what the exporter says of itself."""
    return {
        metric.name: samples
        for metric, samples in seen.families.items()
        if metric.name.startswith("agentaflow_gpu_")
    }


def recorded(
    driver: NvmlDriver, between: Callable[[int], None] = lambda _: None, **options: Any
) -> dict[str, Any]:
    """Three scrapes a second apart, of a clock that does not make anyone wait."""
    clock = Clock()
    samples = 0

    def sleep(seconds: float) -> None:
        nonlocal samples
        samples += 1
        clock.now += seconds
        between(samples)

    return record(
        driver,
        Settings(),
        duration_seconds=2,
        interval_seconds=1,
        clock=clock,
        sleep=sleep,
        **options,
    )


def test_replay_is_the_recorded(driver: NvmlDriver, stub: NvmlStub) -> None:
    """The same families with the same labels and values come out of the recording."""
    stub.script("time 5000", "3 nvmlDeviceGetFieldValues:82 error 3")
    recording = recorded(driver, mask=False)
    wanted = devices(Seen(Scraper(driver).scrape()))
    replay = ReplayDriver(json.loads(json.dumps(recording)))
    assert devices(Seen(Scraper(replay).scrape())) == wanted


def test_replay_takes_time(driver: NvmlDriver, stub: NvmlStub) -> None:
    """Values change as they did while recording, and the recording starts again at its end."""
    watts = [100, 200, 300]

    def script(sample: int) -> None:
        stub.script("gpus 1", f"0 nvmlDeviceGetPowerUsage value {watts[sample]}000")

    script(0)
    clock = Clock()
    replay = ReplayDriver(recorded(driver, lambda n: script(min(n, 2)), mask=False), clock=clock)
    scraper = Scraper(replay)
    seen = []
    for _ in range(5):
        seen.append(Seen(scraper.scrape()).value(POWER, "0", UUIDS[0]))
        clock.now += 1
    assert seen == [100, 200, 100, 200, 100]


def test_samples_are_replayed_once(driver: NvmlDriver, stub: NvmlStub) -> None:
    """Whoever replays sees each sample that was recorded up to then, whatever he saw last."""
    stub.script("gpus 1", "time 100")
    recording = recorded(driver, lambda n: stub.script("gpus 1", f"time {100 + n}"), mask=False)
    clock = Clock()
    gpu = ReplayDriver(json.loads(json.dumps(recording)), clock=clock).gpus()[0]
    first = gpu.read(SAMPLES, 1, 0)
    assert len(first) == 120
    assert gpu.read(SAMPLES, 1, first[-1][0]) == []
    clock.now += 1.5
    assert [stamp for stamp, _ in gpu.read(SAMPLES, 1, first[-1][0])] == [
        100_000_000 + 200_000 * (i + 1) for i in range(5)
    ]
    assert gpu.read(SAMPLES, 1, 0)[:120] == first
    assert gpu.read(SAMPLES, 9, 0) is None


def test_samples_that_failed_fail_again(driver: NvmlDriver, stub: NvmlStub) -> None:
    """Until the recording has an answer again."""

    def fail(sample: int) -> None:
        stub.script("gpus 1", f"time {100 + sample}", f"0 {SAMPLES}:1 error 10")

    stub.script("gpus 1", "time 100")
    clock = Clock()
    gpu = ReplayDriver(recorded(driver, fail, mask=False), clock=clock).gpus()[0]
    clock.now += 1.5
    with pytest.raises(DriverError, match=SAMPLES):
        gpu.read(SAMPLES, 1, 0)


def test_busy_seconds_of_a_replay(driver: NvmlDriver, stub: NvmlStub) -> None:
    """They go on from round to round of the recording, whose samples' time begins again."""
    stub.script("gpus 1", "time 100")
    stopped = "gpus 1", f"0 {SAMPLES}:1 value 50"
    recording = recorded(driver, lambda n: stub.script(*stopped, f"time {100 + n}"), mask=False)
    clock = Clock()
    replay = ReplayDriver(recording, clock=clock)
    scraper = Scraper(replay, sources=Sources(clock=clock))
    seen = []
    for _ in range(20):
        seen.append(Seen(scraper.scrape()).value(OBSERVED, "0", UUIDS[0], "gpu") or 0)
        clock.now += 1
    assert seen == sorted(seen)
    assert 1 <= seen[-1] <= 20


def test_failed_metrics_are_recorded(driver: NvmlDriver, stub: NvmlStub, clock: Clock) -> None:
    """What a call answered beside a metric that failed is what is replayed."""
    stub.script("gpus 1", f"0 {FUNCTION}:2 error 10")

    def wait(_: int) -> None:
        clock.now += 1

    replay = ReplayDriver(recorded(driver, wait, mask=False))
    seen = Seen(Scraper(replay, clock=clock).scrape())
    assert seen.value(GRAPHICS_ACTIVE, "0", UUIDS[0]) is None  # the first sample said nothing
    replay = ReplayDriver(recorded(driver, wait, mask=False), clock=clock)
    clock.now += 1.5
    seen = Seen(Scraper(replay).scrape())
    assert seen.value(GRAPHICS_ACTIVE, "0", UUIDS[0]) is not None
    assert seen.value(SM_ACTIVE, "0", UUIDS[0]) is None


def test_a_lost_gpu_is_lost_again(driver: NvmlDriver, stub: NvmlStub) -> None:
    """Errors are answers, too."""

    def lose(_: int) -> None:
        stub.script("1 nvmlDeviceGetUtilizationRates error 15")

    clock = Clock()
    replay = ReplayDriver(recorded(driver, lose, mask=False), clock=clock)
    assert replay.gpus()[1].read("nvmlDeviceGetUtilizationRates").gpu <= 100
    clock.now += 1.5
    with pytest.raises(GpuLost) as caught:
        replay.gpus()[1].read("nvmlDeviceGetUtilizationRates")
    assert caught.value.code == 15


def test_unchanged_answers_are_kept_once(driver: NvmlDriver, stub: NvmlStub) -> None:
    """A recording grows by what changes."""
    stub.script("time 5000")
    once = len(recorded(driver)["calls"])
    stub.script("time 5000")
    assert len(recorded(driver, lambda _: stub.script("time 5000"))["calls"]) == once


def test_masked(driver: NvmlDriver) -> None:
    """Serial numbers and UUIDs are nowhere in a recording, and what was one stays one."""
    recording = recorded(driver)
    text = json.dumps(recording)
    assert not [secret for secret in SECRETS if secret in text]
    replay = ReplayDriver(recording)
    uuids = [gpu.uuid for gpu in replay.gpus()]
    assert len(set(uuids)) == 8
    assert [gpu.read("nvmlDeviceGetUUID") for gpu in replay.gpus()] == uuids
    up = Seen(Scraper(replay).scrape()).families[metrics.GPU_UP]
    assert up == {(str(index), uuid): 1 for index, uuid in enumerate(uuids)}


def test_commands(tmp_path: Path) -> None:
    """`record` writes a file that `replay` serves, without telling a serial number."""
    stub = NvmlStub(tmp_path)
    file = tmp_path / "recording.json"
    ended = run("record", str(file), environment=stub.environment())
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "8 GPUs" in ended.stdout
    assert "masked" in ended.stdout
    with running(tmp_path, "replay", str(file)) as exporter:
        body = exporter.get()
    assert b"agentaflow_gpu_devices 8\n" in body
    assert not [secret for secret in SECRETS if secret.encode() in body]


def test_nothing_to_record(tmp_path: Path) -> None:
    """Without a driver there is one line, and no file."""
    file = tmp_path / "recording.json"
    ended = run("record", str(file))
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "no NVIDIA driver answers here" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_nowhere_to_record(tmp_path: Path) -> None:
    """A file that cannot be written is told in one line."""
    stub = NvmlStub(tmp_path)
    ended = run("record", str(tmp_path / "no" / "file"), environment=stub.environment())
    assert ended.returncode == 1
    assert "No such file or directory" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "no agentaflow-recording"),
        ("{}", "no agentaflow-recording"),
        ('{"format": "agentaflow-recording", "version": 99}', "of version 1"),
        ('{"format": "agentaflow-recording", "version": 1}', "damaged recording"),
        (
            '{"format": "agentaflow-recording", "version": 1, "seconds": 1, "gpus": [], '
            '"calls": [7]}',
            "damaged recording",
        ),
    ],
)
def test_bad_recording(tmp_path: Path, text: str, said: str) -> None:
    """What is no recording is told in one line that names the file."""
    file = tmp_path / "recording.json"
    file.write_text(text)
    with pytest.raises(RecordingError, match=said) as caught:
        ReplayDriver.load(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
