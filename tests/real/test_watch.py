"""Watches on a real API server: what they hold is what a list says, whatever happened meanwhile."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lightkube import KubeConfig
from lightkube.config.kubeconfig import SingleConfig

from agentaflow_advisor.observe.cluster import connect, read_cluster
from agentaflow_advisor.observe.view import ClusterView
from agentaflow_advisor.observe.watch import Watch
from tests.support.applying import pod_manifest
from tests.support.fault_proxy import WATCH, Fault, FaultProxy, Kind
from tests.support.loopback import Answer, serve
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually


def config(path: Path) -> SingleConfig:
    made = KubeConfig.from_file(path).get()
    assert made is not None
    return made


def name_of(raw: bytes) -> str:
    seen = msgspec.json.decode(raw)
    labels = seen["metadata"].get("labels") or {}
    return f"{seen['metadata']['name']} {labels.get('turn', '')}".strip()


@pytest.fixture
def room(cluster: ControlPlane) -> str:
    """The path of the ConfigMaps of a namespace of its own."""
    name = f"watch-{secrets.token_hex(4)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.must("POST", "/api/v1/namespaces", body)
    path = f"/api/v1/namespaces/{name}/configmaps"
    eventually(
        lambda: (
            [c["metadata"]["name"] for c in cluster.must("GET", path)["items"]]
            == ["kube-root-ca.crt"]
        ),
        what="the namespace's own ConfigMap",
    )
    return path


def add(cluster: ControlPlane, room: str, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    cluster.must("POST", room, body)


def listed(cluster: ControlPlane, room: str) -> list[str]:
    items = cluster.must("GET", room)["items"]
    return sorted(name_of(msgspec.json.encode(item)) for item in items)


def agrees(watch: Watch[str], cluster: ControlPlane, room: str) -> Callable[[], bool]:
    return lambda: sorted(watch.items()) == listed(cluster, room)


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[FaultProxy]:
    with FaultProxy(cluster.url, cluster.ca_file) as running:
        yield running


@pytest.fixture
def watch(cluster: ControlPlane, room: str) -> Iterator[Watch[str]]:
    made = Watch(config(cluster.kubeconfig), room, name_of)
    made.start()
    assert made.ready.wait(10)
    yield made
    made.stop()


def test_what_is_made_changed_and_deleted_is_followed(
    cluster: ControlPlane, room: str, watch: Watch[str]
) -> None:
    """Without another list."""
    for name in ("one", "two"):
        add(cluster, room, name)
    turn = {"metadata": {"labels": {"turn": "2"}}}
    cluster.must("PATCH", f"{room}/one", turn, content_type=MERGE_PATCH)
    cluster.must("DELETE", f"{room}/two")
    eventually(agrees(watch, cluster, room), what="agreement")
    assert sorted(watch.items()) == ["kube-root-ca.crt", "one 2"]
    assert watch.relists == 0


def test_a_watch_that_is_stopped_leaves_files_that_are_opened_after_it_alone(
    cluster: ControlPlane, room: str, tmp_path: Path
) -> None:
    """A socket that is closed while TLS still reads from it would write its alert into the file
    that has got its number.
    """
    watch = Watch(config(cluster.kubeconfig), room, name_of)
    watch.start()
    eventually(lambda: watch.following, what="the watch follows")
    (thread,) = [each for each in threading.enumerate() if each.name == f"watch {room}"]
    watch.stop()
    ours = b"a file of ours, from its first byte"
    files = [os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT) for number in range(32)]
    try:
        for file in files:
            os.pwrite(file, ours, 0)
        add(cluster, room, "late")
        thread.join(10)
        assert not thread.is_alive()
        assert {os.pread(file, 100, 0) for file in files} == {ours}
    finally:
        for file in files:
            os.close(file)


def test_after_an_api_server_that_went_away_it_agrees_again(own_cluster: ControlPlane) -> None:
    """Killed and started anew on the same port: what was missed is seen."""
    room = "/api/v1/namespaces/default/configmaps"
    watch = Watch(config(own_cluster.kubeconfig), room, name_of)
    watch.start()
    try:
        assert watch.ready.wait(10)
        own_cluster.restart_apiserver()
        add(own_cluster, room, "late")
        eventually(agrees(watch, own_cluster, room), 60, what="agreement")
        assert "late" in watch.items()
    finally:
        watch.stop()


@pytest.mark.parametrize("status", [410, 500, 503])
def test_a_refused_watch_is_asked_again_and_misses_nothing(
    cluster: ControlPlane, room: str, proxy: FaultProxy, status: int
) -> None:
    """410 means: list anew. Anything else: go on from where it was."""
    kubeconfig = cluster.write_kubeconfig("watch", cluster.token, server=proxy.url)
    proxy.inject(Fault(Kind.ANSWER, status=status, method="GET", path="watch=true"))
    watch = Watch(config(kubeconfig), room, name_of)
    watch.start()
    try:
        eventually(lambda: proxy.struck, what="struck")
        add(cluster, room, "one")
        eventually(lambda: watch.relists == (status == 410), what="listed as often as needed")
        assert watch.trouble == "" or str(status) in watch.trouble
    finally:
        watch.stop()


class Scripted:
    """An API server that answers a list once and then plays a watch from a script."""

    def __init__(self, *scripts: bytes, items: tuple[str, ...] = ("one",)) -> None:
        self.scripts, self.lists, self.items = list(scripts), 0, items
        self.watches: list[str] = []

    def handle(self, _method: str, path: str, _body: bytes) -> Answer:
        if "watch=true" in path:
            self.watches.append(path)
            body = self.scripts.pop(0) if self.scripts else b""
            return 200, "application/json", body
        self.lists += 1
        body = msgspec.json.encode(
            {"metadata": {"resourceVersion": "5"}, "items": [thing(name) for name in self.items]}
        )
        return 200, "application/json", body


@contextmanager
def followed(folder: Path, url: str) -> Iterator[Watch[str]]:
    """A watch of the things of that server."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_bytes(
        msgspec.json.encode(
            {
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    watch = Watch(config(kubeconfig), "/api/v1/things", name_of)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def thing(name: str, version: str = "5") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": version}}


def turned(name: str, version: str, turn: str) -> dict[str, Any]:
    made = thing(name, version)
    return {"metadata": {**made["metadata"], "labels": {"turn": turn}}}


def event(kind: str, body: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"type": kind, "object": body}) + b"\n"


@pytest.mark.parametrize(
    ("script", "lists"),
    [
        (event("ERROR", {"code": 410, "message": "too old"}), 2),
        (event("ERROR", {"code": 500, "message": "oops"}), 1),
        (b"garbage\n", 1),
        (event("ADDED", thing("two", "6"))[:20], 1),
        (event("BOOKMARK", thing("", "7")), 1),
        (event("ADDED", thing("one")) * 3, 1),
        (event("DELETED", thing("never there")), 1),
    ],
    ids=["410", "error", "garbage", "cut off", "bookmark only", "doubles", "unknown"],
)
def test_whatever_a_watch_says_the_view_is_what_was_listed_and_changed(
    tmp_path: Path, script: bytes, lists: int
) -> None:
    """After it, another event is taken as if nothing had been."""
    server = Scripted(script, event("ADDED", thing("two", "8")))
    with serve(server.handle) as url, followed(tmp_path, url) as watch:
        eventually(lambda: sorted(watch.items()) == ["one", "two"], what="both")
        assert server.lists == lists


def test_a_watch_that_breaks_again_and_again_is_asked_soon_each_time(tmp_path: Path) -> None:
    """Its pauses grow only as long as nothing comes in between."""
    names = [f"t-{number}" for number in range(8)]
    events = (event("ADDED", thing(name, f"{6 + n}")) for n, name in enumerate(names))
    server = Scripted(*(one + b"garbage\n" for one in events))
    with serve(server.handle) as url, followed(tmp_path, url) as watch:
        eventually(lambda: sorted(watch.items()) == ["one", *names], 10, what="all of them")
        assert server.lists == 1


@pytest.mark.parametrize(
    ("late", "kept"),
    [
        (event("MODIFIED", turned("one", "7", "old")), "one new"),
        (event("DELETED", turned("one", "7", "old")), "one new"),
        (event("MODIFIED", turned("one", "x7", "other")), "one other"),
    ],
    ids=["older", "older end", "of unknown order"],
)
def test_an_event_that_comes_late_changes_nothing(tmp_path: Path, late: bytes, kept: str) -> None:
    """What is newest stays, and the next watch goes on from there."""
    newest = event("MODIFIED", turned("one", "10", "new"))
    server = Scripted(newest + late, event("ADDED", thing("two", "11")))
    with serve(server.handle) as url, followed(tmp_path, url) as watch:
        eventually(lambda: len(watch.items()) == 2, what="both")
        assert sorted(watch.items()) == [kept, "two"]
        asked = "x7" if kept == "one other" else "10"
        assert [asked in path for path in server.watches[1:2]] == [True]


def test_a_watch_that_goes_silent_is_given_up(
    cluster: ControlPlane, room: str, proxy: FaultProxy
) -> None:
    """Half-open: the connection is there and nothing comes. It is asked anew."""
    kubeconfig = cluster.write_kubeconfig("silent", cluster.token, server=proxy.url)
    proxy.inject(Fault(Kind.HOLD, method="GET", path="watch=true"))
    watch = Watch(config(kubeconfig), room, name_of, silent_seconds=0.5)
    watch.start()
    try:
        eventually(lambda: proxy.struck, what="held")
        eventually(lambda: "Timeout" in watch.trouble, what="given up")
    finally:
        watch.stop()


@pytest.mark.parametrize(
    ("kind", "relists"),
    [(Kind.SILENCE, 0), (Kind.EXPIRE, 1), (Kind.RESET, 0), (Kind.FORWARD_THEN_TRUNCATE, 0)],
)
def test_a_change_that_is_lost_under_way_is_seen_all_the_same(
    cluster: ControlPlane, room: str, proxy: FaultProxy, kind: Kind, relists: int
) -> None:
    """The connection goes silent, expires, is reset or ends in the middle of an event."""
    kubeconfig = cluster.write_kubeconfig("way", cluster.token, server=proxy.url)
    watch = Watch(config(kubeconfig), room, name_of, silent_seconds=2.0)
    watch.start()
    try:
        eventually(lambda: watch.following, what="followed")
        proxy.inject(Fault(kind, method=WATCH))
        add(cluster, room, "one")
        proxy.wait_until_struck(kind)
        eventually(lambda: "one" in watch.items(), what="seen")
        assert agrees(watch, cluster, room)()
        assert watch.relists == relists
    finally:
        watch.stop()


def test_the_view_of_a_cluster_is_what_a_list_says(own_cluster: ControlPlane) -> None:
    """Pods that matter, and nodes; used as soon as both are followed."""
    own_cluster.add_node("view-0", gpus=8)
    body = pod_manifest("train", namespace="default")
    own_cluster.must("POST", "/api/v1/namespaces/default/pods", body)
    with connect(own_cluster.kubeconfig, None) as client, ClusterView(client) as view:
        eventually(lambda: view.fresh, what="followed")

        def same() -> bool:
            followed, there = view.state(client), read_cluster(client)
            key = lambda each: each.uid  # noqa: E731
            return sorted(followed.workloads, key=key) == sorted(
                there.workloads, key=key
            ) and sorted(followed.nodes, key=key) == sorted(there.nodes, key=key)

        eventually(same, what="the same")
