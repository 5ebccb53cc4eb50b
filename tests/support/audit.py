"""What the API server's audit log says an account used, beside what the manifests grant to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.rights import MANIFESTS
from tools.control_plane import ControlPlane

ACCOUNT = "system:serviceaccount:agentaflow:agentaflow-"
ALLOWED = "authorization.k8s.io/decision"
Right = tuple[str, str]  # verb, resource
GRANTING = {
    "advisor": ("advisor",),
    "applier": ("advisor", "applier", "channels", "kueue"),
}


@dataclass(frozen=True)
class Audited:
    """A cluster that writes down who did what."""

    cluster: ControlPlane
    log: Path

    def events(self, account: str) -> Iterator[Mapping[str, Any]]:
        for line in self.log.read_text().splitlines():
            event = json.loads(line)
            if event["user"]["username"] == f"{ACCOUNT}{account}" and "objectRef" in event:
                yield event

    def used(self, account: str) -> set[Right]:
        """The verbs that an account used and that went through, with their resource."""
        return {
            right_of(event)
            for event in self.events(account)
            if event["annotations"].get(ALLOWED) == "allow"
            and event["responseStatus"].get("code", 0) < 400
        }

    def forbidden(self, account: str) -> set[Right]:
        """What an account tried and has no right to."""
        return {
            right_of(event)
            for event in self.events(account)
            if event["annotations"].get(ALLOWED) != "allow"
        }


def right_of(event: Mapping[str, Any]) -> Right:
    at = event["objectRef"]
    return event["verb"], "/".join(filter(None, (at["resource"], at.get("subresource"))))


def granted(account: str) -> set[Right]:
    """What the manifests give to it, were it bound to every channel's role."""
    return {
        (verb, resource)
        for name in GRANTING[account]
        for document in yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text())
        for rule in document.get("rules", ())
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }


def unlike(audited: Audited, account: str) -> set[Right]:
    """Granted and not used, or used and not granted."""
    return audited.used(account) ^ granted(account)
