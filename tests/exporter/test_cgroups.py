"""Lines of /proc/PID/cgroup as they are seen in the world, and whose process each is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter.attribution.cgroups import Home, parse

ID = "ca0ff160f5136a5929d56cdbed62fac14073edda70452c3001a31fa7917ff15d"
NODE = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
UID = "345781c1-c512-4bc4-9667-f0cf07848486"
SLICE = UID.replace("-", "_")
STATIC = "b1e89a2fcc688644de3eb95aee8025ce"  # of a static pod, which has no UID of the API server
POD = Home(pod_uid=UID, container_id=ID)
DOCKER = Home(container_id=ID)

CASES = {
    # Kubernetes, systemd's cgroup driver
    f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE}.slice/"
    f"cri-containerd-{ID}.scope": POD,
    f"0::/kubepods.slice/kubepods-pod{SLICE}.slice/cri-containerd-{ID}.scope": POD,
    f"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{SLICE}.slice/"
    f"crio-{ID}.scope": POD,
    f"0::/kubepods.slice/kubepods-pod{SLICE}.slice/crio-{ID}.scope/container": POD,
    f"0::/kubepods.slice/kubepods-pod{SLICE}.slice/docker-{ID}.scope": POD,
    # cgroupfs' driver
    f"0::/kubepods/burstable/pod{UID}/{ID}": POD,
    f"0::/kubepods/pod{UID}/{ID}": POD,
    f"12:blkio:/kubepods/besteffort/pod{UID}/{ID}\n11:perf_event:/kubepods/besteffort/pod{UID}/{ID}"
    f"\n1:name=systemd:/kubepods/besteffort/pod{UID}/{ID}\n0::/system.slice/k3s.service": POD,
    # both at once
    f"0::/system.slice/containerd.service/kubepods-pod{SLICE}.slice:cri-containerd:{ID}": POD,
    # a kubelet with a cgroup root of its own, as in kind; a node that is a container itself
    "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
    f"kubelet-kubepods-burstable-pod{SLICE}.slice/cri-containerd-{ID}.scope": POD,
    f"0::/docker/{NODE}/kubelet/kubepods/burstable/pod{UID}/{ID}": POD,
    f"0::/system.slice/docker-{NODE}.scope/kubelet.slice/kubelet-kubepods.slice/"
    f"kubelet-kubepods-pod{SLICE}.slice/cri-containerd-{ID}.scope": POD,
    # a static pod, a pod's own cgroup, a cgroup namespace that is not the host's
    f"0::/kubepods.slice/kubepods-pod{STATIC}.slice/cri-containerd-{ID}.scope": Home(STATIC, ID),
    f"0::/kubepods/pod{UID}": Home(pod_uid=UID),
    f"0::/../../kubepods-burstable-pod{SLICE}.slice/cri-containerd-{ID}.scope": POD,
    # a container with systemd in it: its units are its own
    f"0::/kubepods/pod{UID}/{ID}/system.slice/nginx.service": POD,
    # Docker, Podman
    f"9:devices:/system.slice/docker-{ID}.scope\n1:name=systemd:/system.slice/docker-{ID}.scope": (
        DOCKER
    ),
    f"0::/system.slice/docker-{ID}.scope": DOCKER,
    f"4:memory:/docker/{ID}\n0::/system.slice/containerd.service": DOCKER,
    f"0::/machine.slice/libpod-{ID}.scope/container": DOCKER,
    f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope": DOCKER,
    # the runtime's monitor is no container
    f"0::/machine.slice/libpod-conmon-{ID}.scope": Home(unit=f"libpod-conmon-{ID}.scope"),
    # systemd
    "0::/system.slice/ollama.service": Home(unit="ollama.service"),
    "0::/user.slice/user-1000.slice/session-3.scope": Home(unit="session-3.scope"),
    "0::/user.slice/user-1000.slice/user@1000.service/app.slice/llama-server.service": Home(
        unit="llama-server.service"
    ),
    "0::/user.slice/user-1000.slice/user@1000.service/init.scope": Home(unit="init.scope"),
    "0::/system.slice/system-getty.slice/getty@tty1.service": Home(unit="getty@tty1.service"),
    "5:cpuacct:/system.slice\n1:name=systemd:/system.slice/cron.service\n0::/": Home(
        unit="cron.service"
    ),
    "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-pi\\x2dissue.slice/"
    "pi-issue@fleet-ops-4147.service": Home(unit="pi-issue@fleet-ops-4147.service"),
    # Slurm
    "0::/system.slice/slurmstepd.scope/job_1392969/step_0/user/task_0": Home(
        unit="slurmstepd.scope", slurm_job="1392969"
    ),
    "0::/system.slice/node7_slurmstepd.scope/job_42/step_batch/user/task_special": Home(
        unit="node7_slurmstepd.scope", slurm_job="42"
    ),
    "10:devices:/slurm/uid_2101171/job_280678/step_interactive/task_0\n"
    "1:name=systemd:/system.slice/slurmd.service": Home(unit="slurmd.service", slurm_job="280678"),
    "4:memory:/slurm_node7/uid_1000/job_42/step_0": Home(slurm_job="42"),
    f"0::/system.slice/slurmstepd.scope/job_42/step_0/user/task_0/libpod-{ID}": Home(
        container_id=ID, slurm_job="42"
    ),
    # what only looks like one of them
    "0::/": Home(),
    "": Home(),
    "0::/user.slice": Home(),
    "0::/home/job_42/step_0": Home(),
    "0::/docker/abc123": Home(),
    "0::/kubepods.slice/kubepods-burstable-podNOTAUUID.slice/cri-containerd-abc123.scope": Home(
        unit="cri-containerd-abc123.scope"
    ),
    "0::/foo.scope-bar/baz": Home(),
}


@pytest.mark.parametrize(("text", "home"), CASES.items())
def test_whose(text: str, home: Home) -> None:
    """The pod, container, unit and job that the path names, and nothing that it does not."""
    assert parse(text + "\n") == home


PARTS = st.sampled_from(
    [
        "/",
        ":",
        "-",
        ".scope",
        ".slice",
        "docker-",
        "pod",
        ID,
        UID,
        SLICE,
        "slurm",
        "job_1",
        "\n",
        "0",
    ]
)


@given(st.text() | st.lists(PARTS | st.text(max_size=3)).map("".join))
def test_any_text(text: str) -> None:
    """Whatever a kernel writes, there is an answer, of parts of the text."""
    home = parse(text)
    assert all(part.replace("-", "_") in text.replace("-", "_") for part in home)
