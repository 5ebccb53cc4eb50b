"""submit: GPUWorkloads from flags or a file, as `kubectl apply` would make them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer
import yaml
from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta

from agentaflow_advisor.act.api import write
from agentaflow_advisor.act.errors import ApiTrouble, Conflict, Rejected, Unanswered
from agentaflow_advisor.act.resources.kinds import API_VERSION, WORKLOAD
from agentaflow_advisor.commands.manifest import ManifestError
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster
from agentaflow_advisor.model.names import FIELD_MANAGER, MANAGED
from agentaflow_advisor.place import STRATEGIES

KIND = "GPUWorkload"
EXIT_NOT_DONE = 5
NOT_FOUND = 404


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
        ends = [_one(client, body, namespace) for body in bodies]
    if session.output.as_json:
        session.output.document({"workloads": ends})
    for end in ends:
        where = f"{end['namespace']}/{end['name']}"
        if end["error"]:
            session.output.note(f"agentaflow: {where} is not submitted: {end['error']}")
        elif not session.output.as_json:
            session.output.line(f"{where} submitted")
    return EXIT_NOT_DONE if any(end["error"] for end in ends) else 0


def _one(client: Client, body: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Where it is, and why it came to nothing."""
    meta = body["metadata"]
    where = meta.get("namespace") or namespace
    made = WORKLOAD(
        apiVersion=API_VERSION,
        kind=KIND,
        metadata=ObjectMeta(
            name=meta["name"],
            namespace=where,
            labels={**(meta.get("labels") or {}), MANAGED: "true"},
            annotations=meta.get("annotations"),
        ),
        spec=body["spec"],
    )
    error = None
    try:
        write(lambda: client.create(made, field_manager=FIELD_MANAGER))
    except (Conflict, Rejected, Unanswered) as trouble:
        error = f"{trouble}{_hint(trouble)}"
    return {"namespace": where, "name": meta["name"], "submitted": error is None, "error": error}


def _hint(trouble: ApiTrouble) -> str:
    """A 404 is about the namespace, which the API server names, or about the kind."""
    if trouble.code != NOT_FOUND or "namespaces" in str(trouble):
        return ""
    return f"; the cluster does not know {KIND}s: kubectl apply -f manifests/crds.yaml"


def _read(path: Path) -> list[dict[str, Any]]:
    """Raises ManifestError."""
    try:
        documents = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}; check -f") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    for document in documents:
        if problem := _problem(document):
            raise ManifestError(f"{path}: {problem}")
    if not documents:
        raise ManifestError(f"{path} holds no {KIND}")
    return cast(list[dict[str, Any]], documents)


def _problem(document: object) -> str | None:
    """Why it is no GPUWorkload; what its spec holds is for the API server to judge."""
    if not isinstance(document, dict) or document.get("kind") != KIND:
        kind = document.get("kind") if isinstance(document, dict) else None
        return f"kind {kind} is not understood; give a {KIND}"
    if (version := document.get("apiVersion")) != API_VERSION:
        return f"apiVersion {version} is not understood; a {KIND} is of {API_VERSION}"
    meta = document.get("metadata")
    if not isinstance(meta, dict) or not _is_text(meta.get("name")):
        return f"a {KIND} needs metadata.name, a text"
    if not isinstance(document.get("spec"), dict):
        return f"a {KIND} needs a spec, a mapping with gpus and template"
    if not _is_text(meta.get("namespace", "default")):
        return "metadata.namespace has to be a text"
    for name in ("labels", "annotations"):
        held = meta.get(name) or {}
        if not isinstance(held, dict) or not all(map(_is_text, (*held, *held.values()))):
            return f"metadata.{name} has to be a mapping of texts; quote numbers and true"
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str)
