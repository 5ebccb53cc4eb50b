"""The command as a user runs it: a process, on the stub driver or on none."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import agentaflow_exporter
from agentaflow_exporter.cli import main
from agentaflow_exporter.collectors import NAMES
from tests.support.exporter_process import COMMAND, RunningExporter, run, running
from tests.support.nvml_stub import NvmlStub
from tools.processes import eventually


@pytest.fixture
def scripted(tmp_path: Path) -> NvmlStub:
    return NvmlStub(tmp_path)


@pytest.fixture
def exporter(tmp_path: Path, scripted: NvmlStub) -> Iterator[RunningExporter]:
    with running(tmp_path, environment=scripted.environment()) as exporter:
        yield exporter


def test_serves_a_driver_and_stops(exporter: RunningExporter) -> None:
    """Eight GPUs, readable by Prometheus' own client; SIGTERM ends it with 0."""
    names = {family.name for family in text_string_to_metric_families(exporter.get().decode())}
    assert sum(name.startswith("agentaflow_gpu_") for name in names) >= 20
    assert b"agentaflow_gpu_devices 8\n" in exporter.get()
    assert exporter.stop() == 0
    assert "msg=stopped" in exporter.log.read_text()


def test_scripted_while_running(exporter: RunningExporter, scripted: NvmlStub) -> None:
    """A GPU that is lost under a running exporter is down in its next scrape, and logged once."""
    exporter.get()
    scripted.script("1 * error 15")
    exporter.get()
    assert b'gpu="1",uuid="GPU-0000a101-5eed-4a6b-8c1d-0123456789ab"} 0\n' in exporter.get()
    assert exporter.log.read_text().count("GPU does not answer") == 1


def test_stops_while_a_call_hangs(exporter: RunningExporter, scripted: NvmlStub) -> None:
    """A call that hangs for good does not keep the exporter from stopping."""
    scripted.script("1 nvmlDeviceGetPowerUsage delay 600")
    exporter.get(headers={"X-Prometheus-Scrape-Timeout-Seconds": "0.7"})
    assert exporter.stop() == 0


def test_without_a_driver(tmp_path: Path) -> None:
    """Where there is no NVML library the exporter serves and says so; SIGINT ends it with 0."""
    with running(tmp_path) as exporter:
        body = exporter.get()
        assert b"agentaflow_exporter_driver_up 0\n" in body
        assert b'agentaflow_exporter_nvml_errors_total{gpu="",function="nvmlInit' in body
        exporter.process.send_signal(signal.SIGINT)
        assert exporter.process.wait(20) == 0


def test_driver_appears(tmp_path: Path, scripted: NvmlStub) -> None:
    """An exporter that started before the driver finds it without being restarted."""
    scripted.script("- nvmlInitWithFlags error 9")
    with running(tmp_path, environment=scripted.environment()) as exporter:
        assert b"agentaflow_exporter_driver_up 0\n" in exporter.get()
        scripted.script()
        eventually(lambda: b"agentaflow_exporter_driver_up 1\n" in exporter.get())


def test_environment_and_flags(tmp_path: Path, scripted: NvmlStub) -> None:
    """Settings reach the exporter from the environment and from flags."""
    environment = {
        **scripted.environment(),
        "AGENTAFLOW_EXPORTER_COLLECTOR_ECC": "false",
        "AGENTAFLOW_EXPORTER_LOG_FORMAT": "json",
    }
    flags = ("--no-collector.pcie", "--web.telemetry-path=/gpu")
    with running(tmp_path, *flags, environment=environment) as exporter:
        body = exporter.get("/gpu")
        assert b'collector="power"' in body
        assert b'collector="ecc"' not in body
        assert b'collector="pcie"' not in body


