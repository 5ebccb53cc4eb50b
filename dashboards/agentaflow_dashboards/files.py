"""The files that are made of the boards: plain JSON, a provisioning folder, sidecar ConfigMaps."""

from __future__ import annotations

import json
from collections.abc import Mapping

import yaml

from agentaflow_dashboards import BOARDS

BESIDE_GRAFANA = "/etc/grafana/boards"


def rendered() -> Mapping[str, str]:
    """The text of each file by its path in the folder; the same code makes the same text."""
    boards = {
        name: json.dumps(make(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, make in BOARDS.items()
    }
    return {
        **boards,
        "provisioning/dashboards/agentaflow.yaml": _provider(),
        "provisioning/datasources/prometheus.yaml": _datasource(),
        **{
            f"configmaps/{name.removesuffix('.json')}.yaml": _config_map(name, text)
            for name, text in boards.items()
        },
    }


def _provider() -> str:
    provider = {
        "name": "agentaflow",
        "folder": "AgentaFlow",
        "type": "file",
        "allowUiUpdates": False,
        "options": {"path": BESIDE_GRAFANA},
    }
    return yaml.safe_dump({"apiVersion": 1, "providers": [provider]}, sort_keys=False)


def _datasource() -> str:
    source = {
        "name": "Prometheus",
        "uid": "prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": "${PROMETHEUS_URL}",
        "isDefault": True,
    }
    return yaml.safe_dump({"apiVersion": 1, "datasources": [source]}, sort_keys=False)


def _config_map(name: str, text: str) -> str:
    """For the sidecar of Grafana's Helm chart: it looks for the label, and takes the folder."""
    made = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"agentaflow-board-{name.removesuffix('.json')}",
            "labels": {"grafana_dashboard": "1"},
            "annotations": {"grafana_folder": "AgentaFlow"},
        },
        "data": {f"agentaflow-{name}": json.dumps(json.loads(text), separators=(",", ":"))},
    }
    return yaml.safe_dump(made, sort_keys=False, width=100, allow_unicode=True)
