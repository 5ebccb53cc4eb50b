"""A process that follows a replayed watch, as our view or as lightkube does, and tells when.

python -m bench.watch_follower ours|peer URL EVENTS
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from lightkube import Client, KubeConfig
from lightkube.config.models import User
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.model import Workload
from agentaflow_advisor.observe.view import ClusterView
from tools.processes import eventually


def main(kind: str, url: str, events: str) -> None:
    config = KubeConfig.from_server(url).get()
    assert config is not None
    with Client(config=config._replace(user=User())) as client:
        taken_at, cpu_seconds = FOLLOWERS[kind](client, int(events))
    print(json.dumps({"taken_at": taken_at, "cpu_seconds": cpu_seconds}), flush=True)


def ours(client: Client, events: int) -> tuple[list[float], float]:
    """When each event was taken, and the CPU that all of them took."""
    watch = ClusterView(client).pods
    convert, taken_at, began = watch.convert, [], 0.0

    def timed(raw: bytes) -> Workload | None:
        nonlocal began
        began = began or (time.process_time() if watch.ready.is_set() else 0.0)
        item = convert(raw)
        if watch.ready.is_set():
            taken_at.append(time.monotonic())
        return item

    watch.convert = timed
    watch.start()
    eventually(lambda: watch.events >= events, 120, what="all events")
    spent = time.process_time() - began
    watch.stop()
    return taken_at, spent


def peer(client: Client, events: int) -> tuple[list[float], float]:
    """The same by lightkube's own list and watch, which keep whole objects."""
    listed = client.list(Pod, namespace="*", chunk_size=500)
    held = {pod.metadata.uid: pod for pod in listed if pod.metadata}
    taken_at: list[float] = []
    began = 0.0
    for _, pod in client.watch(Pod, namespace="*", resource_version=listed.resourceVersion):
        began = began or time.process_time()
        if pod.metadata:
            held[pod.metadata.uid] = pod
        taken_at.append(time.monotonic())
        if len(taken_at) >= events:
            break
    return taken_at, time.process_time() - began


FOLLOWERS: dict[str, Callable[[Client, int], tuple[list[float], float]]] = {
    "ours": ours,
    "peer": peer,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
