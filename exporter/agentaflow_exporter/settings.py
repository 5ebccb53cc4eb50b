"""The exporter's settings: flags win over the environment, the environment over the YAML file.

One table (OPTIONS) says everything about an option. `--scrape.timeout` is `scrape: {timeout: …}` in
the file and AGENTAFLOW_EXPORTER_SCRAPE_TIMEOUT in the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentaflow_exporter import compat
from agentaflow_exporter.collectors import COLLECTORS
from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.log import FORMATS, LEVELS

ENVIRONMENT_PREFIX = "AGENTAFLOW_EXPORTER_"
DEFAULT_PORT = 9837


@dataclass(frozen=True, slots=True)
class Settings:
    listen_addresses: tuple[str, ...] = (f":{DEFAULT_PORT}",)
    telemetry_path: str = "/metrics"
    web_config_file: Path | None = None
    backend: str = "nvml"
    collectors: frozenset[str] = frozenset(c.name for c in COLLECTORS if c.on)
    pods_file: Path | None = None
    scrape_timeout_seconds: float = 5.0
    background_interval_seconds: float = 8.0
    compat: str = ""
    own_metrics: bool = True
    log_level: str = "info"
    log_format: str = "text"


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
        raise ValueError("give the path of a file")
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
OPTIONS: tuple[Option, ...] = (*_GENERAL, *_SWITCHES)
_BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None
) -> Settings:
    """`flags` by option name: texts, lists of texts, or booleans. Raises SettingsError."""
    values: dict[str, Any] = {}
    if config_file is not None:
        for name, value in _flat(config_file, _read_yaml(config_file)):
            if name not in _BY_NAME:
                raise SettingsError(f"{config_file}: unknown setting {name}{_did_you_mean(name)}")
            _set(values, _BY_NAME[name], value, f"{config_file}: {name}")
    for option in OPTIONS:
        if option.environment in environment:
            text = environment[option.environment]
            given = text.split(",") if option.repeatable else text
            _set(values, option, given, option.environment)
    for name, value in flags.items():
        _set(values, _BY_NAME[name], value, f"--{name}")
    collectors = frozenset(c.name for c in COLLECTORS if values.pop(f"collector.{c.name}", c.on))
    settings = Settings(collectors=collectors, **values)
    if not settings.own_metrics and not settings.compat:
        raise SettingsError("--no-metrics.own leaves no readings: give --compat as well")
    return settings


def _set(values: dict[str, Any], option: Option, given: Any, where: str) -> None:
    texts = given if isinstance(given, list) else [given]
    if not texts or (len(texts) > 1 and not option.repeatable):
        raise SettingsError(f"{where}: give one value")
    parsed = []
    for text in texts:
        if not isinstance(text, str | int | float):
            raise SettingsError(f"{where}: give a plain value, not {type(text).__name__}")
        try:
            parsed.append(option.parse(str(text)))
        except ValueError as error:
            raise SettingsError(f"{where}: {str(text)!r} does not do: {error}") from error
    values[option.target] = tuple(parsed) if option.repeatable else parsed[0]


def _read_yaml(path: Path) -> Any:
    import yaml  # only those who have a file pay for it

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"--config.file: {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def _flat(path: Path, content: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Nested mappings as (dotted name, value)."""
    if content is None and not prefix:
        return []
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: must be a mapping of settings, such as {{scrape.timeout: 5}}")
    found: list[tuple[str, Any]] = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        found += _flat(path, value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return found


def _did_you_mean(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, _BY_NAME, n=1)
    return f": did you mean {near[0]}?" if near else ": see agentaflow-exporter --help"
