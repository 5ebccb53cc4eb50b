"""Settings come from flags, variables and a file, in that order, and are refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.configuration import SettingsError, load
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.documentation import settings_page
from agentaflow_advisor.settings import Settings, seconds

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine decides a test."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"AGENTAFLOW_{name.upper()}", raising=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file to be filled by the test."""
    return tmp_path / "agentaflow.yaml"


def refusal(config: Path | None = None, **flags: object) -> str:
    """The line with which the settings are refused."""
    with pytest.raises(SettingsError) as caught:
        load(config, flags)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearer to the hand, the stronger."""
    config.write_text("strategy: priority\nnamespace: ops\ncontext: blue\n")
    monkeypatch.setenv("AGENTAFLOW_STRATEGY", "round_robin")
    monkeypatch.setenv("AGENTAFLOW_NAMESPACE", "tools")
    settings = load(config, {"strategy": "least_utilized", "namespace": None})
    assert (settings.strategy, settings.namespace, settings.context) == (
        "least_utilized",
        "tools",
        "blue",
    )


def test_an_empty_file_and_an_empty_variable_change_nothing(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compose files and Helm charts leave variables empty."""
    config.write_text("")
    monkeypatch.setenv("AGENTAFLOW_KUBECONFIG", "")
    assert load(config) == load()


@pytest.mark.parametrize(
    ("text", "expected"), [("7d", 604_800), ("1h30m", 5400), ("500ms", 0.5), ("90", "90")]
)
def test_durations_are_read_as_prometheus_writes_them(text: str, expected: object) -> None:
    """A duration has units; a plain number is left to be read as seconds."""
    assert seconds(text) == expected


@given(st.integers(1, 10**6), st.integers(0, 59))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int) -> None:
    """Any hours and minutes add up."""
    assert seconds(f"{hours}h{minutes}m") == hours * 3600 + minutes * 60


def test_lists_come_from_one_variable_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON in a variable would be asking a lot."""
    monkeypatch.setenv("AGENTAFLOW_PROTECTED_NAMESPACES", "kube-system, monitoring")
    monkeypatch.setenv("AGENTAFLOW_CHANNELS", "scheduling-gate")
    settings = load()
    assert settings.protected_namespaces == ("kube-system", "monitoring")
    assert settings.channels == ("scheduling-gate",)


def test_an_unknown_key_names_the_file_and_the_nearest_key(config: Path) -> None:
    """A misspelt setting is not ignored."""
    config.write_text("strategi: best_fit\n")
    assert refusal(config) == f"{config}: unknown setting 'strategi'; did you mean strategy?"


def test_a_key_that_resembles_nothing_points_to_the_list(config: Path) -> None:
    """Without a near name the documentation is the help."""
    config.write_text("zzz: 1\n")
    assert refusal(config).endswith("docs/settings.md has those there are")


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would be ignored in silence."""
    monkeypatch.setenv("AGENTAFLOW_PROMETEUS_URL", "http://prometheus:9090")
    assert refusal() == (
        "unknown variable AGENTAFLOW_PROMETEUS_URL; did you mean AGENTAFLOW_PROMETHEUS_URL?"
    )


@pytest.mark.parametrize(
    "name",
    [
        "AGENTAFLOW_PORT",
        "AGENTAFLOW_PORT_9838_TCP_ADDR",
        "AGENTAFLOW_PROMETHEUS_SERVICE_HOST",
        "AGENTAFLOW_EXPORTER_LOG_LEVEL",
        "AGENTAFLOW_REQUIRE_REAL_PARTS",
        "AGENTAFLOW_CONFIG",
    ],
)
def test_variables_of_others_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets such variables in each pod beside a Service whose name begins like ours."""
    monkeypatch.setenv(name, "tcp://10.0.0.1:9838")
    assert load() == load()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n- b\n", "has to be a mapping"),
        ("a: [1\n", "is not YAML"),
        ("interval_seconds: 0\n", "interval_seconds should be greater than or equal to 1, not 0"),
        ("percentile: high\n", "percentile should be a valid number"),
        (
            "window_seconds: 5x\n",
            "window_seconds should be seconds or a duration such as 7d or 1h30m",
        ),
        ("strategy: [best_fit]\n", "strategy should be a valid string"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(config: Path, text: str, reason: str) -> None:
    """What, where, and what is allowed."""
    config.write_text(text)
    line = refusal(config)
    assert reason in line
    assert str(config) in line


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A path that was given has to be there."""
    assert "No such file" in refusal(tmp_path / "nowhere.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "is not YAML" in refusal(tmp_path / "binary")


def test_a_bad_value_is_named_by_its_flag_or_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message uses the name that the user wrote."""
    assert refusal(window_seconds="1m").startswith("--window should be greater")
    assert refusal(channels=["evict"]).endswith("or 'binding', not 'evict'")
    monkeypatch.setenv("AGENTAFLOW_STRATEGY", "best")
    assert refusal().startswith("AGENTAFLOW_STRATEGY should be one of best_fit, fragmentation")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"lease_renew_seconds": 60},
            "lease_renew_seconds should be less than lease_duration_seconds (15), not 60",
        ),
        ({"lease_duration_seconds": 10}, "lease_renew_seconds should be less than"),
        ({"lease_retry_seconds": 10}, "lease_retry_seconds should be less than"),
    ],
)
def test_a_lease_by_which_two_could_lead_is_refused(
    config: Path, values: dict[str, int], told: str
) -> None:
    """Who could not renew has to stop before another may begin."""
    config.write_text(yaml.safe_dump(values))
    assert told in refusal(config)
    assert load(None, {"lease_duration_seconds": 61, "lease_renew_seconds": 60})


def test_secrets_are_not_shown(config: Path) -> None:
    """Neither in a refusal nor when the settings are printed."""
    config.write_text("prometheus_password: [hunter2]\n")
    assert "hunter2" not in refusal(config)
    config.write_text("prometheus_bearer_token: hunter2\n")
    assert "hunter2" not in repr(load(config))


def test_the_defaults_only_advise() -> None:
    """Nobody's cluster is touched by a default."""
    policy = load().policy()
    assert policy == Policy(max_evidence_age_seconds=1800.0)
    assert policy.channels == frozenset()


def test_readiness_follows_the_interval() -> None:
    """A slow loop is not unready between two looks, unless that is what was asked for."""
    assert load(None, {"interval_seconds": "1h"}).ready_within_seconds == 3 * 3600
    assert load(None, {"ready_max_age_seconds": "90s"}).ready_within_seconds == 90


def test_the_page_of_settings_is_what_the_declaration_says() -> None:
    """`python -m agentaflow_advisor.documentation > docs/settings.md` brings it up to date."""
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_has_a_sentence(name: str) -> None:
    """A setting without an explanation is a trap."""
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith(".")


def test_the_example_configuration_is_valid() -> None:
    """It is meant to be copied."""
    settings = load(ROOT / "scheduler_advisor" / "agentaflow.yaml")
    assert settings.window_seconds == 604_800
    assert settings.channels == ()
