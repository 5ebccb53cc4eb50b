"""What can go wrong while looking, each with a name and one line that a user can act on.

ObserveError
├── PrometheusUnreachable    no answer: refused, reset, too slow, TLS, overloaded
│   └── PrometheusDenied     it answered 401 or 403
├── NotPrometheus            something else answers at that address
├── QueryRejected            Prometheus would not run the query; its own text is kept
├── QueryTooLarge            too many series, bytes, samples or seconds
├── AnswerUnusable           cut off, broken JSON, or a result of another type
├── ClusterUnreachable       no kubeconfig, or the Kubernetes API refused us
├── NoHistory                nothing tells what ran in the window
└── SchedulerUnreachable     no Dask scheduler, or one without workers
"""

from __future__ import annotations


class ObserveError(Exception):
    """Base of this tree. `str()` is the line to show: what, where, what to do."""


class PrometheusUnreachable(ObserveError):
    """No usable answer came within the deadline."""


class PrometheusDenied(PrometheusUnreachable):
    """The credentials are missing or wrong."""


class NotPrometheus(ObserveError):
    """Whatever answers there does not speak Prometheus' HTTP API."""


class QueryRejected(ObserveError):
    """The query could not be parsed or executed."""


class QueryTooLarge(ObserveError):
    """The answer, or the work behind it, is over a limit."""


class AnswerUnusable(ObserveError):
    """An answer came from Prometheus, but it cannot be relied upon."""


class ClusterUnreachable(ObserveError):
    """The Kubernetes API cannot be read."""


class NoHistory(ObserveError):
    """No series tell which pods came and went."""


class SchedulerUnreachable(ObserveError):
    """Nobody is there to run on."""


def one_line(text: object, limit: int = 300) -> str:
    """Foreign text made fit for one line of a terminal: no control characters, no novel."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
