"""Quota of queues from a YAML file, in Kueue's words."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from agentaflow_advisor.configuration import SettingsError
from agentaflow_advisor.place.demand import WHOLE
from agentaflow_advisor.place.quota import ClusterQueue


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, strict=True)

    name: str
    nominal_quota: float = Field(ge=0, le=1e6)
    cohort: str = ""
    borrowing_limit: float | None = Field(None, ge=0, le=1e6)
    lending_limit: float | None = Field(None, ge=0, le=1e6)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, strict=True)

    cluster_queues: list[_Entry] = Field(min_length=1)


def read_quota(path: Path) -> tuple[ClusterQueue, ...]:
    """Raises SettingsError."""
    try:
        entries = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}; check --quota") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "it"
        raise SettingsError(
            f"{path}: {where}: {problem['msg']}; give clusterQueues, each with name and "
            "nominalQuota in GPUs, and cohort, borrowingLimit, lendingLimit where they apply"
        ) from error
    queues = tuple(_queue(entry) for entry in entries.cluster_queues)
    names = [queue.name for queue in queues]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(f"{path}: queue {twice} is there twice; give each name once")
    return queues


def _queue(entry: _Entry) -> ClusterQueue:
    return ClusterQueue(
        entry.name,
        round(entry.nominal_quota * WHOLE),
        entry.cohort,
        _milli(entry.borrowing_limit),
        _milli(entry.lending_limit),
    )


def _milli(gpus: float | None) -> int | None:
    return None if gpus is None else round(gpus * WHOLE)
