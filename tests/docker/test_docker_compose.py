"""compose.yaml: what it names exists, it listens on loopback only, and it starts in order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentaflow_advisor.configuration import load

FOLDER = Path(__file__).parents[2] / "docker"
ENVIRONMENT = dict(
    line.split("=", 1)
    for line in (FOLDER / ".env").read_text().splitlines()
    if line and not line.startswith("#")
)
PROFILES = ["simulated", "gpu"]
HARDENED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}


def composed(profile: str = ENVIRONMENT["COMPOSE_PROFILES"]) -> dict[str, Any]:
    """The services of a profile, with variables replaced as compose does it."""
    text = (FOLDER / "compose.yaml").read_text().replace("${COMPOSE_PROFILES:-simulated}", profile)
    services = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))["services"]
    return {
        name: service
        for name, service in services.items()
        if profile in service.get("profiles", [profile])
    }


def mounts(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Source, target and mode of each volume."""
    parts = [(*volume.split(":"), "") for volume in service.get("volumes", [])]
    return [(source, target, mode) for source, target, mode, *_ in parts]


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_has_one_exporter_beside_prometheus_and_advisor(profile: str) -> None:
    """Either the simulated fleet or the real GPUs, never both."""
    beside = ["prometheus", "alertmanager", "advisor", "grafana"]
    assert list(composed(profile)) == [f"exporter-{profile}", *beside]


def test_without_a_choice_the_fleet_is_simulated() -> None:
    """The default needs no GPU."""
    assert ENVIRONMENT == {"COMPOSE_PROFILES": "simulated"}


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_built_and_mounted_exists(profile: str) -> None:
    """Dockerfiles, configuration and rules are where compose looks for them."""
    for service in composed(profile).values():
        if build := service.get("build"):
            context = (FOLDER / build["context"]).resolve()
            assert (context / "pyproject.toml").exists()
            assert (context / build["dockerfile"]).exists()
        for source, _, mode in mounts(service):
            if source.startswith("."):
                assert (FOLDER / source).exists(), source
                assert mode == "ro"


def test_named_volumes_are_declared() -> None:
    """What has to outlive a container is in a volume that `down -v` finds."""
    declared = set(yaml.safe_load((FOLDER / "compose.yaml").read_text())["volumes"])
    used = {source for service in composed().values() for source, _, _ in mounts(service)}
    assert {name for name in used if not name.startswith(".")} == declared


@pytest.mark.parametrize("profile", PROFILES)
def test_every_service_is_hardened_and_on_loopback(profile: str) -> None:
    """No capability, no writable root, and no port that another machine can reach."""
    for service in composed(profile).values():
        assert service.items() >= HARDENED.items()
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@pytest.mark.parametrize("profile", PROFILES)
def test_services_start_after_what_they_ask(profile: str) -> None:
    """Prometheus waits for the exporter of its profile, the advisor for Prometheus."""
    services = composed(profile)
    waits = services["prometheus"]["depends_on"]
    assert set(waits) == {f"exporter-{name}" for name in PROFILES}
    optional = {"condition": "service_healthy", "required": False}
    assert all(wait == optional for wait in waits.values())
    assert services["advisor"]["depends_on"] == {"prometheus": {"condition": "service_healthy"}}
    assert "healthcheck" in services["prometheus"]


@pytest.mark.parametrize("profile", PROFILES)
def test_prometheus_scrapes_the_exporter_of_its_profile(profile: str) -> None:
    """The job has the name that boards and alerts expect, and the rules are loaded."""
    config = yaml.safe_load((FOLDER / "prometheus" / f"{profile}.yml").read_text())
    job, of_advisor = config["scrape_configs"]
    assert of_advisor["job_name"] == "agentaflow-advisor"
    assert of_advisor["honor_labels"]  # what a recommendation is about is in its labels
    assert job["job_name"] == "agentaflow-exporter"
    assert f"exporter-{profile}:9837" in str(job)
    assert config["rule_files"] == ["/etc/prometheus/rules/*.yaml"]
    mounted = {source: target for source, target, _ in mounts(composed(profile)["prometheus"])}
    assert mounted["../alerts/rules"] == "/etc/prometheus/rules"
    assert mounted[f"./prometheus/{profile}.yml"] == "/etc/prometheus/prometheus.yml"


@pytest.mark.parametrize("profile", PROFILES)
def test_prometheus_tells_its_alerts_to_alertmanager(profile: str) -> None:
    """Under the service's name and port; it routes by the example that amtool checks elsewhere."""
    config = yaml.safe_load((FOLDER / "prometheus" / f"{profile}.yml").read_text())
    (to,) = config["alerting"]["alertmanagers"]
    assert to == {"static_configs": [{"targets": ["alertmanager:9093"]}]}
    service = composed(profile)["alertmanager"]
    assert service["ports"] == ["127.0.0.1:9093:9093"]
    mounted = {target: source for source, target, _ in mounts(service)}
    assert mounted["/etc/alertmanager/alertmanager.yml"] == "../alerts/alertmanager.yaml"
    assert "--config.file=/etc/alertmanager/alertmanager.yml" in service["command"]
    assert f"--storage.path={list(mounted)[-1]}" in service["command"]


def test_grafana_opens_on_our_boards() -> None:
    """Boards and data source are mounted where Grafana and the provider look for them."""
    service = composed()["grafana"]
    mounted = {target: FOLDER / source for source, target, _ in mounts(service)}
    provisioning = mounted["/etc/grafana/provisioning"]
    provider = yaml.safe_load((provisioning / "dashboards" / "agentaflow.yaml").read_text())
    boards = mounted[provider["providers"][0]["options"]["path"]]
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (boards / Path(home).name).exists()
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())
    assert source["datasources"][0]["url"] == "${PROMETHEUS_URL}"
    assert service["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"


def test_the_advisor_is_told_settings_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of compose and of the image is accepted by the advisor's own settings."""
    dockerfile = (FOLDER / "Dockerfile.advisor").read_text()
    environment = dict(re.findall(r"(AGENTAFLOW_\w+)=(\S+)", dockerfile))
    environment |= composed()["advisor"]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.prometheus_url == "http://prometheus:9090"
    assert settings.window_seconds == 3600
    assert settings.journal.is_relative_to("/var/lib/agentaflow")
