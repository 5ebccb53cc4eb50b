"""What the web server answers, over real sockets."""

from __future__ import annotations

import threading
import urllib.request

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentaflow_exporter.web import Limits, ListenError, Request, Response, Server, text_response
from tests.support.web import ask, connect, echo, get, is_closed, read_answer, serving


def test_the_handler_sees_the_decoded_request() -> None:
    """Path and query are percent-decoded, repeated names keep their order, headers lower case."""
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return text_response(200, "ok")

    with serving(handler) as address:
        get(address, "/a%20b?x=1&y=%41+B&x=2&flag", "X-One: 1\r\nX-One: 2\r\n")
    assert seen[0].method == "GET"
    assert seen[0].path == "/a b"
    assert seen[0].query == {"x": ["1", "2"], "y": ["A B"], "flag": [""]}
    assert seen[0].headers["x-one"] == "1, 2"


def test_the_standard_client_is_answered() -> None:
    """urllib gets status, headers and body."""
    with (
        serving() as (host, port),
        urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=5) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain"
        assert answer.read() == b"/metrics"


def test_a_connection_is_kept_for_the_next_request() -> None:
    """HTTP/1.1 requests share a connection, pipelined ones are answered in order."""
    with serving() as address, connect(address) as sock:
        for path in (b"/one", b"/two"):
            sock.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(sock).body == path
        sock.sendall(b"GET /3 HTTP/1.1\r\nHost: x\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\n\r\n")
        with sock.makefile("rb") as stream:
            lines = iter(lambda: stream.readline().strip(), b"")
            assert dict(line.partition(b": ")[::2] for line in lines)[b"Content-Length"] == b"2"
            assert stream.read(2) == b"/3"
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: Close\r\n", False),
        ("1.0", "", False),
        ("1.0", "Connection: keep-alive\r\n", True),
    ],
)
def test_the_client_decides_whether_the_connection_is_kept(
    version: str, connection: str, kept: bool
) -> None:
    """Persistent by default in HTTP/1.1 only, and the answer says which."""
    with serving() as address, connect(address) as sock:
        sock.sendall(f"GET / HTTP/{version}\r\nHost: x\r\n{connection}\r\n".encode())
        assert read_answer(sock).headers["connection"] == ("keep-alive" if kept else "close")
        assert is_closed(sock, within_seconds=0.2 if kept else 5) is not kept


def test_head_is_get_without_a_body() -> None:
    """HEAD has GET's headers and nothing after them."""
    with serving() as address:
        answer = ask(address, b"HEAD /four HTTP/1.1\r\nHost: x\r\n\r\n", method="HEAD")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "5", b"")


GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"NONSENSE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/one\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (GET + b"Host: y\r\n\r\n", 400),
        (GET + b"No colon\r\n\r\n", 400),
        (GET + b"Spaced : name\r\n\r\n", 400),
        (GET + b" folded: value\r\n\r\n", 400),
        (GET + b"Control: \x00\r\n\r\n", 400),
        (GET + b"Bare: line\nfeed: x\r\n\r\n", 400),
        (GET + b"Content-Length: 4\r\n\r\nbody", 400),
        (GET + b"Content-Length: 0, 4\r\n\r\nbody", 400),
        (GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (GET + b"Long: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (GET + b"Long: " + b"a" * 10_000_000, 431),
        (GET + b"Content-Length: 0\r\n\r\n", 200),
        (b"\r\n" + GET + b"\r\n", 200),
        (b"GET http://example.com:80/metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    ],
)
@pytest.mark.fault("E9")
def test_bad_requests_get_their_status_and_one_line(request_bytes: bytes, status: int) -> None:
    """Each malformed request has a status and one line of text, and costs nobody else anything."""
    with serving() as address:
        answer = ask(address, request_bytes)
        assert answer.status == status
        assert answer.body.count(b"\n") <= 1
        assert get(address).status == 200


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=300))
def test_junk_never_costs_more_than_its_own_connection(
    shared_server: tuple[str, int], junk: bytes
) -> None:
    """Whatever bytes arrive, the answer is no server error and the next client is served."""
    assert ask(shared_server, junk + b" \r\n\r\n").status in (200, 400, 405, 505)
    assert get(shared_server, "/next").body == b"/next"


@pytest.fixture(scope="module")
def shared_server() -> object:
    with serving() as address:
        yield address