@contextmanager
def process(*command: str, stub: NvmlStub, stderr: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that a failing test does not leave behind."""
    with stderr.open("wb") as file:
        started = subprocess.Popen(
            [*command, "--web.listen-address=127.0.0.1:0"],
            env={**os.environ, **stub.environment()},
            stderr=file,
        )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def test_full_log_disk(scripted: NvmlStub) -> None:
    """An exporter whose log cannot be written serves, and can be stopped as soon as it listens."""
    with process(*COMMAND, stub=scripted, stderr=Path("/dev/full")) as exporter:
        eventually(lambda: bool(_listening(exporter.pid)), seconds=20)
        exporter.terminate()
        assert exporter.wait(20) == 0


def _listening(pid: int) -> list[str]:
    """Sockets of the process, once it has any."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith("socket:"):
            found.append(target)
    return found


def test_few_file_descriptors(tmp_path: Path, scripted: NvmlStub) -> None:
    """64 file descriptors are enough, over many scrapes."""
    command = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *COMMAND)
    log = tmp_path / "few.log"
    with process(*command, stub=scripted, stderr=log) as started:
        eventually(lambda: "address=" in log.read_text(), seconds=20)
        address = log.read_text().partition("address=")[2].split()[0]
        exporter = RunningExporter(started, f"http://{address}", log)
        for _ in range(100):
            assert b"agentaflow_gpu_devices 8\n" in exporter.get()
        assert exporter.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--colector.ecc"], 2, "unrecognized arguments: --colector.ecc: see"),
        (["--scrape.timeout", "soon"], 2, "--scrape.timeout: 'soon' does not do"),
        (["--backend", "amd"], 2, "nvml, simulated or replay:FILE"),
        (["--config.file", "/nowhere.yaml"], 2, "/nowhere.yaml: No such file"),
        (["--attribution.pods-file", "/nowhere.yaml"], 2, "/nowhere.yaml: No such file"),
        (["--web.config.file", "/nowhere.yaml"], 2, "/nowhere.yaml"),
        (["--web.listen-address", "nonsense"], 1, "cannot listen on 'nonsense'"),
        (["replay", "/nowhere.json"], 1, "/nowhere.json: No such file"),
        (["record"], 2, "the following arguments are required: FILE"),
        (["record", "x", "--interval", "0"], 2, "--interval: give seconds"),
        (["completion", "csh"], 2, "invalid choice: 'csh'"),
        (["sevre"], 2, "unrecognized arguments: sevre"),
    ],
)
def test_bad_usage(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    """One line says what is wrong, and the exit code tells usage from other failures."""
    try:
        found = main(arguments)
    except SystemExit as ended:
        found = int(str(ended.code))
    captured = capsys.readouterr()
    assert (found, captured.err.count("\n")) == (code, 1)
    assert said in captured.err
    assert captured.out == ""


def test_port_in_use(exporter: RunningExporter) -> None:
    """An address that is taken is told with what to do."""
    address = exporter.url.removeprefix("http://")
    ended = run("--web.listen-address", address)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"cannot listen on {address}: Address already in use" in ended.stderr


def test_help_and_version() -> None:
    """--help lists every collector's switch and the commands; --version is the package's."""
    shown = run("--help").stdout
    assert all(f"--no-collector.{name}" in shown for name in NAMES)
    assert "agentaflow-exporter simulate" in shown
    assert run("--version").stdout == f"agentaflow-exporter {agentaflow_exporter.__version__}\n"


def test_version_is_the_packages() -> None:
    """The version in the code is the one in pyproject.toml."""
    import tomllib

    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert project["version"] == agentaflow_exporter.__version__


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """Each shell's script offers flags and commands."""
    script = run("completion", shell).stdout
    assert "--collector.power" in script
    assert "simulate" in script


def test_bash_completes(tmp_path: Path) -> None:
    """Bash itself completes a flag with it."""
    script = tmp_path / "completion"
    script.write_text(run("completion", "bash").stdout)
    ask = f"source {script}; COMP_WORDS=(x --collector.po); COMP_CWORD=1; "
    ask += '_agentaflow_exporter; echo "${COMPREPLY[@]}"'
    shown = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert sorted(shown.stdout.split()) == ["--collector.pods", "--collector.power"]


HEAVY = ("prometheus_client", "asyncio", "ssl", "http", "logging", "yaml", "json", "email")
OPTIONAL = tuple(f"agentaflow_exporter.compat.{name}" for name in ("dcgm", "translation"))


def test_stays_lean(tmp_path: Path) -> None:
    """The resident server imports nothing that it does not need."""
    code = (
        "import sys, agentaflow_exporter.cli, agentaflow_exporter.nvml\n"
        f"print([m for m in {HEAVY + OPTIONAL!r} if m in sys.modules])"
    )
    shown = subprocess.run(
        [COMMAND[0], "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert shown.stdout == "[]\n"
