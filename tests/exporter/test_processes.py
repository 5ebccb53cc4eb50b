"""Who a process is: real processes of this machine, and a made-up /proc for the odd ones."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter.attribution.containers import Container, ContainerLogs
from agentaflow_exporter.attribution.processes import Processes
from agentaflow_exporter.collector import Process
from tools.processes import eventually

ID = "ca0ff160f5136a5929d56cdbed62fac14073edda70452c3001a31fa7917ff15d"
OTHER_ID = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
UID = "345781c1-c512-4bc4-9667-f0cf07848486"
IN_POD = f"0::/kubepods/burstable/pod{UID}/{ID}\n"
LINK = f"trainer-0_research_main-{ID}.log"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def made_up(root: Path, pid: int, *, name: str = "python3", cgroup: str = "0::/\n") -> None:
    folder = root / str(pid)
    folder.mkdir(exist_ok=True)
    fields = ["S", *(str(number) for number in range(4, 53))]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (folder / "cgroup").write_text(cgroup)


def test_a_real_process(child: subprocess.Popen[bytes]) -> None:
    """Its name is that of its program, and it is where we are."""
    processes = Processes()
    eventually(lambda: processes(child.pid).name == "sleep")
    assert processes(child.pid)[1:] == processes(os.getpid())[1:]


def test_a_process_that_is_gone(child: subprocess.Popen[bytes]) -> None:
    """Nothing is remembered of it."""
    processes = Processes()
    processes(child.pid)
    child.kill()
    child.wait()
    assert processes(child.pid) == Process()


@pytest.mark.parametrize("pid", [0, 4_294_967_295])
def test_no_process_of_ours(pid: int) -> None:
    """NVML says 0 of a process in another PID namespace."""
    assert Processes()(pid) == Process()


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=15))
def test_any_name(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """A process may call itself anything, parentheses and line breaks as well."""
    root = tmp_path_factory.mktemp("proc")
    folder = root / "7"
    folder.mkdir()
    (folder / "stat").write_bytes(f"7 ({name}) S{' 1' * 49}\n".encode())
    (folder / "cgroup").write_text("0::/\n")
    assert Processes(root)(7).name == name


@pytest.mark.parametrize("stat", ["", "7", "7 (a", "7 (a) S 1 2", ") (", "\xff"])
def test_a_stat_that_is_none(tmp_path: Path, stat: str) -> None:
    """An unknown process has no labels."""
    made_up(tmp_path, 7)
    (tmp_path / "7/stat").write_bytes(stat.encode("latin-1"))
    assert Processes(tmp_path)(7) == Process()


def test_a_process_without_cgroup(tmp_path: Path) -> None:
    """One that ended in between, or may not be looked at, is unknown."""
    made_up(tmp_path, 7)
    (tmp_path / "7/cgroup").unlink()
    assert Processes(tmp_path)(7) == Process()


NEXT_PROCESS = """
printf '7 (new) S%s\\n' "$(printf ' 9%.0s' $(seq 49))" > "$1.part"
exec 3> "$2"
mv "$1.part" "$1"
echo 0::/system.slice/new.service >&3
"""


def test_a_number_that_is_used_again(tmp_path: Path) -> None:
    """A name is never joined with the cgroup of the next process of that number."""
    made_up(tmp_path, 7, name="old")
    stat, cgroup = tmp_path / "7/stat", tmp_path / "7/cgroup"
    cgroup.unlink()
    os.mkfifo(cgroup)  # who reads it waits for the next process to be there
    with subprocess.Popen(["sh", "-c", NEXT_PROCESS, "sh", stat, cgroup]):
        assert Processes(tmp_path)(7) == Process()
    assert stat.read_text().startswith("7 (new)")


def test_a_container_of_kubernetes(tmp_path: Path) -> None:
    """The kubelet's link to its log says its namespace, pod and name."""
    made_up(tmp_path, 7, cgroup=IN_POD)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / LINK).touch()
    processes = Processes(tmp_path, ContainerLogs(tmp_path / "logs"))
    assert processes(7) == Process("python3", "research", "trainer-0", "main")


def test_a_container_nobody_names(tmp_path: Path) -> None:
    """Without the links a pod's container has no name; a container of no pod has its short id."""
    made_up(tmp_path, 7, cgroup=IN_POD)
    made_up(tmp_path, 8, cgroup=f"0::/system.slice/docker-{ID}.scope\n")
    processes = Processes(tmp_path, ContainerLogs(tmp_path / "none"))
    assert processes(7) == Process("python3")
    assert processes(8) == Process("python3", container="ca0ff160f513")


def test_a_unit_and_a_job(tmp_path: Path) -> None:
    """Outside containers, systemd's unit and Slurm's job."""
    made_up(tmp_path, 7, cgroup="0::/system.slice/ollama.service\n")
    made_up(tmp_path, 8, cgroup="0::/system.slice/slurmstepd.scope/job_42/step_0/user/task_0\n")
    processes = Processes(tmp_path)
    assert processes(7) == Process("python3", unit="ollama.service")
    assert processes(8) == Process("python3", unit="slurmstepd.scope", slurm_job="42")


def test_only_two_files_are_opened(tmp_path: Path) -> None:
    """Command line and environment, which may hold secrets, need not even be there."""
    made_up(tmp_path, 7)
    assert {path.name for path in (tmp_path / "7").iterdir()} == {"stat", "cgroup"}
    assert Processes(tmp_path)(7).name == "python3"


def test_containers_come_and_go(tmp_path: Path) -> None:
    """The folder is what counts, also when it changes within a tick of the file system's clock."""
    containers = ContainerLogs(tmp_path)
    assert containers(ID) is None
    (tmp_path / LINK).touch()
    assert containers(ID) == Container("research", "trainer-0", "main")
    (tmp_path / f"other_ns_c-{OTHER_ID}.log").touch()
    assert containers(OTHER_ID) == Container("ns", "other", "c")
    (tmp_path / LINK).unlink()
    assert containers(ID) is None


def test_an_unchanged_folder_is_not_listed_again(tmp_path: Path) -> None:
    """Its time tells; a change that the time hides is the proof."""
    containers = ContainerLogs(tmp_path)
    past = time.time_ns() - 10**10
    os.utime(tmp_path, ns=(past, past))
    assert containers(ID) is None
    (tmp_path / LINK).touch()
    os.utime(tmp_path, ns=(past, past))
    assert containers(ID) is None
    os.utime(tmp_path)
    assert containers(ID) is not None


@given(st.lists(st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1)))
def test_any_file_name(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    """What is no link of the kubelet's names no container."""
    folder = tmp_path_factory.mktemp("logs")
    for name in names:
        if name not in (".", "..") and len(name.encode()) < 250:
            (folder / name).touch()
    (folder / LINK).touch()
    assert ContainerLogs(folder)(ID) == Container("research", "trainer-0", "main")