@pytest.mark.parametrize(
    ("target", "path"),
    [("http://h/a?b", "/a"), ("HTTPS://h", "/"), ("http://h?q", "/"), ("/a#b", "/a")],
)
def test_absolute_targets_are_their_path(target: str, path: str) -> None:
    """A proxy's absolute-form target is answered as its path (RFC 9112, 3.2.2)."""
    with serving() as address:
        assert get(address, target).body == path.encode()


def test_dot_segments_mean_nothing() -> None:
    """The path reaches the handler as it is: there is no file system behind it to climb in."""
    with serving() as address:
        assert get(address, "/../..%2fetc/passwd").body == b"/../../etc/passwd"


def test_a_failing_handler_is_a_short_500_and_a_log_line() -> None:
    """The client learns nothing but that it failed; the log has one line with the reason."""
    log: list[str] = []

    def handler(request: Request) -> Response:
        if request.path == "/":
            raise RuntimeError("secret detail")
        return echo(request)

    with serving(handler, log=log) as address:
        answer = get(address)
        assert get(address, "/still").body == b"/still"
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body
    assert log == ["GET '/': RuntimeError: secret detail"]


def test_an_answer_that_cannot_be_sent_is_logged() -> None:
    """A header outside Latin-1 ends that connection only."""
    log: list[str] = []
    bad = Response(200, (("X", "→"),), b"")
    with serving(lambda r: bad if r.path == "/" else echo(r), log=log) as address:
        with connect(address) as sock:
            sock.sendall(GET + b"\r\n")
            assert is_closed(sock, within_seconds=5)
        assert get(address, "/still").body == b"/still"
    assert "UnicodeEncodeError" in log[0]


def test_requests_beyond_the_limit_are_told_to_come_back() -> None:
    """503 with Retry-After while every place is taken, 200 afterwards; health is not starved."""
    release, entered = threading.Event(), threading.Semaphore(0)

    def handler(request: Request) -> Response:
        if request.path == "/slow":
            entered.release()
            release.wait(10)
        return echo(request)

    with serving(handler, limits=Limits(requests=2, workers=2)) as address:
        slow = [connect(address) for _ in range(2)]
        for sock in slow:
            sock.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            assert entered.acquire(timeout=5)
        answer = get(address)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        release.set()
        for sock in slow:
            assert read_answer(sock).body == b"/slow"
            sock.close()
        assert get(address).status == 200


def test_stop_answers_what_has_arrived() -> None:
    """A request in a handler is answered although the server stops, an idle client is not waited
    for, and the port is free afterwards."""
    release, entered = threading.Event(), threading.Event()

    def handler(request: Request) -> Response:
        entered.set()
        release.wait(10)
        return echo(request)

    server = Server(["127.0.0.1:0"], handler)
    server.start()
    with connect(server.addresses[0]) as idle, connect(server.addresses[0]) as busy:
        busy.sendall(b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert entered.wait(5)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert is_closed(idle, within_seconds=3)
        release.set()
        assert read_answer(busy).body == b"/busy"
    stopping.join(5)
    assert not stopping.is_alive()
    with pytest.raises(ConnectionRefusedError):
        connect(server.addresses[0])


@pytest.mark.parametrize("address", [":0", "127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_addresses_are_written_as_go_writes_them(address: str) -> None:
    """Every usual way to write a listen address is bound and answers."""
    try:
        server = Server([address], echo)
    except ListenError as error:
        pytest.skip(f"this machine cannot: {error}")
    server.start()
    host = "::1" if "[" in address else "127.0.0.1"
    assert get((host, server.addresses[0][1]), "/x").body == b"/x"
    server.stop()


def test_several_addresses_share_one_server() -> None:
    """--web.listen-address may be repeated."""
    server = Server(["127.0.0.1:0", "127.0.0.1:0"], echo)
    server.start()
    assert [get(address).status for address in server.addresses] == [200, 200]
    server.stop()


@pytest.mark.parametrize("address", ["9837", "127.0.0.1", "127.0.0.1:99999", "::1:80", "a b:1"])
def test_unusable_addresses_are_one_line(address: str) -> None:
    """The message names the address and shows how to write one."""
    with pytest.raises(ListenError, match=r"^cannot listen on .*; .*$"):
        Server([address], echo)


def test_an_address_in_use_is_one_line() -> None:
    """The message says that it is in use, and the addresses bound before it are freed."""
    with serving() as (host, port):
        with pytest.raises(ListenError, match=f"{host}:{port}: Address already in use; stop"):
            Server(["127.0.0.1:0", f"{host}:{port}"], echo)
        assert get((host, port)).status == 200
