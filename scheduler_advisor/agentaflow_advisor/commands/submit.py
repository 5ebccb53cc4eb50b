"""submit: GPUWorkloads from flags or a file, as `kubectl apply` would make them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer
import yaml
from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta

from agentaflow_advisor.act.api import write
from agentaflow_advisor.act.errors import Conflict, Rejected, Unanswered
from agentaflow_advisor.act.resources.kinds import API_VERSION, WORKLOAD
from agentaflow_advisor.commands.manifest import ManifestError
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster
from agentaflow_advisor.model.names import FIELD_MANAGER, MANAGED
from agentaflow_advisor.place import STRATEGIES

KIND = "GPUWorkload"
EXIT_NOT_DONE = 5


def _known(strategy: str | None) -> str | None:
    if strategy is not None and strategy not in STRATEGIES:
        raise typer.BadParameter(f"{strategy}: give one of {', '.join(sorted(STRATEGIES))}")
    return strategy


@command()
def submit(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of the workload.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("-f", "--file", metavar="FILE", help="GPUWorkloads in YAML, instead."),
    ] = None,
    image: Annotated[str | None, typer.Option(help="Of its container.")] = None,
    gpus: Annotated[int, typer.Option(min=1, max=1024, help="Of each pod.")] = 1,
    gang_size: Annotated[
        int, typer.Option(min=1, max=4096, help="So many pods, together or not at all.")
    ] = 1,
    model: Annotated[
        str | None, typer.Option(help="Product of the GPUs, as nvidia.com/gpu.product has it.")
    ] = None,
    memory: Annotated[str | None, typer.Option(help="Of each pod, for example 64Gi.")] = None,
    cpu: Annotated[str | None, typer.Option(help="Of each pod, for example 8 or 500m.")] = None,
    priority_class: Annotated[str | None, typer.Option(help="Name of a PriorityClass.")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            callback=_known,
            help="How its node is chosen, instead of as the advisor is set: "
            f"{', '.join(sorted(STRATEGIES))}.",
        ),
    ] = None,
    into: Annotated[
        str, typer.Option("-n", "--into", metavar="NAMESPACE", help="Where it shall run.")
    ] = "default",
    words: Annotated[
        list[str] | None,
        typer.Option("--command", metavar="WORD", help="What it runs; may be repeated."),
    ] = None,
) -> int:
    """Hand work to AgentaFlow: it waits as a suspended Job until a place is found and approved.

    Needs manifests/crds.yaml in the cluster, the channel suspended-job, and a namespace that opted
    in.
    """
    if (file is None) == (name is None):
        raise typer.BadParameter("give a NAME and --image, or -f FILE, and not both")
    if file is not None:
        return _create(session, _read(file), into)
    if image is None:
        raise typer.BadParameter("--image is missing: what should it run?")
    asked = {
        "gpus": gpus,
        "gangSize": gang_size,
        "memory": memory,
        "cpu": cpu,
        "model": model,
        "priorityClassName": priority_class,
        "strategy": strategy,
    }
    container = {"name": "main", "image": image, **({"command": words} if words else {})}
    spec: dict[str, Any] = {key: value for key, value in asked.items() if value}
    spec["template"] = {"containers": [container]}
    return _create(session, [{"metadata": {"name": name}, "spec": spec}], into)


def _create(session: Session, bodies: list[dict[str, Any]], namespace: str) -> int:
    """One after the other; what the API server refuses is told, and the others are made."""
    with open_cluster(session.settings) as client:
        troubles = [_one(session, client, body, namespace) for body in bodies]
    return EXIT_NOT_DONE if any(troubles) else 0


def _one(session: Session, client: Client, body: dict[str, Any], namespace: str) -> bool:
    """Whether it came to nothing."""
    meta = body["metadata"]
    where = meta.get("namespace") or namespace
    labels = {**(meta.get("labels") or {}), MANAGED: "true"}
    made = WORKLOAD(
        apiVersion=API_VERSION,
        kind=KIND,
        metadata=ObjectMeta(name=meta["name"], namespace=where, labels=labels),
        spec=body["spec"],
    )
    try:
        write(lambda: client.create(made, field_manager=FIELD_MANAGER))
    except (Conflict, Rejected, Unanswered) as trouble:
        session.output.note(f"agentaflow: {where}/{meta['name']} is not submitted: {trouble}")
        return True
    session.output.line(f"{where}/{meta['name']} submitted")
    return False


def _read(path: Path) -> list[dict[str, Any]]:
    """Raises ManifestError."""
    try:
        documents = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}; check -f") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    for document in documents:
        kind = document.get("kind") if isinstance(document, dict) else None
        if kind != KIND:
            raise ManifestError(f"{path}: kind {kind} is not understood; give a {KIND}")
        if not (document.get("metadata") or {}).get("name") or "spec" not in document:
            raise ManifestError(f"{path}: a {KIND} needs metadata.name and spec")
    if not documents:
        raise ManifestError(f"{path} holds no {KIND}")
    return cast(list[dict[str, Any]], documents)
