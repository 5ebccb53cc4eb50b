"""The real parts that tests and demos run against, and how each is had.

`python -m tools.realparts` fills the cache with what is not there yet (programs.py): Prometheus by
apt's download, unpacked there (nothing is installed on the system), else by Go; so too
node_exporter, a peer that only `make bench` needs; promtool of Prometheus 3, Alertmanager, the
control plane, Thanos and CRDs of the Prometheus operator and of Kueue by Go, from modules; Chromium
by apt and Grafana's libraries by npm.
Standard library only, so that it runs before anything else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import browser, programs
from tools.commands import CommandFailed, run, say
from tools.programs import (
    CACHE,
    CLUSTER_PROGRAMS,
    CLUSTER_SOURCE,
    GO_PROMETHEUS,
    KUEUE,
    KUEUE_CRDS,
    OLDEST_NODE_EXPORTER,
    OLDEST_PROMETHEUS,
    OPERATOR,
    THANOS_SOURCE,
    PartMissing,
    cluster_folder,
    kueue_crds,
    prometheus_rule_crd,
    thanos_folder,
    version_of,
)

GO_NODE_EXPORTER = "v1.9.1"
GO_ALERTMANAGER = "v0.31.1"  # newer ones lack files that they are built from
PARTS = (
    "compiler",
    "prometheus",
    "prometheus-3",
    "alertmanager",
    "kubernetes",
    "prometheus-operator",
    "kueue",
    "thanos",
    "browser",
    "node-exporter",
)
NOT_FOR_TESTS = ("node-exporter",)


def missing(part: str) -> Sequence[str]:
    """A line for each program of a part that is not there."""
    return browser.missing() if part == "browser" else programs.missing(part)


def install(wanted: Sequence[str]) -> None:
    """Make the wanted parts be there. Raises PartMissing with what to do."""
    make = {
        "compiler": _install_compiler,
        "prometheus": _install_prometheus,
        "prometheus-3": _install_promtool_of_3,
        "alertmanager": _install_alertmanager,
        "kubernetes": _build_cluster,
        "prometheus-operator": _fetch_operator,
        "kueue": _fetch_kueue,
        "thanos": _build_thanos,
        "browser": browser.install,
        "node-exporter": _install_node_exporter,
    }
    for part in wanted:
        try:
            if missing(part):
                make[part]()
        except CommandFailed as error:
            raise PartMissing(str(error)) from error
        if lines := missing(part):
            raise PartMissing("the install went well, and still: " + "; ".join(lines))
        say(f"{part}: there")


def _install_compiler() -> None:
    if not _is_root():
        raise PartMissing("C compiler: no cc on PATH; install gcc (Debian: apt install gcc)")
    run("compiler: apt-get install gcc libc6-dev", _apt("install", "-y", "gcc", "libc6-dev"))


def _install_prometheus() -> None:
    if _by_apt("prometheus", "prometheus", OLDEST_PROMETHEUS):
        return
    if not _prometheus_by_go("prometheus", "promtool"):
        raise PartMissing(
            "prometheus: not on PATH, and neither apt nor Go 1.26 is there to fetch it;"
            " put prometheus and promtool (2.42 or newer) on PATH"
        )
    _make_current("prometheus", CACHE / "prometheus" / GO_PROMETHEUS)


def _install_promtool_of_3() -> None:
    # No server: the rules' tests need none, and it would take as long again.
    if not _prometheus_by_go("promtool"):
        raise PartMissing(
            f"promtool {GO_PROMETHEUS}: not on PATH, and Go 1.26 is not there to build it;"
            " put promtool (3.16 or newer) on PATH"
        )


def _install_alertmanager() -> None:
    # Not Debian's package: that one reads its templates from /usr/share and nowhere else.
    if not _alertmanager_by_go():
        raise PartMissing(
            "alertmanager: not on PATH, and Go is not there to build it;"
            " put alertmanager and amtool (0.25 or newer) on PATH"
        )


def _install_node_exporter() -> None:
    package = "prometheus-node-exporter"
    if not (_by_apt("node-exporter", package, OLDEST_NODE_EXPORTER) or _node_exporter_by_go()):
        raise PartMissing(
            "node_exporter: not on PATH, and neither apt nor Go is there to fetch it;"
            " put node_exporter (1.3 or newer) on PATH"
        )


def _by_apt(part: str, package: str, oldest: tuple[int, ...]) -> bool:
    """Debian's package, unpacked into the cache: the system itself is left as it is."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    folder = CACHE / part / "debian"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        download = Path(name)
        if _is_root():
            download.chmod(0o755)
            run(f"{part}: apt-get update", _apt("update", "-qq"), check=False)
        run(f"{part}: apt-get download", _apt("download", package), download, check=False)
        packages = list(download.glob("*.deb"))
        if not packages:
            return False
        run(f"{part}: unpacking", ["dpkg-deb", "-x", str(packages[0]), str(download / "tree")])
        if version_of(str(download / "tree/usr/bin" / package)) < oldest:
            return False
        version = packages[0].name.split("_")[1].replace("%3a", "-")
        shutil.rmtree(folder / version, ignore_errors=True)
        (download / "tree").rename(folder / version)
    _make_current(part, folder / version / "usr" / "bin")
    return True


