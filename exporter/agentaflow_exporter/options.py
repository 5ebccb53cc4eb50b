"""Every option of the exporter, said once: its flag, its name in the file and in the environment.

`--scrape.timeout` is `scrape: {timeout: …}` in the file and AGENTAFLOW_EXPORTER_SCRAPE_TIMEOUT in
the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentaflow_exporter import compat
from agentaflow_exporter.collectors import COLLECTORS
from agentaflow_exporter.log import FORMATS, LEVELS

ENVIRONMENT_PREFIX = "AGENTAFLOW_EXPORTER_"
DEFAULT_PORT = 9837


@dataclass(frozen=True, slots=True)
class Option:
    """`parse` turns one text into the value, or raises ValueError saying what to give."""

    name: str
    target: str
    help: str
    parse: Callable[[str], Any]
    metavar: str = ""
    repeatable: bool = False
    group: str = ""

    @property
    def environment(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper().replace(".", "_").replace("-", "_")


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 300:
        raise ValueError("give a number of seconds from 0.1 to 300")
    return seconds


def _interval(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if seconds != 0 and not 1 <= seconds <= 60:
        raise ValueError("give a number of seconds from 1 to 60, or 0 for never")
    return seconds


def _path(text: str) -> Path:
    if not text:
        raise ValueError("give the path of a file or folder")
    return Path(text)


def _url_path(text: str) -> str:
    if not text.startswith("/") or text == "/" or text.startswith("/-/") or "?" in text:
        raise ValueError("give a path such as /metrics, other than / and /-/…")
    return text


def _backend(text: str) -> str:
    if text in ("nvml", "simulated") or (text.startswith("replay:") and text != "replay:"):
        return text
    raise ValueError("give nvml, simulated or replay:FILE")


def _switch(text: str) -> bool:
    word = text.lower()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0"):
        return False
    raise ValueError("give true or false")


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"give one of {', '.join(words)}")
        return text

    return parse


def _text(text: str) -> str:
    if not text:
        raise ValueError("give a text that is not empty")
    return text


_GENERAL: tuple[Option, ...] = (
    Option(
        "web.listen-address",
        "listen_addresses",
        f"address to listen on; repeatable (default :{DEFAULT_PORT})",
        _text,
        "HOST:PORT",
        repeatable=True,
        group="web",
    ),
    Option(
        "web.telemetry-path",
        "telemetry_path",
        "path of the metrics (default /metrics)",
        _url_path,
        "PATH",
        group="web",
    ),
    Option(
        "web.config.file",
        "web_config_file",
        "TLS and basic auth, in exporter-toolkit's web configuration format",
        _path,
        "FILE",
        group="web",
    ),
    Option(
        "backend",
        "backend",
        "who answers: nvml, simulated or replay:FILE (default nvml)",
        _backend,
        "BACKEND",
        group="driver",
    ),
    Option(
        "scrape.timeout",
        "scrape_timeout_seconds",
        "longest time for one scrape; Prometheus' own timeout wins if it is shorter (default 5)",
        _seconds,
        "SECONDS",
        group="driver",
    ),
    Option(
        "background.interval",
        "background_interval_seconds",
        "read the driver's rings of samples when no scrape came for so long; 0: never (default 8)",
        _interval,
        "SECONDS",
        group="background",
    ),
    Option(
        "attribution.pods-file",
        "pods_file",
        "YAML list of {uuid or gpu, namespace, pod, container}, read again when it changes",
        _path,
        "FILE",
        group="pods",
    ),
    Option(
        "attribution.kubelet-socket",
        "kubelet_socket",
        "the kubelet's pod-resources socket, asked at every scrape; needs the extra kubernetes",
        _path,
        "SOCKET",
        group="pods",
    ),
    Option(
        "attribution.labels",
        "pod_labels",
        "join: pods are in agentaflow_gpu_pod_info alone; inline: every series of a GPU has them, "
        "once for each holder, so that sums count a shared GPU as often (default join)",
        _one_of(("join", "inline")),
        "SHAPE",
        group="pods",
    ),
    Option(
        "path.procfs",
        "procfs",
        "where process_usage and container_usage look processes up (default /proc)",
        _path,
        "FOLDER",
        group="pods",
    ),
    Option(
        "path.container-logs",
        "container_logs",
        "the kubelet's links that name containers (default /var/log/containers)",
        _path,
        "FOLDER",
        group="pods",
    ),
    Option(
        "compat",
        "compat",
        f"the readings under dcgm-exporter's names as well: {' or '.join(compat.NAMES)}",
        _one_of(compat.NAMES),
        "NAMES",
        group="names",
    ),
    Option(
        "metrics.own",
        "own_metrics",
        "the collectors' metrics under our own names; on",
        _switch,
        group="names",
    ),
    Option(
        "log.level",
        "log_level",
        "lowest level (default info)",
        _one_of(LEVELS),
        "LEVEL",
        group="log",
    ),
    Option(
        "log.format",
        "log_format",
        "text or json (default text)",
        _one_of(FORMATS),
        "FORMAT",
        group="log",
    ),
)
_SWITCHES: tuple[Option, ...] = tuple(
    Option(
        f"collector.{c.name}",
        f"collector.{c.name}",
        c.help if c.on else f"{c.help}; off",
        _switch,
        group="collectors",
    )
    for c in COLLECTORS
)
_OF_COLLECTORS: tuple[Option, ...] = (
    Option(
        "collector.xid.source",
        "xid_source",
        "events of NVML, or kmsg, which has more and needs CAP_SYSLOG (default events)",
        _one_of(("events", "kmsg")),
        "SOURCE",
        group="collectors",
    ),
)
OPTIONS: tuple[Option, ...] = (*_GENERAL, *_SWITCHES, *_OF_COLLECTORS)
BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}
