"""Pods from a manifest file, so that `place -f` can say where they would go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml
from lightkube.models.core_v1 import PodSpec
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.model import Workload
from agentaflow_advisor.observe.kubernetes import workload
from agentaflow_advisor.observe.resources import NVIDIA, quantity

REPLICAS = {
    "Deployment": "replicas",
    "ReplicaSet": "replicas",
    "StatefulSet": "replicas",
    "Job": "parallelism",
}
"""Kinds with a pod template, and the field that says how many pods run at once."""
MOST_REPLICAS = 1000
MOST = 10**15  # of a resource, in its own unit


class ManifestError(Exception):
    """The file holds no pods that can be read; the message says where and why."""


def read_pods(path: Path) -> tuple[Workload, ...]:
    """The pods of a YAML file with Pods, kinds with a pod template, and Lists of them.

    Raises ManifestError.
    """
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
        items = document.get("items") or ()
        if not isinstance(items, (list, tuple)):
            raise ManifestError(f"{path}: items of a {kind} is {items!r}; give a list of manifests")
        for item in items:
            yield from _items(path, item)
    elif kind == "Pod":
        yield document
    elif isinstance(kind, str) and kind in REPLICAS:
        yield from _of_template(path, document, kind)
    else:
        known = ", ".join(("Pod", *REPLICAS))
        raise ManifestError(
            f"{path}: kind {kind} is not understood; give {known} or a List of them"
        )


def _of_template(path: Path, document: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """The pods that would run at once."""
    meta, spec = _mapping(document, "metadata"), _mapping(document, "spec")
    name, template = meta.get("name", "without a name"), _mapping(spec, "template")
    count = spec.get(REPLICAS[kind], 1)
    if not isinstance(count, int) or not 0 < count <= MOST_REPLICAS:
        raise ManifestError(
            f"{path}: {REPLICAS[kind]} of {kind} {name} is {count!r}; "
            f"give a number from 1 to {MOST_REPLICAS}"
        )
    for number in range(count):
        own = {"name": f"{name}-{number}", "namespace": meta.get("namespace")}
        metadata = {**_mapping(template, "metadata"), **own}
        yield {"kind": "Pod", "metadata": metadata, "spec": template.get("spec")}


def _mapping(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _pod(path: Path, document: dict[str, Any]) -> Workload:
    name = _mapping(document, "metadata").get("name", "without a name")
    try:
        pod = cast(Pod, Pod.from_dict(document))
        if pod.spec:
            _check(pod.spec)
        return workload(pod)
    except (msgspec.MsgspecError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ManifestError(f"{path}: Pod {name} cannot be read: {reason}") from error


def _check(spec: PodSpec) -> None:
    """What the API server would not take. Raises ValueError."""
    holders = [*spec.containers, *(spec.initContainers or ()), spec]
    asked = [one.resources for one in holders if one.resources]
    amounts = [each for one in asked for each in (one.requests, one.limits) if each]
    for name, text in (item for each in (*amounts, spec.overhead or {}) for item in each.items()):
        amount = quantity(str(text))
        if not 0 <= amount <= MOST or (name.startswith(NVIDIA) and amount != int(amount)):
            whole = "a whole number" if name.startswith(NVIDIA) else "an amount"
            raise ValueError(f"{name} is {str(text)!r}; give {whole}, 0 or more, {MOST:g} at most")
