"""`make chaos`: decisions are carried out while everything around them fails, and then reckoned up.

A real API server behind a proxy that resets, stalls, truncates and falsifies; a real Prometheus
that is killed and lies; workers that are killed at random and at every named point, sometimes two
at once; people who edit, replace and delete what is acted on. `main` prints what was lost, done
twice, done to the wrong object or done on stale evidence: all have to be 0.
"""

from __future__ import annotations

from bench.chaos.run import main

__all__ = ["main"]
