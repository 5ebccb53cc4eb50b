"""Where the programs of the real parts are: on PATH, or in the cache by version.

The control plane is looked for in $KUBEBUILDER_ASSETS first; the cache is
`${XDG_CACHE_HOME:-~/.cache}/agentaflow`, which `python -m tools.realparts` fills.
Standard library only, so that it runs before anything else.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentaflow"
OLDEST_PROMETHEUS = (2, 42)
OLDEST_NODE_EXPORTER = (1, 3)
OLDEST_THANOS = (0, 30)
OLDEST_ALERTMANAGER = (0, 25)
GO_PROMETHEUS = "3.16.0"  # in Go's numbering v0.316.0
OPERATOR = "v0.85.0"  # the Prometheus operator, of which only a CRD is taken
KUEUE = "v0.15.2"  # of which only CRDs are taken
KUEUE_CRDS = ("workloads", "admissionchecks")
ALERTMANAGER_NAMES = ("alertmanager", "prometheus-alertmanager")  # its own, Debian's
NODE_EXPORTER_NAMES = ("node_exporter", "prometheus-node-exporter")  # its own, Debian's
CLUSTER_SOURCE = Path(__file__).parent / "testcluster"
THANOS_SOURCE = Path(__file__).parent / "thanos"
CLUSTER_PROGRAMS = (
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok",
)  # fmt: skip

STAGES = "kwok-stages.yaml"  # what kwok does to its nodes and pods


class PartMissing(Exception):
    """A real part is neither there nor to be had; the message says what the user can do."""


def prometheus_program(name: str) -> Path | None:
    """`prometheus` or `promtool`, 2.42 or newer."""
    on_path = shutil.which(name)
    if on_path and version_of(on_path) >= OLDEST_PROMETHEUS:
        return Path(on_path)
    cached = CACHE / "prometheus" / "current" / name
    return cached.resolve() if cached.exists() else None


def promtool_of(major: int) -> Path | None:
    """`promtool` of Prometheus 2 (2.42 or newer) or 3 (3.16 or newer)."""
    oldest = OLDEST_PROMETHEUS if major == 2 else tuple(map(int, GO_PROMETHEUS.split(".")[:2]))
    on_path = shutil.which("promtool")
    cached = [CACHE / "prometheus" / each / "promtool" for each in ("current", GO_PROMETHEUS)]
    for program in [*([Path(on_path)] if on_path else []), *cached]:
        if program.exists() and oldest <= version_of(str(program)) < (major + 1,):
            return program.resolve()
    return None


def node_exporter() -> Path | None:
    """node_exporter 1.3 or newer, by either of its names."""
    for name in NODE_EXPORTER_NAMES:
        on_path = shutil.which(name)
        if on_path and version_of(on_path) >= OLDEST_NODE_EXPORTER:
            return Path(on_path)
    cached = [CACHE / "node-exporter" / "current" / name for name in NODE_EXPORTER_NAMES]
    return next((program.resolve() for program in cached if program.exists()), None)


def alertmanager_program(name: str) -> Path | None:
    """`alertmanager`, by either of its names, or `amtool`: 0.25 or newer."""
    names = ALERTMANAGER_NAMES if name == "alertmanager" else (name,)
    for each in names:
        on_path = shutil.which(each)
        if on_path and version_of(on_path) >= OLDEST_ALERTMANAGER:
            return Path(on_path)
    cached = CACHE / "alertmanager" / "current" / name
    return cached.resolve() if cached.exists() else None


def prometheus_assets() -> Path | None:
    """Debian's build reads its web UI from a folder; this is the one that was unpacked with it."""
    program = prometheus_program("prometheus")
    folder = program.parent.parent / "share" / "prometheus" / "web" if program else None
    return folder if folder and folder.is_dir() and CACHE in folder.parents else None


