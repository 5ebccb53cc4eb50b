"""Flags over environment over file, and what is said about a bad one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agentaflow_exporter.collectors import NAMES
from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.settings import OPTIONS, Settings, load


def test_defaults() -> None:
    """Without any setting all collectors are on, on port 9837."""
    assert load({}, {}, None) == Settings()
    assert Settings().collectors == set(NAMES)
    assert Settings().listen_addresses == (":9837",)


def test_precedence(tmp_path: Path) -> None:
    """A flag wins over the environment, and that over the file."""
    file = tmp_path / "config.yaml"
    file.write_text("scrape: {timeout: 1}\nlog: {level: debug, format: json}\n")
    environment = {
        "AGENTAFLOW_EXPORTER_SCRAPE_TIMEOUT": "2",
        "AGENTAFLOW_EXPORTER_LOG_LEVEL": "warning",
    }
    found = load({"scrape.timeout": "3"}, environment, file)
    assert found.scrape_timeout_seconds == 3
    assert found.log_level == "warning"
    assert found.log_format == "json"


@pytest.mark.parametrize(
    "text",
    [
        "web: {listen-address: ['127.0.0.1:1', '[::1]:2'], telemetry-path: /m}\n"
        "collector: {ecc: no}",
        "web.listen-address: ['127.0.0.1:1', '[::1]:2']\nweb.telemetry-path: /m\ncollector.ecc: no",
    ],
)
def test_file_nested_or_dotted(tmp_path: Path, text: str) -> None:
    """The file may nest names or write them with dots."""
    file = tmp_path / "config.yaml"
    file.write_text(text)
    found = load({}, {}, file)
    assert found.listen_addresses == ("127.0.0.1:1", "[::1]:2")
    assert found.telemetry_path == "/m"
    assert found.collectors == set(NAMES) - {"ecc"}


def test_other_names(tmp_path: Path) -> None:
    """The names are chosen as any other setting is."""
    file = tmp_path / "config.yaml"
    file.write_text("compat: dcgm\nmetrics: {own: false}\n")
    found = load({}, {"AGENTAFLOW_EXPORTER_COMPAT": "dcgm-4.6"}, file)
    assert (found.compat, found.own_metrics) == ("dcgm-4.6", False)
    found = load({"compat": "dcgm", "metrics.own": True}, {}, file)
    assert (found.compat, found.own_metrics) == ("dcgm", True)


def test_environment() -> None:
    """Every option has a variable; several addresses are separated by commas."""
    found = load(
        {},
        {
            "AGENTAFLOW_EXPORTER_WEB_LISTEN_ADDRESS": ":1,:2",
            "AGENTAFLOW_EXPORTER_COLLECTOR_PCIE": "false",
            "AGENTAFLOW_EXPORTER_SERVICE_HOST": "what Kubernetes sets for a Service of that name",
        },
        None,
    )
    assert found.listen_addresses == (":1", ":2")
    assert found.collectors == set(NAMES) - {"pcie"}
    assert len({option.environment for option in OPTIONS}) == len(OPTIONS)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"scrape.timeout": "soon"}, "--scrape.timeout: 'soon' .*number of seconds"),
        ({"scrape.timeout": "0"}, "from 0.1 to 300"),
        ({"scrape.timeout": "nan"}, "from 0.1 to 300"),
        ({"backend": "amd"}, "nvml, simulated or replay:FILE"),
        ({"backend": "replay:"}, "replay:FILE"),
        ({"web.telemetry-path": "metrics"}, "path such as /metrics"),
        ({"web.telemetry-path": "/-/ready"}, "path such as /metrics"),
        ({"web.listen-address": [""]}, "not empty"),
        ({"log.level": "loud"}, "one of debug, info"),
        ({"attribution.pods-file": ""}, "path of a file"),
        ({"compat": "nagios"}, "--compat: 'nagios' does not do: give one of dcgm, dcgm-4.6"),
        ({"metrics.own": False}, "--no-metrics.own leaves no readings: give --compat as well"),
    ],
)
def test_bad_flag(flags: Mapping[str, Any], said: str) -> None:
    """One line names the flag, what was given, and what to give."""
    with pytest.raises(SettingsError, match=said) as caught:
        load(flags, {}, None)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scrap: {timeout: 1}", "unknown setting scrap.timeout: did you mean scrape.timeout"),
        ("collector: {dcgm: true}", "unknown setting collector.dcgm"),
        ("scrape: {timeout: [1, 2]}", "give one value"),
        ("scrape: {timeout: []}", "give one value"),
        ("log: {level: null}", "plain value"),
        ("- scrape", "must be a mapping"),
        ("scrape: {", "not YAML"),
        ("collector: {ecc: perhaps}", "true or false"),
        ("\x00", "not YAML"),
    ],
)
def test_bad_file(tmp_path: Path, text: str, said: str) -> None:
    """One line names the file, the setting, and what to do."""
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said) as caught:
        load({}, {}, file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is not passed over."""
    with pytest.raises(SettingsError, match="No such file"):
        load({}, {}, tmp_path / "none.yaml")


def test_bad_environment() -> None:
    """A bad variable is named as the variable that it is."""
    with pytest.raises(SettingsError, match="AGENTAFLOW_EXPORTER_LOG_FORMAT: 'xml'"):
        load({}, {"AGENTAFLOW_EXPORTER_LOG_FORMAT": "xml"}, None)
