"""The view that `serve` keeps of a cluster: its memory for 5,000 pods, and how fast it follows.

Our process and a peer's, which holds the same pods as lightkube lists them, side by side against
one real API server; the changes come from eight writers, and are as many as that can take.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench.table import Row, show, verdict
from tests.support.applying import pod_manifest
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import Program, eventually

ROOT = Path(__file__).parents[1]
NAMESPACE = "bench"
MEMORY_GOAL_MIB = 60.0
PACE_GOAL = 1000.0  # changes a second
WRITERS = 8
CHANGES = 6000


def main(pods: int = 5000) -> bool:
    with ControlPlane() as cluster:
        _fill(cluster, pods)
        ours, peer = (_holder(cluster, kind, pods) for kind in ("ours", "peer"))
        try:
            written = _change(cluster, pods)
            ours_told = _told(ours, lambda told: told["events"] >= CHANGES)
            peer_told = _told(peer, lambda _: True)
        finally:
            ours.stop()
            peer.stop()
    rows: list[Row] = [
        {"who": name, "pods": told["pods"], "MiB above the base": round(told["mib"], 1)}
        for name, told in (("ours", ours_told), ("a plain list", peer_told))
    ]
    show(f"{pods:,} pods of a real API server", rows)
    pace = ours_told["events"] / ours_told["seconds"]
    ratio = ours_told["mib"] / max(0.1, peer_told["mib"])
    met = verdict(
        f"memory: {ours_told['mib']:.1f} MiB above the base, {ratio:.2f} of a plain list's",
        ours_told["mib"] <= MEMORY_GOAL_MIB,
        f"at most {MEMORY_GOAL_MIB:.0f} MiB",
    )
    print(f"the writers made {written:,.0f} changes a second; the view took {pace:,.0f} a second")
    took = ours_told["events"] / max(1e-9, ours_told["cpu_seconds"])
    return met & verdict(
        f"the view can take {took:,.0f} changes for each second of its CPU",
        took >= PACE_GOAL,
        f"at least {PACE_GOAL:,.0f}",
    )


def _fill(cluster: ControlPlane, pods: int) -> None:
    """Bound to a node that nobody plays, so that they stay as they are."""
    cluster.must(
        "POST",
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    )
    account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
    eventually(lambda: cluster.request("GET", account)[0] == 200, what=account)

    def add(first: int) -> None:
        for number in range(first, pods, WRITERS):
            manifest = pod_manifest(f"pod-{number}", namespace=NAMESPACE, gates=())
            manifest["spec"]["nodeName"] = "elsewhere"
            cluster.must("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", manifest)

    _at_once(add)


def _change(cluster: ControlPlane, pods: int) -> float:
    """Changes a second that the API server took."""
    started = time.monotonic()

    def change(first: int) -> None:
        for number in range(first, CHANGES, WRITERS):
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/pod-{number % pods}"
            body = {"metadata": {"labels": {"turn": str(number)}}}
            cluster.must("PATCH", path, body, content_type=MERGE_PATCH)

    _at_once(change)
    return CHANGES / (time.monotonic() - started)


def _at_once(work: Any) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _holder(cluster: ControlPlane, kind: str, pods: int) -> Program:
    log = cluster.folder / f"holder-{kind}.log"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "bench.watch_holder",
        kind,
        cluster.kubeconfig,
    ]
    program = Program(command, log, folder=ROOT)
    _told(program, lambda told: told["pods"] >= pods)
    return program


def _told(program: Program, enough: Any) -> dict[str, Any]:
    """Its newest line, once that is enough."""

    def look() -> dict[str, Any] | None:
        lines = [line for line in program.log.read_text().splitlines() if line.startswith("{")]
        told: dict[str, Any] | None = json.loads(lines[-1]) if lines else None
        return told if told and enough(told) else None

    found = eventually(look, 120, what=f"enough of {program.log.name}")
    assert found is not None
    return found
