"""The command line: whatever goes wrong ends in one line that helps, and in a documented code."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentaflow_advisor.cli import EXIT_CODES
from agentaflow_advisor.decide.journal import Journal
from tests.support.cli import Cli
from tests.support.fake_prometheus import Card, fake_prometheus

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "cli.md"
AGENTAFLOW = Path(sys.executable).parent / "agentaflow"
COMMANDS = [
    ["recommend"],
    ["report", "cost"],
    ["report", "efficiency"],
    ["report", "html"],
    ["recommendations", "list"],
    ["recommendations", "show"],
    ["recommendations", "snooze"],
    ["recommendations", "dismiss"],
    ["recommendations", "restore"],
    ["schema"],
    ["place"],
    ["defragment"],
    ["approve"],
    ["reject"],
    ["apply"],
    ["journal", "list"],
    ["journal", "show"],
    ["journal", "verify"],
    ["serve"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(cli: Cli, command: list[str]) -> None:
    """--help works, shows the global options, and the command is in the documentation."""
    ran = Cli(cli.capture)(*command, "--help")
    assert ran.code == 0
    assert "--prometheus-url" in ran.out
    assert "Global options" in ran.out
    assert f"`{' '.join(command)}" in DOCS.read_text()


def test_bare_it_shows_its_help(cli: Cli) -> None:
    """Who types just the name wants to know what there is."""
    ran = Cli(cli.capture)()
    assert ran.code == 0
    assert all(command[0] in ran.out for command in COMMANDS)


def test_the_version_is_told(cli: Cli) -> None:
    """For bug reports."""
    ran = Cli(cli.capture)("--version")
    assert ran.code == 0
    assert re.fullmatch(r"agentaflow \d+\.\d+\.\d+ \(Python 3\.\d+\.\d+\)\n", ran.out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plac"], "Did you mean 'place'"),
        (["report", "cots"], "Did you mean 'cost'?"),
        (["report"], "Missing command"),
        (["recommend", "--prometheus-ur", "x"], "--prometheus-url"),
        (["recommend", "extra"], "unexpected extra argument"),
        (["recommend", "-o", "xml"], "'table', 'json'"),
        (["recommend", "--top", "-1"], "--top"),
        (["approve"], "Missing argument"),
        (["recommend", "--window", "5"], "--window should be greater than or equal to 300"),
        (["place", "--strategy", "best"], "--strategy should be one of best_fit"),
        (["apply", "--channel", "evict"], "--channel should be 'scheduling-gate'"),
        (["recommend", "--config", "nowhere.yaml"], "cannot read nowhere.yaml"),
        (["recommend", "--prices", "nowhere.csv"], "nowhere.csv"),
        (["place", "-f", "nowhere.yaml"], "cannot read nowhere.yaml"),
        (["serve", "--listen-address", "nonsense"], "nonsense"),
        (["serve", "--web-config-file", "nowhere.yaml"], "nowhere.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_misuse_ends_with_code_2(cli: Cli, arguments: list[str], said: str) -> None:
    """Usage, settings, price tables, manifests and addresses: said in one line."""
    ran = Cli(cli.capture)(*arguments)
    assert ran.code == 2
    assert said in ran.error
    assert ran.out == ""


def test_global_options_stand_before_or_after_the_command(cli: Cli) -> None:
    """Nobody has to remember where."""
    with fake_prometheus(Card("node-0", 0)) as prometheus:
        option = ["--prometheus-url", prometheus.url]
        before = Cli(cli.capture)(*option, "-o", "json", "report", "efficiency")
        after = Cli(cli.capture)("report", "efficiency", *option, "-o", "json")
    assert before.json["rows"] == after.json["rows"] != []


@pytest.mark.parametrize("command", ["recommend", "report cost", "report efficiency", "place"])
def test_an_unreachable_prometheus_ends_with_code_3(cli: Cli, command: str, tmp_path: Path) -> None:
    """Nothing was seen, so nothing is said on stdout."""
    if command == "place":
        (tmp_path / "config").write_text("{}")
        command += f" --kubeconfig {tmp_path / 'config'}"
    ran = cli("--prometheus-url", "http://127.0.0.1:9", *command.split())
    assert ran.code == 3
    assert ran.error
    assert ran.out == ""


@pytest.mark.parametrize(
    ("status", "kind", "body", "said"),
    [
        (200, "text/html", b"<html>login</html>", "is not Prometheus"),
        (302, "text/html", b"", "redirects elsewhere"),
        (401, "text/plain", b"no", "refused our credentials"),
        (200, "application/json", b'{"status": "succ', "broken JSON"),
    ],
)
def test_a_bad_answer_ends_with_code_3(
    cli: Cli, status: int, kind: str, body: bytes, said: str
) -> None:
    """A login page, a refusal or half an answer is no evidence."""
    with fake_prometheus(broken=(status, kind, body)) as prometheus:
        ran = cli("recommend", "--prometheus-url", prometheus.url)
    assert ran.code == 3
    assert said in ran.error


def test_a_missing_kubeconfig_ends_with_code_3(cli: Cli) -> None:
    """`place` needs a cluster and says how to give one."""
    ran = cli("place", "--kubeconfig", "/nowhere/config")
    assert ran.code == 3
    assert "/nowhere/config" in ran.error
    assert "--kubeconfig" in ran.error


def test_kubernetes_can_be_switched_off(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Advice from the metrics alone, even where the environment names a cluster."""
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    with fake_prometheus(Card("node-0", 0)) as prometheus:
        asking = cli.having("--prometheus-url", prometheus.url)
        assert asking("recommend").code == 3
        monkeypatch.setenv("AGENTAFLOW_KUBERNETES", "off")
        assert asking("recommend").code == 0
        assert "kubernetes is off" in asking("place").error


