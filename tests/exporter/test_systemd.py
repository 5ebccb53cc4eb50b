"""The systemd unit: what it starts is there, and what it forbids stays forbidden."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from agentaflow_exporter.arguments import PROGRAM, serve_parser
from agentaflow_exporter.options import OPTIONS
from agentaflow_exporter.settings import load
from tests.support.exporter_process import running
from tests.support.nvml_stub import library_folder

FOLDER = Path("exporter/systemd")
UNIT = FOLDER / f"{PROGRAM}.service"
VARIABLES = FOLDER / f"{PROGRAM}.env"
HARDENED = {
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "DevicePolicy": "closed",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "ProtectProc": "invisible",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "PrivateTmp": "yes",
    "LockPersonality": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "SystemCallArchitectures": "native",
    "Restart": "on-failure",
}
HIDES_NVIDIA = {"PrivateDevices", "ProcSubset"}
NVIDIA_MAJOR, NVIDIACTL, GPUS = 195, 255, 16
MOST_EXPOSURE = 1.5  # of 10, by systemd-analyze
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")


def directives() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in UNIT.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return found


def test_it_starts_what_there_is() -> None:
    """The command is the exporter's, and every flag that it is given exists."""
    (command,) = directives()["ExecStart"]
    program, *arguments = shlex.split(command)
    assert Path(program).name == PROGRAM
    flags = {argument.partition("=")[0] for argument in arguments}
    assert flags <= set(serve_parser().flags())


def test_its_variables_are_settings() -> None:
    """Every variable of the environment file is read by the exporter, with a value it takes."""
    (named,) = directives()["EnvironmentFile"]
    text = VARIABLES.read_text()
    assert named.removeprefix("-") in text
    variables = dict(re.findall(r"^#(\w+)=(.*)$", text, re.MULTILINE))
    assert variables.keys() < {option.environment for option in OPTIONS}
    assert load({}, variables, None).compat == variables["AGENTAFLOW_EXPORTER_COMPAT"]


@pytest.mark.parametrize("name", HARDENED)
def test_it_is_hardened(name: str) -> None:
    """Each of these is set once, as strictly as NVML bears it."""
    assert directives()[name] == [HARDENED[name]]


def test_it_reaches_the_gpus() -> None:
    """nvidiactl and sixteen GPUs may be opened, also if they come later, and nothing hides them."""
    allowed = set(directives()["DeviceAllow"])
    assert {f"/dev/char/{NVIDIA_MAJOR}:{minor} rw" for minor in (NVIDIACTL, *range(GPUS))} < allowed
    assert HIDES_NVIDIA.isdisjoint(directives())


def test_its_memory_has_head_room(tmp_path: Path) -> None:
    """The limit is at least four times what the exporter takes with eight GPUs."""
    (limit,) = directives()["MemoryMax"]
    with running(tmp_path, environment={"LD_LIBRARY_PATH": str(library_folder())}) as exporter:
        found = re.search(rb"\nprocess_resident_memory_bytes (\d+)\n", exporter.get())
        assert found
    assert 4 * int(found[1]) <= int(limit.removesuffix("M")) << 20


@needs_systemd
def test_systemd_takes_it(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say of the unit."""
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text()))
    ended = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@needs_systemd
def test_systemd_finds_it_little_exposed() -> None:
    """`systemd-analyze security`, which weighs what a unit could still do."""
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNIT)]
    ended = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", ended.stdout)
    assert found, ended.stderr
    assert float(found[1]) <= MOST_EXPOSURE
