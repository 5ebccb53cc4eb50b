"""The web configuration file of Prometheus' exporter-toolkit: TLS, basic auth, response headers.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. The file and
the certificates in it are read again when they change. A change that cannot be used, or that would
switch TLS or authentication off, is logged once and the last good configuration stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from agentaflow_exporter.basicauth import BasicAuth, BcryptMissing
from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.http1 import Request, Response, text_response

if TYPE_CHECKING:
    from agentaflow_exporter.tls import ServerTls

_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
_UNSUPPORTED = {
    "cert": "use cert_file",
    "key": "use key_file",
    "client_ca": "use client_ca_file",
    "curve_preferences": "remove it: OpenSSL's curves are used",
    "rate_limit": "remove it: the number of requests at once is limited already",
}


class WebConfigError(SettingsError):
    """A web configuration that cannot be used; the message says where, what, and what to do."""


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """`tls_server_config`, with absolute paths."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth_type: str = "NoClientCert"
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()

    def files(self) -> tuple[Path, ...]:
        paths = (self.cert_file, self.key_file, self.client_ca_file)
        return tuple(path for path in paths if path)


@dataclass(frozen=True, slots=True)
class Configuration:
    """One reading of the file."""

    tls: ServerTls | None
    auth: BasicAuth | None
    headers: tuple[tuple[str, str], ...]
    files: tuple[Path, ...]


class WebConfig:
    """The configuration as the files have it now."""

    def __init__(self, path: Path, log: Callable[[str], None]) -> None:
        """Raises WebConfigError."""
        self._path = path
        self._log = log
        self._current = load(path)
        self._stamp = _stamp(self._current.files)

    def tls(self) -> ServerTls | None:
        """For the next connection; None for plain HTTP."""
        return self._fresh().tls

    def guard(self, handler: Callable[[Request], Response], request: Request) -> Response:
        """The handler's answer to a client that may have it, with the configured headers."""
        configuration = self._fresh()
        auth = configuration.auth
        if auth and not auth.accepts(request.headers.get("authorization", "")):
            challenge = ("WWW-Authenticate", 'Basic realm="agentaflow-exporter", charset="UTF-8"')
            response = text_response(401, "a user name and a password are needed", challenge)
        else:
            response = handler(request)
        return replace(response, headers=response.headers + configuration.headers)

    def _fresh(self) -> Configuration:
        current = self._current
        stamp = _stamp(current.files)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._current = current = _not_weaker(load(self._path), current, self._path)
                self._stamp = _stamp(current.files)
            except WebConfigError as error:
                self._log(f"{error} (the last good configuration stays in use)")
        return current


def load(path: Path) -> Configuration:
    """Raises WebConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
        document = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise WebConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise WebConfigError(f"{path}{where}: {problem}; correct the YAML") from error
    try:
        return _configuration(document, path)
    except (ValueError, BcryptMissing, WebConfigError) as error:
        raise WebConfigError(f"{path}: {error}") from error


def _not_weaker(new: Configuration, old: Configuration, path: Path) -> Configuration:
    if (old.tls and not new.tls) or (old.auth and not new.auth):
        raise WebConfigError(f"{path}: no longer asks for TLS or basic auth; restart to allow that")
    return new


def _stamp(files: tuple[Path, ...]) -> tuple[tuple[int, int, int] | None, ...]:
    stamps: list[tuple[int, int, int] | None] = []
    for path in files:
        try:
            status = path.stat()
            stamps.append((status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            stamps.append(None)
    return tuple(stamps)


def _configuration(document: Any, path: Path) -> Configuration:
    settings = _mapping(
        document, "", {"tls_server_config", "http_server_config", "basic_auth_users"}
    )
    tls = _tls(settings.get("tls_server_config"), path.absolute().parent)
    users = _mapping(settings.get("basic_auth_users"), "basic_auth_users")
    return Configuration(
        tls=_server_tls(tls) if tls else None,
        auth=BasicAuth({name: _text(hashed, name) for name, hashed in users.items()}) or None,
        headers=_headers(settings.get("http_server_config")),
        files=(path, *(tls.files() if tls else ())),
    )


def _server_tls(config: TlsConfig) -> ServerTls:
    # Imported only when asked for: ssl is memory that plain HTTP does not need.
    from agentaflow_exporter.tls import ServerTls

    return ServerTls(config)


def _tls(value: Any, folder: Path) -> TlsConfig | None:
    known = {*TlsConfig.__dataclass_fields__, "prefer_server_cipher_suites"}
    settings = {
        name: setting
        for name, setting in _mapping(value, "tls_server_config", known).items()
        if setting not in (None, "", []) and name != "prefer_server_cipher_suites"
    }
    if not settings:
        return None
    for name in ("cert_file", "key_file"):
        if name not in settings:
            raise WebConfigError(f"tls_server_config: {name} is missing; add it")
    for name, setting in settings.items():
        if name in ("client_allowed_sans", "cipher_suites"):
            settings[name] = _texts(setting, name)
        else:
            text = _text(setting, name)
            settings[name] = folder / text if name.endswith("_file") else text
    return TlsConfig(**settings)


def _headers(value: Any) -> tuple[tuple[str, str], ...]:
    settings = _mapping(value, "http_server_config", {"http2", "headers"})
    headers = _mapping(settings.get("headers"), "http_server_config.headers", set(_HEADERS))
    for name, setting in headers.items():
        text, accepted = _text(setting, name), _HEADERS[name]
        if not text.isprintable() or not text.isascii():
            raise WebConfigError(f"{name}: {text!r} cannot be sent; write printable ASCII")
        if accepted and text not in ("", *accepted):
            raise WebConfigError(f"{name}: {text!r} is unknown; write {' or '.join(accepted)}")
    return tuple((name, text) for name, text in headers.items() if text)


def _mapping(value: Any, where: str, known: set[str] | None = None) -> dict[str, Any]:
    prefix = f"{where}: " if where else ""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise WebConfigError(f"{prefix}expected names with values, found {_brief(value)}")
    for name in value:
        if known is not None and name not in known:
            advice = _UNSUPPORTED.get(name, f"known are {', '.join(sorted(known))}")
            kind = "not supported here" if name in _UNSUPPORTED else "unknown"
            raise WebConfigError(f"{prefix}{name} is {kind}; {advice}")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise WebConfigError(f"{where}: expected a list of strings, found {_brief(value)}")
    return tuple(_text(item, where) for item in value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise WebConfigError(f"{where}: expected a string, found {_brief(value)}")
    return value


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