@pytest.mark.parametrize("arguments", [["list"], ["show", "abcd"], ["verify"]], ids=" ".join)
def test_reading_a_journal_that_is_not_there_ends_with_code_4(
    cli: Cli, arguments: list[str], tmp_path: Path
) -> None:
    """A misspelt path is told, and no empty journal is left behind."""
    ran = cli("journal", *arguments)
    assert ran.code == 4
    assert "no journal" in ran.error
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_journal_ends_with_code_4(cli: Cli, tmp_path: Path) -> None:
    """It is left as it is."""
    path = tmp_path / "journal.db"
    path.write_text("these are notes, not a database" * 100)
    ran = cli("journal", "list")
    assert ran.code == 4
    assert str(path) in ran.error
    assert path.read_text().startswith("these are notes")


def test_an_unknown_decision_ends_with_code_4(cli: Cli, tmp_path: Path) -> None:
    """It says where the ids are."""
    Journal(tmp_path / "journal.db").close()
    for command in ("approve", "reject"):
        ran = cli(command, "4458398a9f68")
        assert ran.code == 4
        assert "journal list" in ran.error


def test_apply_without_a_channel_changes_nothing_and_ends_with_code_5(cli: Cli) -> None:
    """Approved decisions stay approved, and the line says what is missing."""
    ran = cli("apply")
    assert ran.code == 5
    assert "--channel scheduling-gate" in ran.error


def test_every_exit_code_is_documented() -> None:
    """The table in docs/cli.md has a row for each code there is."""
    documented = set(re.findall(r"^\| (\d+) \|", DOCS.read_text(), flags=re.MULTILINE))
    assert {str(code) for code in EXIT_CODES.values()} | {"0", "1", "5", "130"} == documented


@pytest.mark.parametrize("name", EXIT_CODES)
def test_an_error_that_has_an_exit_code_is_one(name: str) -> None:
    """It is named as it is imported: a name that is wrong would make a traceback of a message."""
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), kind), Exception)


def test_the_console_script_ends_with_the_same_codes() -> None:
    """As a shell sees it: a code, one line on stderr, nothing on stdout."""
    ran = subprocess.run([AGENTAFLOW, "plac"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("agentaflow: No such command 'plac'")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    """`agentaflow … | head` ends in silence."""
    command = f"{AGENTAFLOW} --help | true"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert "BrokenPipe" not in ran.stderr
