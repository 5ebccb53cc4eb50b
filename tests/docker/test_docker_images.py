"""The Dockerfiles, read as Docker reads them: lean, not root, and built from what is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PORTS = {"exporter": "9837", "advisor": "9838"}
Instructions = list[tuple[str, str]]


@pytest.fixture(params=PORTS)
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dockerfile(program: str) -> Path:
    return ROOT / "docker" / f"Dockerfile.{program}"


@pytest.fixture
def stages(dockerfile: Path) -> tuple[Instructions, Instructions]:
    """The instructions of the stage that builds, and of the one that is shipped."""
    build: Instructions = []
    shipped: Instructions = []
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            build, shipped = (shipped, []) if name == "FROM" else (build, shipped)
            shipped.append((name, rest))
    return build, shipped


def values(instructions: Instructions, name: str) -> list[str]:
    return [rest for instruction, rest in instructions if instruction == name]


def test_hadolint_has_nothing_to_say(dockerfile: Path) -> None:
    """The linter of Dockerfiles accepts the file."""
    hadolint = Path(sys.executable).parent / "hadolint"
    ended = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_image_runs_the_program_without_root(
    program: str, stages: tuple[Instructions, Instructions]
) -> None:
    """The last stage runs our console script as a number that is not root, on its own port."""
    _, shipped = stages
    (entrypoint,) = values(shipped, "ENTRYPOINT")
    assert json.loads(entrypoint)[0] in PROJECT["project"]["scripts"]
    assert values(shipped, "USER") == ["65532:65532"]
    assert values(shipped, "EXPOSE") == [PORTS[program]]
    assert not values(shipped, "RUN")


def test_only_the_built_environment_is_shipped(
    stages: tuple[Instructions, Instructions],
) -> None:
    """Sources and the wheel stay in the first stage."""
    _, shipped = stages
    assert all(source.startswith("--from=build ") for source in values(shipped, "COPY"))


def test_what_the_wheel_is_made_of_is_copied(stages: tuple[Instructions, Instructions]) -> None:
    """The packages, readme and licence that pyproject.toml names are copied, and exist."""
    build, _ = stages
    copied = {source for line in values(build, "COPY") for source in line.split()[:-1]}
    wanted = {*PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    wanted |= {"pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert copied == wanted
    assert all((ROOT / source).exists() for source in copied)


def test_the_build_context_is_what_is_copied(stages: tuple[Instructions, Instructions]) -> None:
    """.dockerignore lets through what the Dockerfiles copy, and nothing else."""
    build, _ = stages
    copied = {source for line in values(build, "COPY") for source in line.split()[:-1]}
    rules = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in "#"
    ]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied


def test_each_program_is_installed_with_its_own_extra(
    program: str, stages: tuple[Instructions, Instructions]
) -> None:
    """The advisor's libraries come only with the advisor."""
    build, _ = stages
    extra = {"exporter": "[kubernetes]", "advisor": "[advisor]"}[program]
    assert re.findall(r"\[\w+\]", values(build, "RUN")[0]) == [extra]


class _Answers(BaseHTTPRequestHandler):
    status = HTTPStatus.OK

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/-/healthy" else HTTPStatus.NOT_FOUND)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture(params=[HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[HTTPStatus, int]]:
    """A server whose /-/healthy answers the status."""
    handler = type("Handler", (_Answers,), {"status": request.param})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield request.param, server.server_port
        server.shutdown()
        thread.join()


def test_the_health_check_tells_healthy_from_sick(
    program: str, stages: tuple[Instructions, Instructions], served: tuple[HTTPStatus, int]
) -> None:
    """The image's own command ends well on 200 only; nothing but Python is needed for it."""
    status, port = served
    (check,) = values(stages[1], "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] == "python"
    code = command[2].replace(PORTS[program], str(port))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30)
    assert (ended.returncode == 0) == (status == HTTPStatus.OK)