def cluster_programs() -> Mapping[str, Path]:
    """Each program of the control plane that is there, by its name; and kwok's stages file."""
    built = cluster_folder()
    own = os.environ.get("KUBEBUILDER_ASSETS")
    folders = [Path(own)] if own else []
    folders.append(built)
    found = {}
    for name in (*CLUSTER_PROGRAMS, STAGES):
        for folder in folders:
            if (folder / name).exists():
                found[name] = folder / name
                break
    return found


def cluster_folder() -> Path:
    """Where the control plane is built to."""
    stamp = _stamp(CLUSTER_SOURCE, "k8s.io/kubernetes", "main.go", "build.sh")
    return CACHE / "control-plane" / stamp


def thanos_program() -> Path | None:
    """`thanos`, 0.30 or newer."""
    on_path = shutil.which("thanos")
    if on_path and version_of(on_path) >= OLDEST_THANOS:
        return Path(on_path)
    cached = thanos_folder() / "thanos"
    return cached if cached.exists() else None


def thanos_folder() -> Path:
    """Where it is built to."""
    return CACHE / "thanos" / _stamp(THANOS_SOURCE, "github.com/thanos-io/thanos", "tools.go")


def prometheus_rule_crd() -> Path:
    """The Prometheus operator's own CustomResourceDefinition of PrometheusRule, there or not."""
    return CACHE / "prometheus-operator" / OPERATOR / "prometheusrules.yaml"


def kueue_crds() -> Path:
    """Kueue's own CustomResourceDefinitions, KUEUE_CRDS.yaml of them, there or not."""
    return CACHE / "kueue" / KUEUE


def has_kueue_crds() -> bool:
    return not missing("kueue")


def has_cluster() -> bool:
    return not missing("kubernetes")


def missing(part: str) -> Sequence[str]:
    """A line for each program of a part that is not there."""
    if part == "compiler":
        return [] if _compiler() else ["compiler: no cc on PATH"]
    if part == "prometheus":
        return [
            f"{name}: no 2.42 or newer on PATH, none in {CACHE}"
            for name in ("prometheus", "promtool")
            if prometheus_program(name) is None
        ]
    if part == "prometheus-3":
        oldest = GO_PROMETHEUS.rpartition(".")[0]
        there = promtool_of(3) is not None
        return [] if there else [f"promtool: no {oldest} or newer on PATH, none in {CACHE}"]
    if part == "alertmanager":
        return [
            f"{name}: no 0.25 or newer on PATH, none in {CACHE}"
            for name in ("alertmanager", "amtool")
            if alertmanager_program(name) is None
        ]
    if part == "prometheus-operator":
        there = prometheus_rule_crd().exists()
        return [] if there else [f"PrometheusRule: no CRD in {prometheus_rule_crd().parent}"]
    if part == "kueue":
        return [
            f"{name}.kueue.x-k8s.io: no CRD in {kueue_crds()}"
            for name in KUEUE_CRDS
            if not (kueue_crds() / f"{name}.yaml").exists()
        ]
    if part == "node-exporter":
        there = node_exporter() is not None
        return [] if there else [f"node_exporter: no 1.3 or newer on PATH, none in {CACHE}"]
    if part == "thanos":
        there = thanos_program() is not None
        return [] if there else [f"thanos: no 0.30 or newer on PATH, none in {CACHE}"]
    programs = cluster_programs()
    return [
        f"{name}: not in $KUBEBUILDER_ASSETS, not in {CACHE}"
        for name in (*CLUSTER_PROGRAMS, STAGES)
        if name not in programs
    ]


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


def version_of(program: str) -> tuple[int, ...]:
    """What `--version` says; nothing where it says none."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    return tuple(map(int, match.groups())) if match else ()


def _stamp(source: Path, module: str, *files: str) -> str:
    """Names a build by all that goes into it."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", *files):
        digest.update((source / name).read_bytes())
    match = re.search(rf"{re.escape(module)} (v\S+)", (source / "go.mod").read_text())
    return f"{match.group(1) if match else 'v0'}-{digest.hexdigest()[:12]}"
