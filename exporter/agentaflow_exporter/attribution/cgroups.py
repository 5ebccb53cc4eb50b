"""Whose a process is, by the cgroups it is in: a pod's container, a systemd unit, a Slurm job.

The names are those that systemd, the kubelet, container runtimes and Slurm give their cgroups, in
both versions of cgroups. Below a container everything is the container's own affair.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ID = "[0-9a-f]{64}"
# docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope, a plain ID, and what
# containerd makes of a mixture of cgroup drivers: kubepods-podUID.slice:cri-containerd:ID.
_CONTAINER = re.compile(rf"(?:[a-z-]+-|[^:]+:[a-z-]+:)?({_ID})(?:\.scope)?")
_MONITOR = "conmon-"  # the runtime's own process beside the container
_POD = re.compile(
    r"(?:.*-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice.*)?"
)
_JOB = re.compile(r"job_(\d{1,20})")
_UNIT = re.compile(r".+\.(?:service|scope)")
_OF_SYSTEMD = ("", "name=systemd")  # the controllers of its hierarchy, in version 2 and 1


class Home(NamedTuple):
    """Empty where there is none."""

    pod_uid: str = ""
    container_id: str = ""
    unit: str = ""
    slurm_job: str = ""


def parse(text: str) -> Home:
    """The text of /proc/PID/cgroup, whatever it is."""
    pod = container = unit = job = ""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        names = path.split("/")
        job = job or _slurm_job(names)
        if not container:
            pod, container = _container(names)
        if controllers in _OF_SYSTEMD:
            unit = unit or _unit(names)
    return Home(pod, container, "" if container else unit, job)


def _container(names: list[str]) -> tuple[str, str]:
    """The innermost: a node may be a container itself."""
    pod = container = ""
    for name in names:
        if found := _POD.fullmatch(name):
            pod = found[1].replace("_", "-")
        if (found := _CONTAINER.fullmatch(name)) and _MONITOR not in name:
            container = found[1]
    return pod, container


def _unit(names: list[str]) -> str:
    """The innermost: the services of a user are below user@UID.service."""
    return next((name for name in reversed(names) if _UNIT.fullmatch(name)), "")


def _slurm_job(names: list[str]) -> str:
    """`slurm/uid_1000/job_42/step_0`, `slurmstepd.scope/job_42/step_batch`; nodes may be named."""
    slurm = False
    for name in names:
        if slurm and (found := _JOB.fullmatch(name)):
            return found[1]
        slurm = slurm or name.startswith("slurm") or name.endswith("slurmstepd.scope")
    return ""
