"""What the exporter loads: the memory and time of its imports, and of prometheus_client beside it.

The resident exporter writes its own text (exposition.py) and serves it itself (web.py); what it
would cost to let prometheus_client do so, or only to load it, is measured here.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench.contender import OURS, running
from bench.table import Row, show
from tools.terminal import BIN

STARTS = 5
_SERVE_BESIDE = (
    "import sys, {module}; from agentaflow_exporter.cli import main; sys.exit(main(sys.argv[1:]))"
)
_IMPORT = """
import sys, time
started = time.perf_counter()
import {module}
print((time.perf_counter() - started) * 1e3)
"""
_TABLE = """
import builtins, json, sys
real, found, depth = builtins.__import__, [], []

def rss():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4

def noting(name, globals=None, locals=None, fromlist=(), level=0):
    new = level == 0 and name not in sys.modules
    before = rss()
    depth.append(0)
    try:
        return real(name, globals, locals, fromlist, level)
    finally:
        inside, took = depth.pop(), rss() - before
        if depth:
            depth[-1] += took
        if new:
            found.append((name, took - inside))

builtins.__import__ = noting
import agentaflow_exporter.cli, agentaflow_exporter.backends
import agentaflow_exporter.nvml, agentaflow_exporter.kernel
builtins.__import__ = real
json.dump(found, sys.stdout)
"""


def main() -> bool:
    """Nothing to fall short of: docs/lean.md has what follows from the figures."""
    with tempfile.TemporaryDirectory(prefix="agentaflow-bench-") as folder:
        rows = [_row(name, Path(folder)) for name in ("", "prometheus_client")]
    show("The exporter as it is, and with prometheus_client loaded; 8 GPUs of the stub", rows)
    show("Resident memory by import, the largest (its own, without what it imports)", _table())
    return True


def _row(module: str, folder: Path) -> Row:
    beside = _SERVE_BESIDE.format(module=module or "agentaflow_exporter.cli")
    command = (sys.executable, "-c", beside, OURS[1])
    rss = []
    for start in range(STARTS):
        with running(f"{module}-{start}", command, folder) as exporter:
            for _ in range(50):
                exporter.scrape()
            rss.append(exporter.rss_kib() / 1024)
    names = "agentaflow_exporter.cli, agentaflow_exporter.nvml"
    return {
        "loaded": f"agentaflow_exporter, {module}" if module else "agentaflow_exporter",
        "rss_mib": round(statistics.median(rss), 1),
        "import_ms": round(_import_ms(f"{names}, {module}" if module else names), 1),
    }


def _import_ms(module: str) -> float:
    code = _IMPORT.format(module=module)
    return min(float(_python(code)) for _ in range(STARTS))


def _table(rows: int = 12) -> list[Row]:
    import json

    kib: dict[str, int] = defaultdict(int)
    for name, took in json.loads(_python(_TABLE)):
        kib[name] += took
    largest = sorted(kib.items(), key=lambda item: -item[1])[:rows]
    return [{"module": name, "rss_kib": took} for name, took in largest]


def _python(code: str) -> str:
    done = subprocess.run([BIN / "python", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout
