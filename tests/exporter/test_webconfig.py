"""The exporter-toolkit web configuration file: what it allows, refuses and notices."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from pathlib import Path

import bcrypt
import pytest

from agentaflow_exporter.basicauth import BasicAuth
from agentaflow_exporter.webconfig import WebConfigError, load
from tests.support.certificates import self_signed
from tests.support.web import Answer, get, serving

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def login(address: tuple[str, int], name: str, password: str) -> Answer:
    return get(address, "/metrics", f"Authorization: {basic(name, password)}\r\n")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users:\n  alice: {HASH}\n")
    return path


def test_the_right_password_is_let_in(config: Path) -> None:
    """Known users with their password are served, all others get a challenge."""
    with serving(config=config) as address:
        assert login(address, "alice", "secret").status == 200
        for answer in (
            get(address),
            login(address, "alice", "wrong"),
            login(address, "mallory", "secret"),
            login(address, "alice", ""),
            login(address, "", ""),
        ):
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
            assert answer.body.count(b"\n") == 1


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !!!", "Basic YWxpY2U=", "Bearer x", "Basic gICA", "Basic " + "A" * 4000],
)
def test_malformed_credentials_are_refused(config: Path, authorization: str) -> None:
    """Anything but base64 of name:password is 401, never an error."""
    with serving(config=config) as address:
        assert get(address, "/", f"Authorization: {authorization}\r\n").status == 401


def test_odd_passwords_are_checked_like_any_other() -> None:
    """Colons, UTF-8, NUL bytes and more than bcrypt's 72 bytes are all just passwords."""
    for password in ("a:b", "pässword", "nul\0byte", "x" * 100):
        hashed = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
        auth = BasicAuth({"alice": hashed})
        assert auth.accepts(basic("alice", password))
        assert not auth.accepts(basic("alice", "no" + password))


def test_a_password_costs_one_bcrypt() -> None:
    """An accepted password is remembered; a wrong one and an unknown user cost the full check."""
    auth = BasicAuth({"alice": bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()})
    assert auth.accepts(basic("alice", "secret"))
    seconds = {}
    for name, password in (("alice", "secret"), ("alice", "wrong"), ("mallory", "secret")):
        started = time.thread_time()
        assert auth.accepts(basic(name, password)) == ((name, password) == ("alice", "secret"))
        seconds[name, password] = time.thread_time() - started
    known = seconds.pop(("alice", "secret"))
    assert all(known < took / 5 for took in seconds.values())


def test_new_users_count_at_once(config: Path) -> None:
    """The file is read again when it changes: the old password is out, the new one in."""
    with serving(config=config) as address:
        assert login(address, "alice", "secret").status == 200
        hashed = bcrypt.hashpw(b"newer", bcrypt.gensalt(4)).decode()
        config.write_text(f"basic_auth_users:\n  alice: {hashed}\n  bob: {HASH}\n")
        assert login(address, "alice", "secret").status == 401
        assert login(address, "alice", "newer").status == 200
        assert login(address, "bob", "secret").status == 200


@pytest.mark.parametrize("text", ["", "basic_auth_users: {}", "nonsense: 1", "a: [", None])
def test_a_bad_change_does_not_open_the_door(config: Path, text: str | None) -> None:
    """An emptied, broken or removed file is logged once, and authentication stays on."""
    log: list[str] = []
    with serving(config=config, log=log) as address:
        if text is None:
            config.unlink()
        else:
            config.write_text(text)
        assert get(address).status == 401
        assert login(address, "alice", "secret").status == 200
    assert len(log) == 1
    assert str(config) in log[0]


def test_headers_are_added_to_every_answer(tmp_path: Path) -> None:
    """The toolkit's security headers are sent, also with a 401."""
    path = tmp_path / "web.yml"
    path.write_text(
        "http_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: deny\n"
        f"    X-XSS-Protection: ''\nbasic_auth_users:\n  alice: {HASH}\n"
    )
    with serving(config=path) as address:
        for answer in (get(address), login(address, "alice", "secret")):
            assert answer.headers["x-frame-options"] == "deny"
            assert "x-xss-protection" not in answer.headers


