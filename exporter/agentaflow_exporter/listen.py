"""Listen addresses as Go writes them (`:9837`, `127.0.0.1:9837`, `[::1]:0`) become sockets."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence

from agentaflow_exporter.errors import UserError

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")


class ListenError(UserError):
    """An address that cannot be listened on; the message says which, why, and what to do."""


def listen_all(addresses: Sequence[str]) -> list[socket.socket]:
    """A listening socket for each address, or none: those already open are closed on an error."""
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            sockets.append(listen(address))
    except ListenError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def listen(address: str) -> socket.socket:
    """A listening TCP socket; without a host it listens on every IPv4 and IPv6 address."""
    match = _ADDRESS.fullmatch(address)
    if not match or int(match["port"]) > 65535:
        raise ListenError(
            f"cannot listen on {address!r}: not HOST:PORT; "
            "write for instance 127.0.0.1:9837, :9837 or [::1]:9837"
        )
    try:
        return _bind(match["v6"] or match["host"], int(match["port"]))
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"cannot listen on {address}: {_reason(error)}; "
            "stop what uses it or choose another address"
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)  # create_server() puts a tuple into its own message
    return str(error)


def _bind(host: str, port: int) -> socket.socket:
    if not host:
        if socket.has_dualstack_ipv6():
            try:
                return socket.create_server(
                    ("", port), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True
                )
            except OSError:
                pass  # IPv6 is compiled in but switched off
        return socket.create_server(("", port), backlog=512)
    family, *_, resolved = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(resolved[:2], family=family, backlog=512)
