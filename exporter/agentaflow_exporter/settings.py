"""The exporter's settings: flags win over the environment, the environment over the YAML file.

options.py says everything about an option.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentaflow_exporter.collectors import COLLECTORS
from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.options import BY_NAME, DEFAULT_PORT, OPTIONS, Option


@dataclass(frozen=True, slots=True)
class Settings:
    listen_addresses: tuple[str, ...] = (f":{DEFAULT_PORT}",)
    telemetry_path: str = "/metrics"
    web_config_file: Path | None = None
    backend: str = "nvml"
    collectors: frozenset[str] = frozenset(c.name for c in COLLECTORS if c.on)
    xid_source: str = "events"
    pods_file: Path | None = None
    kubelet_socket: Path | None = None
    pod_labels: str = "join"
    procfs: Path = Path("/proc")
    container_logs: Path = Path("/var/log/containers")
    scrape_timeout_seconds: float = 5.0
    background_interval_seconds: float = 8.0
    compat: str = ""
    own_metrics: bool = True
    log_level: str = "info"
    log_format: str = "text"


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None
) -> Settings:
    """`flags` by option name: texts, lists of texts, or booleans. Raises SettingsError."""
    values: dict[str, Any] = {}
    if config_file is not None:
        for name, value in _flat(config_file, _read_yaml(config_file)):
            if name not in BY_NAME:
                raise SettingsError(f"{config_file}: unknown setting {name}{_did_you_mean(name)}")
            _set(values, BY_NAME[name], value, f"{config_file}: {name}")
    for option in OPTIONS:
        if option.environment in environment:
            text = environment[option.environment]
            given = text.split(",") if option.repeatable else text
            _set(values, option, given, option.environment)
    for name, value in flags.items():
        _set(values, BY_NAME[name], value, f"--{name}")
    collectors = frozenset(c.name for c in COLLECTORS if values.pop(f"collector.{c.name}", c.on))
    settings = Settings(collectors=collectors, **values)
    if not settings.own_metrics and not settings.compat:
        raise SettingsError("--no-metrics.own leaves no readings: give --compat as well")
    if settings.pods_file is not None and settings.kubelet_socket is not None:
        raise SettingsError(
            "--attribution.pods-file and --attribution.kubelet-socket both say who holds a GPU: "
            "give one of them"
        )
    if settings.pod_labels == "inline" and "pods" not in settings.collectors:
        raise SettingsError("--attribution.labels=inline needs the pods: leave --collector.pods on")
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

    near = difflib.get_close_matches(name, BY_NAME, n=1)
    return f": did you mean {near[0]}?" if near else ": see agentaflow-exporter --help"
