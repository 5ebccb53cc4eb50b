"""TLS for the web server, from exporter-toolkit's vocabulary: the one module that imports ssl."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from agentaflow_exporter.webconfig import TlsConfig

T = TypeVar("T")

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
# RequestClientCert asks for a certificate and looks at nothing in it: the same as not asking.
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
# Go's names of the TLS 1.2 suites it still supports → OpenSSL's; those of TLS 1.3 are always on.
_CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
}


class ServerTls:
    """A certificate and what is asked of clients; one for each reading of the files."""

    waits: Mapping[type[OSError], int] = {
        ssl.SSLWantReadError: EVENT_READ,
        ssl.SSLWantWriteError: EVENT_WRITE,
    }

    def __init__(self, config: TlsConfig) -> None:
        """Raises ValueError for what cannot be used: what, and what to do."""
        self._allowed_sans = frozenset(config.client_allowed_sans)
        self._context = _context(config)

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def handshake(self, sock: socket.socket) -> None:
        if not isinstance(sock, ssl.SSLSocket):
            raise TypeError("not a TLS socket")
        sock.do_handshake()
        if self._allowed_sans:
            names = (sock.getpeercert() or {}).get("subjectAltName", ())
            if self._allowed_sans.isdisjoint(str(entry[-1]) for entry in names):
                raise ssl.SSLError("the client's certificate has no allowed SAN")

    def unwrap(self, sock: socket.socket) -> None:
        """Say that no more comes (close_notify), as far as that goes without waiting."""
        if isinstance(sock, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                sock.unwrap()


def _context(config: TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _choice(_VERSIONS, config.min_version, "min_version")
    context.maximum_version = _choice(_VERSIONS, config.max_version, "max_version")
    context.set_alpn_protocols(["http/1.1"])
    if config.cipher_suites:
        suites = [_choice(_CIPHERS, name, "cipher_suites") for name in config.cipher_suites]
        context.set_ciphers(":".join(filter(None, suites)) or "DEFAULT")
    _load_certificate(context, config)
    _ask_clients(context, config)
    return context


def _load_certificate(context: ssl.SSLContext, config: TlsConfig) -> None:
    for path in config.files():
        try:
            path.open("rb").close()
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    try:
        context.load_cert_chain(config.cert_file, config.key_file, password=_no_password)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{config.cert_file} and {config.key_file} are not a PEM certificate and its "
            f"unencrypted key ({_reason(error)})"
        ) from error


def _no_password() -> str:
    raise ValueError("the key is encrypted")  # the default would ask on the terminal and wait


def _ask_clients(context: ssl.SSLContext, config: TlsConfig) -> None:
    kind = config.client_auth_type
    context.verify_mode = _choice(_CLIENT_AUTH, kind, "client_auth_type")
    verifies = context.verify_mode is not ssl.CERT_NONE
    if verifies != bool(config.client_ca_file):
        advice = "add" if verifies else "choose RequireAndVerifyClientCert, or remove"
        raise ValueError(f"client_auth_type is {kind}; {advice} client_ca_file")
    if config.client_allowed_sans and context.verify_mode is not ssl.CERT_REQUIRED:
        raise ValueError("client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
    if config.client_ca_file:
        try:
            context.load_verify_locations(config.client_ca_file)
        except OSError as error:
            raise ValueError(f"{config.client_ca_file} has no PEM certificate") from error


def _choice(known: Mapping[str, T], name: str, where: str) -> T:
    if name not in known:
        raise ValueError(f"{where}: {name} is not supported; choose from {', '.join(known)}")
    return known[name]


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
