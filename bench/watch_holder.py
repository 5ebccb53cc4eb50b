"""A process that holds a cluster's pods, by our view or as a plain list, and tells how it fares.

python -m bench.watch_holder ours|peer KUBECONFIG
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.observe.cluster import connect
from agentaflow_advisor.observe.view import ClusterView

MIB = 1024.0**2


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


def main(kind: str, kubeconfig: str) -> None:
    with connect(Path(kubeconfig), None) as client:
        gc.collect()
        base = rss_mib()
        if kind == "peer":
            held: list[Any] = list(client.list(Pod, namespace="*", chunk_size=500))
            while True:
                tell(base, pods=len(held), events=0, seconds=1.0, cpu_seconds=0.0)
                time.sleep(1)
        with ClusterView(client) as view:
            first = cpu = 0.0
            while True:
                time.sleep(0.2)
                if view.pods.events and not first:
                    first, cpu = time.monotonic() - 0.2, time.process_time()
                tell(
                    base,
                    pods=len(view.pods.items()),
                    events=view.pods.events,
                    seconds=max(0.2, time.monotonic() - first) if first else 1.0,
                    cpu_seconds=time.process_time() - cpu,
                )


def tell(base: float, **figures: float) -> None:
    print(json.dumps({"mib": rss_mib() - base, **figures}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