@pytest.mark.parametrize("text", ["", "# nothing yet", "tls_server_config: {}"])
def test_an_empty_file_asks_for_nothing(tmp_path: Path, text: str) -> None:
    """Plain HTTP for everybody, as with exporter-toolkit."""
    path = tmp_path / "web.yml"
    path.write_text(text)
    with serving(config=path) as address:
        assert get(address).status == 200


TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls_server: {}", "tls_server is unknown; known are basic_auth_users"),
        ("rate_limit: {burst: 1}", "rate_limit is not supported here; remove it"),
        ("- a list", "expected names with values"),
        ("a: [", ":1: "),
        ("basic_auth_users: {alice: secret}", "not a bcrypt hash; make one with `htpasswd"),
        ("basic_auth_users: {alice: 5}", "alice: expected a string, found 5"),
        ("basic_auth_users: [alice]", "basic_auth_users: expected names with values"),
        ("http_server_config: {headers: {Server: x}}", "headers: Server is unknown"),
        (
            "http_server_config: {headers: {X-Frame-Options: all}}",
            "'all' is unknown; write deny or sameorigin",
        ),
        ('http_server_config: {headers: {X-XSS-Protection: "1\\r\\nA: b"}}', "cannot be sent"),
        ("tls_server_config: {cert_file: a}", "key_file is missing"),
        ("tls_server_config: {cert: PEM}", "cert is not supported here; use cert_file"),
        (TLS + "  client_auth_type: Maybe", "client_auth_type: Maybe is not supported; choose"),
        (TLS + "  min_version: SSL30", "min_version: SSL30 is not supported; choose from TLS10"),
        (TLS + "  cipher_suites: [RC4]", "cipher_suites: RC4 is not supported"),
        (TLS + "  cipher_suites: RC4", "expected a list of strings"),
        (TLS + "  client_auth_type: RequireAndVerifyClientCert", "add client_ca_file"),
        (TLS + "  client_ca_file: server.crt", "remove client_ca_file"),
        (TLS + "  client_allowed_sans: [a]", "needs client_auth_type RequireAndVerify"),
        ("tls_server_config: {cert_file: no.crt, key_file: server.key}", "no.crt cannot be read"),
        (
            "tls_server_config: {cert_file: server.key, key_file: server.key}",
            "not a PEM certificate",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: locked.key}",
            "the key is encrypted",
        ),
    ],
)
def test_bad_configurations_are_one_line(certificates: Path, text: str, message: str) -> None:
    """The message has the file's name, what is wrong, and what to write instead."""
    path = certificates / "web.yml"
    path.write_text(text)
    with pytest.raises(WebConfigError) as raised:
        load(path)
    assert str(raised.value).startswith(str(path))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("webconfig")
    self_signed(folder, "server")
    command = "openssl ec -aes128 -passout pass:x -in server.key -out locked.key"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True, timeout=30)
    return folder


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """The message has the path and the system's reason."""
    with pytest.raises(WebConfigError, match=r"web\.yml: cannot be read: .*No such file"):
        load(tmp_path / "web.yml")


def test_basic_auth_without_bcrypt_says_how_to_install_it(config: Path, tmp_path: Path) -> None:
    """The extra is optional; what needs it says its name."""
    (tmp_path / "bcrypt.py").write_text("raise ImportError('not installed')")
    answer = run(
        "from agentaflow_exporter.webconfig import load, WebConfigError\n"
        "from pathlib import Path\n"
        f"try: load(Path({str(config)!r}))\n"
        "except WebConfigError as error: print(error)",
        tmp_path,
    )
    assert "pip install 'agentaflow[bcrypt]'" in answer


def test_plain_http_imports_nothing_heavy(tmp_path: Path) -> None:
    """Memory is part of the contract: no ssl, no yaml, no http.server, asyncio, logging, email."""
    heavy = ["ssl", "yaml", "bcrypt", "http.server", "asyncio", "logging", "email"]
    answer = run(
        "import sys, agentaflow_exporter.web as web\n"
        "server = web.Server(['127.0.0.1:0'], print); server.start(); server.stop()\n"
        f"print([name for name in {heavy} if name in sys.modules])",
        tmp_path,
    )
    assert answer == "[]\n"


def run(program: str, path: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
