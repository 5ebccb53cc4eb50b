"""Loads the settings: flags over AGENTAFLOW_… variables over a YAML file, refused in one line."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from agentaflow_advisor.settings import PREFIX, Settings, flag

_NOT_OURS = re.compile(
    r"AGENTAFLOW_(?:CONFIG|EXPORTER_.*|(?:.*_)?SERVICE_(?:HOST|PORT.*)|(?:.*_)?PORT(?:_\d+_.*)?)"
)
"""The exporter's variables, and what Kubernetes sets in every pod for a Service `agentaflow…`."""


class SettingsError(Exception):
    """A setting cannot be used; the message names it, where it came from, and what to do."""


def load(config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings in force. Raises SettingsError."""
    flags = {name: value for name, value in (flags or {}).items() if value is not None}
    file_values = _read(config) if config else {}
    _check_environment(os.environ)

    environment = EnvSettingsSource(Settings)()
    try:
        return Settings(**{**file_values, **environment, **flags})
    except ValidationError as error:
        raise SettingsError(_first_problem(error, flags, config)) from error


def _read(config: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {config}: {error.strerror}; check --config") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise SettingsError(f"{config} is not YAML: {said}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(
            f"{config} has to be a mapping of settings, such as: strategy: best_fit"
        )
    for key in values:
        if key not in Settings.model_fields:
            near = _nearest(str(key))
            hint = f"did you mean {near}?" if near else "docs/settings.md has those there are"
            raise SettingsError(f"{config}: unknown setting {key!r}; {hint}")
    return values


def _check_environment(environment: Iterable[str]) -> None:
    """A misspelt variable would be ignored in silence; other tools' variables are none of ours."""
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or name in Settings.model_fields:
            continue
        near = _nearest(name)
        if near and not _NOT_OURS.fullmatch(variable):
            meant = PREFIX + near.upper()
            raise SettingsError(f"unknown variable {variable}; did you mean {meant}?")


def _nearest(name: str) -> str | None:
    return next(iter(difflib.get_close_matches(name, Settings.model_fields, n=1)), None)


def _first_problem(error: ValidationError, flags: Mapping[str, Any], config: Path | None) -> str:
    problem = error.errors(include_url=False, include_context=False)[0]
    name = str(problem["loc"][0])
    said = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    shown = "" if "password" in name or "token" in name else f", not {problem['input']!r}"
    if name in flags:
        where = flag(name)
    elif PREFIX + name.upper() in os.environ:
        where = PREFIX + name.upper()
    elif config is None:
        where = name
    else:
        where = f"{config}: {name}"
    return f"{where} {said}{shown}"