def _node_exporter_by_go() -> bool:
    if not shutil.which("go"):
        return False
    folder = CACHE / "node-exporter" / GO_NODE_EXPORTER
    package = f"github.com/prometheus/node_exporter@{GO_NODE_EXPORTER}"
    environment = {"CGO_ENABLED": "0", "GOBIN": str(folder)}
    command = ["go", "install", "-trimpath", package]
    run(f"node_exporter {GO_NODE_EXPORTER}: go install", command, environment=environment)
    _make_current("node-exporter", folder)
    return True


def _alertmanager_by_go() -> bool:
    if not shutil.which("go"):
        return False
    folder = CACHE / "alertmanager" / GO_ALERTMANAGER
    for name in ("alertmanager", "amtool"):
        package = f"github.com/prometheus/alertmanager/cmd/{name}@{GO_ALERTMANAGER}"
        command = ["go", "install", "-trimpath", package]
        environment = {"CGO_ENABLED": "0", "GOBIN": str(folder)}
        run(f"{name} {GO_ALERTMANAGER}: go install", command, environment=environment)
    _make_current("alertmanager", folder)
    return True


def _prometheus_by_go(*names: str) -> bool:
    if not shutil.which("go"):
        return False
    folder = CACHE / "prometheus" / GO_PROMETHEUS
    module_version = f"v0.{GO_PROMETHEUS.replace('.', '', 1)}"
    ldflags = f"-s -w -X github.com/prometheus/common/version.Version={GO_PROMETHEUS}"
    for name in names:
        package = f"github.com/prometheus/prometheus/cmd/{name}@{module_version}"
        command = ["go", "install", "-trimpath", "-tags", "remove_all_sd", "-ldflags", ldflags]
        environment = {"CGO_ENABLED": "0", "GOBIN": str(folder)}
        run(f"{name} {GO_PROMETHEUS}: go install", [*command, package], environment=environment)
    return True


def _build_cluster() -> None:
    if not shutil.which("go"):
        raise PartMissing(
            "Kubernetes control plane: needs Go 1.26 to build it, or $KUBEBUILDER_ASSETS with"
            f" {', '.join(CLUSTER_PROGRAMS)}"
        )
    folder = cluster_folder()
    script = CLUSTER_SOURCE / "build.sh"
    run("kubernetes control plane: go build (about 6 minutes once)", [str(script), str(folder)])


def _fetch_operator() -> None:
    folder = Path("example", "prometheus-operator-crd")
    files = {folder / "monitoring.coreos.com_prometheusrules.yaml": prometheus_rule_crd()}
    _fetch_crds("github.com/prometheus-operator/prometheus-operator", OPERATOR, files)


def _fetch_kueue() -> None:
    folder = Path("config", "components", "crd", "bases")
    files = {
        folder / f"kueue.x-k8s.io_{name}.yaml": kueue_crds() / f"{name}.yaml" for name in KUEUE_CRDS
    }
    _fetch_crds("sigs.k8s.io/kueue", KUEUE, files)


def _fetch_crds(module: str, version: str, files: Mapping[Path, Path]) -> None:
    """Files of a module, each to its place in the cache."""
    if not shutil.which("go"):
        raise PartMissing(
            f"CRDs of {module} {version}: Go is not there to fetch them;"
            f" put them into {', '.join(map(str, files.values()))}"
        )
    parent = next(iter(files.values())).parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as name:
        # A cache of its own that go may delete again: the rest of the module is of no use.
        cache = {"GOMODCACHE": name, "GOFLAGS": "-modcacherw"}
        download = ["go", "mod", "download", f"{module}@{version}"]
        run(f"{module} {version}: {' '.join(download[:3])}", download, environment=cache)
        for inside, place in files.items():
            (Path(name) / f"{module}@{version}" / inside).rename(place)


def _build_thanos() -> None:
    if not shutil.which("go"):
        raise PartMissing("thanos: needs Go 1.26 to build it, or thanos (0.30 or newer) on PATH")
    folder = thanos_folder()
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"thanos.{os.getpid()}"
    # Without the tag it builds, and panics at the first gRPC message.
    options = ["-trimpath", "-buildvcs=false", "-tags", "slicelabels", "-ldflags", "-s -w"]
    run(
        "thanos: go build (about 4 minutes once)",
        ["go", "build", *options, "-o", str(new), "github.com/thanos-io/thanos/cmd/thanos"],
        THANOS_SOURCE,
        environment={"CGO_ENABLED": "0", "GOGC": "400"},
    )
    new.rename(folder / "thanos")


def _make_current(part: str, folder: Path) -> None:
    link = CACHE / part / "current"
    new = link.with_name(f"current.{os.getpid()}")
    new.symlink_to(folder)
    new.rename(link)


def _is_root() -> bool:
    return os.geteuid() == 0


def _apt(*arguments: str) -> list[str]:
    return ["apt-get", *arguments]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.realparts", description=__doc__)
    for_tests = [part for part in PARTS if part not in NOT_FOR_TESTS]
    parser.add_argument("part", nargs="*", help=f"{', '.join(PARTS)}; if none, all that tests need")
    parser.add_argument("--optional", action="store_true", help="say what is missing, do not fail")
    parser.add_argument("--check", action="store_true", help="fetch nothing, say what is missing")
    arguments = parser.parse_args()
    wanted = arguments.part or for_tests
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))} (there are {', '.join(PARTS)})")
    if arguments.check:
        lines = [line for part in wanted for line in missing(part)]
        print("\n".join(lines) or "every part is there")
        return 1 if lines else 0
    failed = 0
    for part in wanted:
        try:
            install([part])
        except PartMissing as error:
            say(str(error))
            failed += 1
    return 0 if arguments.optional else min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
