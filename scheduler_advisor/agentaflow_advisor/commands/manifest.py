"""Pods from a manifest file, so that `place -f` can say where they would go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.model import Workload
from agentaflow_advisor.observe.kubernetes import workload


class ManifestError(Exception):
    """The file holds no pods that can be read; the message says where and why."""


def read_pods(path: Path) -> tuple[Workload, ...]:
    """The pods of a YAML file with Pods and Lists of Pods. Raises ManifestError."""
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}; check -f") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    pods = tuple(_pod(path, each) for document in documents for each in _items(path, document))
    if not pods:
        raise ManifestError(f"{path} holds no Pod; give a manifest of kind Pod")
    return pods


def _items(path: Path, document: Any) -> Iterator[dict[str, Any]]:
    if document is None:
        return
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind in ("List", "PodList"):
        for item in document.get("items") or ():
            yield from _items(path, item)
    elif kind == "Pod":
        yield document
    else:
        raise ManifestError(f"{path}: kind {kind} is not understood; give a Pod or a List of them")


def _pod(path: Path, document: dict[str, Any]) -> Workload:
    name = (document.get("metadata") or {}).get("name", "without a name")
    try:
        return workload(cast(Pod, Pod.from_dict(document)))
    except (msgspec.MsgspecError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ManifestError(f"{path}: Pod {name} cannot be read: {reason}") from error
