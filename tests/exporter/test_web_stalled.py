"""Clients that stall, trickle, do not read or come in crowds hold up nobody but themselves."""

from __future__ import annotations

import select
import selectors
import socket
import time

import pytest

from agentaflow_exporter.web import Limits, Response
from tests.support.web import connect, echo, get, is_closed, read_answer, serving, serving_process

HALF = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-"


@pytest.mark.fault("E8")
def test_400_stalled_and_16_trickling_clients_are_cut_off_after_5_seconds() -> None:
    """Scrapes are answered all the while, with no thread per client (faults.md, E8)."""
    with serving_process() as server:
        clients = [connect(server.address) for _ in range(416)]
        opened = time.monotonic()
        for client in clients[200:]:
            client.sendall(HALF)
        still_open, tricklers = set(clients), clients[400:]
        slowest, trickled = 0.0, opened
        with selectors.DefaultSelector() as selector:
            for client in clients:
                selector.register(client, selectors.EVENT_READ)
            while still_open and time.monotonic() < opened + 10:
                if time.monotonic() - trickled >= 1:
                    trickled = time.monotonic()
                    _send_a_byte([it for it in tricklers if it in still_open])
                started = time.monotonic()
                assert get(server.address).body == b"ok"
                slowest = max(slowest, time.monotonic() - started)
                assert server.threads() <= 6
                for key, _ in selector.select(0.25):
                    selector.unregister(key.fileobj)
                    still_open.discard(_closed(key.fileobj))
        took = time.monotonic() - opened
    assert not still_open
    assert took < 7
    assert slowest < 1


def _send_a_byte(clients: list[socket.socket]) -> None:
    for client in clients:
        try:
            client.sendall(b"a")
        except OSError:
            continue  # cut off since the last look


def _closed(client: object) -> socket.socket:
    assert isinstance(client, socket.socket)
    assert is_closed(client, within_seconds=1)
    client.close()
    return client


@pytest.mark.fault("E8")
def test_a_slow_reader_is_cut_off() -> None:
    """Who does not take the answer within the write deadline loses the connection."""
    big = Response(200, (), b"x" * 50_000_000)
    with serving(lambda r: big if r.path == "/big" else echo(r), limits=QUICK) as address:
        with connect(address) as sock:
            sock.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            assert get(address).status == 200
            _wait_until_cut_off(sock)
            received = sum(len(chunk) for chunk in iter(lambda: _recv(sock), b""))
        assert received < 50_000_000


QUICK = Limits(head_seconds=0.3, write_seconds=0.3, idle_seconds=0.3, drain_seconds=0.3)


def _recv(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1 << 20)
    except ConnectionResetError:
        return b""


def _wait_until_cut_off(sock: socket.socket) -> None:
    """Without reading: a closed connection reports its reset to poll(2)."""
    poll = select.poll()
    poll.register(sock, select.POLLERR)
    assert poll.poll(5000)


@pytest.mark.fault("E8")
def test_an_idle_connection_is_closed_after_a_while() -> None:
    """Kept connections are not kept for ever."""
    with serving(limits=QUICK) as address, connect(address) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(sock).status == 200
        assert is_closed(sock, within_seconds=5)


@pytest.mark.fault("E8")
def test_the_second_request_has_the_header_deadline_too() -> None:
    """A client that was served once cannot trickle its next request."""
    patient = Limits(head_seconds=0.3, idle_seconds=60)
    with serving(limits=patient) as address, connect(address) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(sock).status == 200
        sock.sendall(HALF)
        assert is_closed(sock, within_seconds=5)


@pytest.mark.fault("E8")
def test_a_crowd_makes_room_for_who_comes_last() -> None:
    """At the limit the one that has kept us waiting longest goes, and a scrape is answered."""
    with serving(limits=Limits(connections=4)) as address:
        crowd = [connect(address) for _ in range(8)]
        assert get(address).status == 200
        assert all(is_closed(sock, within_seconds=2) for sock in crowd[:4])
        assert not is_closed(crowd[-1], within_seconds=0.1)
        for sock in crowd:
            sock.close()


@pytest.mark.fault("E11")
def test_few_file_descriptors_are_enough() -> None:
    """With a limit of 64 descriptors 200 silent clients do not keep a scrape out."""
    with serving_process(file_limit=64) as server:
        crowd = [connect(server.address) for _ in range(200)]
        assert get(server.address).body == b"ok"
        for sock in crowd:
            sock.close()


@pytest.mark.fault("E11")
def test_no_file_descriptor_at_all_is_survived_without_a_busy_loop() -> None:
    """accept() fails until descriptors are free again: it is tried now and then, not all the
    time, and the waiting client is answered in the end (faults.md, E11)."""
    with (
        serving_process(file_limit=64, starved=True) as server,
        connect(server.address) as sock,
    ):
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        before = server.cpu_ticks()
        assert not is_closed(sock, within_seconds=1)
        assert server.cpu_ticks() - before < 20
        server.stdin.write("free\n")
        server.stdin.flush()
        sock.settimeout(5)
        assert read_answer(sock).body == b"ok"
