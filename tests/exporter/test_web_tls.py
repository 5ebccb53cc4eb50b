"""TLS as the web configuration file asks for it, with real certificates and clients."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from agentaflow_exporter.web import Limits, Response
from tests.support.certificates import Certificate, self_signed
from tests.support.web import Answer, connect, is_closed, read_answer, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def server_certificate(folder: Path) -> Certificate:
    return self_signed(folder, "server")


@pytest.fixture(scope="module")
def client_certificate(folder: Path) -> Certificate:
    return self_signed(folder, "client", san="DNS:prometheus.example")


def write_config(folder: Path, *lines: str) -> Path:
    """A web configuration with the server's certificate, relative to the file, and more."""
    path = folder / "web.yml"
    settings = ["tls_server_config:", "  cert_file: server.crt", "  key_file: server.key"]
    path.write_text("\n".join([*settings, *lines]))
    return path


def client(trusts: Certificate, shows: Certificate | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(trusts.cert))
    if shows:
        context.load_cert_chain(shows.cert, shows.key)
    return context


def get(address: tuple[str, int], context: ssl.SSLContext) -> Answer:
    with (
        connect(address) as sock,
        context.wrap_socket(sock, server_hostname="127.0.0.1") as encrypted,
    ):
        encrypted.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return read_answer(encrypted)


def test_a_tls_client_is_answered(folder: Path, server_certificate: Certificate) -> None:
    """The certificate's paths are relative to the file, and the connection is TLS 1.3."""
    context = client(server_certificate)
    with (
        serving(config=write_config(folder)) as address,
        connect(address) as sock,
        context.wrap_socket(sock, server_hostname="127.0.0.1") as encrypted,
    ):
        assert encrypted.version() == "TLSv1.3"
        for _ in range(2):
            encrypted.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(encrypted).body == b"/metrics"


def test_large_answers_arrive_whole(folder: Path, server_certificate: Certificate) -> None:
    """An answer larger than every buffer is written in as many steps as it takes."""
    big = Response(200, (), bytes(range(256)) * 40_000)
    with serving(lambda _: big, config=write_config(folder)) as address:
        assert get(address, client(server_certificate)).body == big.body


def test_stalled_handshakes_hold_up_nobody(folder: Path, server_certificate: Certificate) -> None:
    """Silent clients, half a ClientHello and plain HTTP are cut off; others are served."""
    limits = Limits(head_seconds=0.5)
    with serving(config=write_config(folder), limits=limits) as address:
        stalled = [connect(address) for _ in range(30)]
        for sock in stalled[10:20]:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        for sock in stalled[20:]:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert get(address, client(server_certificate)).status == 200
        assert all(is_closed(sock, within_seconds=5) for sock in stalled)
        for sock in stalled:
            sock.close()


def test_clients_without_the_right_certificate_are_refused(
    folder: Path, server_certificate: Certificate, client_certificate: Certificate
) -> None:
    """RequireAndVerifyClientCert lets in who shows a certificate of the CA, nobody else."""
    config = write_config(
        folder, "  client_auth_type: RequireAndVerifyClientCert", "  client_ca_file: client.crt"
    )
    with serving(config=config) as address:
        assert get(address, client(server_certificate, client_certificate)).status == 200
        for shown in (None, server_certificate):
            with pytest.raises(OSError, match=r"alert|reset|EOF|pipe"):
                get(address, client(server_certificate, shown))


@pytest.mark.parametrize(("allowed", "served"), [("prometheus.example", True), ("other", False)])
def test_only_allowed_sans_are_served(
    folder: Path,
    server_certificate: Certificate,
    client_certificate: Certificate,
    allowed: str,
    served: bool,
) -> None:
    """client_allowed_sans narrows down who of the CA's clients may come in."""
    config = write_config(
        folder,
        "  client_auth_type: RequireAndVerifyClientCert",
        "  client_ca_file: client.crt",
        f"  client_allowed_sans: [{allowed}]",
    )
    context = client(server_certificate, client_certificate)
    with serving(config=config) as address:
        if served:
            assert get(address, context).status == 200
        else:
            with pytest.raises(OSError, match=r"alert|reset|EOF|pipe|closed"):
                get(address, context)


def test_the_protocol_versions_are_bounded(folder: Path, server_certificate: Certificate) -> None:
    """min_version refuses an older client."""
    context = client(server_certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        serving(config=write_config(folder, "  min_version: TLS13")) as address,
        pytest.raises(ssl.SSLError, match=r"version|alert"),
    ):
        get(address, context)


def test_cipher_suites_have_gos_names(folder: Path, server_certificate: Certificate) -> None:
    """A TLS 1.2 client gets the suite that the file asks for."""
    config = write_config(
        folder,
        "  max_version: TLS12",
        "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]",
    )
    context = client(server_certificate)
    with (
        serving(config=config) as address,
        connect(address) as sock,
        context.wrap_socket(sock, server_hostname="127.0.0.1") as encrypted,
    ):
        cipher = encrypted.cipher()
    assert cipher
    assert cipher[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"


def test_a_renewed_certificate_is_served_at_once(tmp_path: Path) -> None:
    """New connections see the new certificate; no restart, no signal."""
    old = self_signed(tmp_path, "server")
    trusts_old = client(old)
    with serving(config=write_config(tmp_path)) as address:
        assert get(address, trusts_old).status == 200
        new = self_signed(tmp_path, "server")
        assert get(address, client(new)).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            get(address, trusts_old)


def test_a_broken_renewal_keeps_the_old_certificate(tmp_path: Path) -> None:
    """A half-written certificate is one log line, and the last good one stays in use."""
    log: list[str] = []
    certificate = self_signed(tmp_path, "server")
    context = client(certificate)
    with serving(config=write_config(tmp_path), log=log) as address:
        certificate.cert.write_text("-----BEGIN CERTIFICATE-----\n")
        assert get(address, context).status == 200
        assert get(address, context).status == 200
    assert len(log) == 1
    assert "the last good configuration stays in use" in log[0]


def test_the_end_of_an_answer_is_announced(folder: Path, server_certificate: Certificate) -> None:
    """close_notify comes before the connection is closed, so that a cut is no end."""
    context = client(server_certificate)
    with (
        serving(config=write_config(folder)) as address,
        connect(address) as sock,
        context.wrap_socket(
            sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False
        ) as encrypted,
    ):
        encrypted.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert _read_all(encrypted).endswith(b"\r\n\r\n/")


def _read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))
