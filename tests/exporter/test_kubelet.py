"""Pods from the kubelet's pod-resources socket, asked by a real client of a real gRPC server."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_exporter.attribution import channel
from agentaflow_exporter.attribution.kubelet import LONGEST_SECONDS, KubeletError, KubeletPods
from agentaflow_exporter.collector import Pod
from tests.support.fake_kubelet import FakeKubelet, pod, short_folder, unix_server

GPU = "GPU-0000a100-5eed-4a6b-8c1d-0123456789ab"
NOTEBOOK = pod("notebook", GPU)
HELD = (Pod(GPU, "research", "notebook", "main"),)
MARGIN_SECONDS = 0.5
_NOBODY = 65534


@pytest.fixture
def path() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "kubelet.sock"


@pytest.fixture
def source(path: Path) -> Iterator[KubeletPods]:
    source = KubeletPods(path)
    yield source
    source.close()


def failure(source: KubeletPods) -> str:
    with pytest.raises(KubeletError) as caught:
        source()
    message = str(caught.value)
    assert "\n" not in message
    return message


# -- what it answers --------------------------------------------------------------------------


def test_pods_with_a_gpu(path: Path, source: KubeletPods) -> None:
    """Pods without one are left out, and so are other vendors' devices."""
    others = (pod("web"), pod("storage", "0000:3b:00.0", resource="intel.com/sriov"))
    with FakeKubelet(path, *others, NOTEBOOK, pod("nic", "3", resource="rdma/hca")):
        assert source() == HELD


def test_several_gpus_and_containers(path: Path, source: KubeletPods) -> None:
    """Each GPU of each container is one."""
    two = pod("train", "0", "1", container="a")
    two["containers"] += pod("train", "2", container="b")["containers"]
    with FakeKubelet(path, two):
        assert [(p.device, p.pod, p.container) for p in source()] == [
            ("0", "train", "a"),
            ("1", "train", "a"),
            ("2", "train", "b"),
        ]


def test_claims(path: Path, source: KubeletPods) -> None:
    """Devices that NVIDIA's DRA driver allocated count, and other drivers' do not."""
    claims = [
        {"driver_name": "gpu.nvidia.com", "pool_name": "node-a", "device_name": "gpu-1"},
        {"driver_name": "gpu.amd.com", "pool_name": "node-a", "device_name": "gpu-2"},
        {"driver_name": "compute-domain.nvidia.com", "device_name": "channel-0"},
    ]
    with FakeKubelet(path, pod("claimant", claims=claims)):
        assert [p.device for p in source()] == ["gpu-1"]


def test_no_pods(path: Path, source: KubeletPods) -> None:
    """An empty answer says that no pod holds a GPU."""
    with FakeKubelet(path):
        assert source() == ()


def test_follows_the_kubelet(path: Path, source: KubeletPods) -> None:
    """It is asked each time, over one connection."""
    with FakeKubelet(path, NOTEBOOK) as kubelet:
        assert source() == HELD
        kubelet.pods = []
        assert source() == ()
        assert kubelet.asked == 2


def test_many_calls_on_one_connection(path: Path, source: KubeletPods) -> None:
    """Windows of flow control are given back: thousands of scrapes do not run dry."""
    pods = [pod(f"web-{number}") for number in range(300)]
    with FakeKubelet(path, *pods, NOTEBOOK) as kubelet:
        assert {source() for _ in range(300)} == {HELD}
        assert kubelet.asked == 300


def test_five_thousand_pods(path: Path, source: KubeletPods) -> None:
    """More than a megabyte, through windows of flow control, in well under the second."""
    pods = [pod(f"a-pod-with-a-rather-long-name-{n}", f"{n % 8}") for n in range(5000)]
    with FakeKubelet(path, *pods):
        source()
        started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_THREAD)
        answer = source()
        seconds = time.perf_counter() - started
        cpu = resource.getrusage(resource.RUSAGE_THREAD).ru_utime - used.ru_utime
        tracemalloc.start()
        source()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    print(f"5,000 pods: {seconds:.3f} s, {cpu:.3f} s CPU, {peak / 2**20:.1f} MiB")
    assert len(answer) == 5000
    assert seconds < LONGEST_SECONDS
    assert peak < 16 * 2**20


# -- kubelets that come and go ----------------------------------------------------------------


def test_restart(path: Path, source: KubeletPods) -> None:
    """The next call finds the new kubelet, without a failure in between."""
    with FakeKubelet(path, NOTEBOOK):
        assert source() == HELD
    with FakeKubelet(path, pod("train", GPU)):
        assert [p.pod for p in source()] == ["train"]


def test_socket_replaced_while_the_old_server_lives(path: Path, source: KubeletPods) -> None:
    """Whoever has the path now is asked, not who had it when the connection was made."""
    with FakeKubelet(path, NOTEBOOK):
        assert source() == HELD
        with FakeKubelet(path, pod("train", GPU)):
            assert [p.pod for p in source()] == ["train"]


def test_kubelet_that_comes_later(path: Path, source: KubeletPods) -> None:
    """A missing socket is a failure that says so, until it is there."""
    assert "No such file or directory: is it running" in failure(source)
    assert str(path) in failure(source)
    with FakeKubelet(path, NOTEBOOK):
        assert source() == HELD


def test_kubelet_that_went(path: Path, source: KubeletPods) -> None:
    """Its last answer is not given again."""
    with FakeKubelet(path, NOTEBOOK):
        assert source() == HELD
    failure(source)


def test_refused(path: Path, source: KubeletPods) -> None:
    """A socket that nobody listens on any more."""
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    assert "Connection refused: is it running?" in failure(source)


def test_permission_denied(path: Path, source: KubeletPods) -> None:
    """The kubelet's socket is root's: somebody else is told so."""
    with FakeKubelet(path, NOTEBOOK):
        path.chmod(0o700 if os.geteuid() == 0 else 0)
        path.parent.chmod(0o755)
        libc = ctypes.CDLL(None)
        libc.setfsuid(_NOBODY)  # of this thread, for access to files alone
        try:
            message = failure(source)
        finally:
            libc.setfsuid(os.geteuid())
    assert "Permission denied: the socket is root's alone" in message


# -- kubelets that refuse, hang or talk nonsense ------------------------------------------------


@pytest.mark.parametrize(
    ("code", "details", "said"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected by rate limit", "RESOURCE_EXHAUSTED: rej"),
        (grpc.StatusCode.UNAVAILABLE, "shutting\ndown: 100 %", "UNAVAILABLE: shutting down: 100 %"),
        (grpc.StatusCode.INTERNAL, "", "gRPC status INTERNAL"),
        (grpc.StatusCode.UNKNOWN, "ü" * 1000, "UNKNOWN: ü"),
    ],
)
def test_status(
    path: Path, source: KubeletPods, code: grpc.StatusCode, details: str, said: str
) -> None:
    """Each refusal is one line with gRPC's name of it; afterwards all is well again."""
    with FakeKubelet(path, NOTEBOOK) as kubelet:
        kubelet.refusal = (code, details)
        message = failure(source)
        assert said in message
        assert len(message) < 400
        kubelet.refusal = None
        assert source() == HELD


def test_unknown_service(path: Path, source: KubeletPods) -> None:
    """A gRPC server that is no kubelet, or one older than this service."""
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        assert "gRPC status UNIMPLEMENTED" in failure(source)
    finally:
        server.stop(0).wait()


def test_hanging_kubelet(path: Path, source: KubeletPods) -> None:
    """No answer costs a second, and a late one is not taken for the answer to a later question."""
    with FakeKubelet(path, NOTEBOOK) as kubelet:
        assert source() == HELD
        kubelet.may_answer.clear()
        started = time.monotonic()
        assert "no answer in time" in failure(source)
        assert time.monotonic() - started < LONGEST_SECONDS + MARGIN_SECONDS
        kubelet.pods = []
        kubelet.may_answer.set()
        assert source() == ()


def http2(
    connection: socket.socket, answer: Callable[[h2.connection.H2Connection, int], None]
) -> None:
    """Serve one connection: `answer` is called for each request."""
    configuration = h2.config.H2Configuration(client_side=False)
    http = h2.connection.H2Connection(configuration)
    http.initiate_connection()
    connection.sendall(http.data_to_send())
    while data := connection.recv(65536):
        try:
            events = http.receive_data(data)
        except h2.exceptions.ProtocolError:  # what the client sent before it saw our end
            continue
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                assert event.stream_id is not None
                answer(http, event.stream_id)
        connection.sendall(http.data_to_send())


def answering(
    answer: Callable[[h2.connection.H2Connection, int], None],
) -> Callable[[socket.socket], None]:
    return lambda connection: http2(connection, answer)


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def headers_only(http: h2.connection.H2Connection, stream: int) -> None:
    http.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])


def bad_frame(connection: socket.socket) -> None:
    """Headers of the stream that can have none."""
    connection.recv(65536)
    connection.sendall(bytes.fromhex("000000 04 00 00000000 000001 01 04 00000000 82"))
    silent(connection)


def http1(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("serve", [silent, answering(headers_only)], ids=["nothing", "headers"])
def test_half_an_answer(
    path: Path, source: KubeletPods, serve: Callable[[socket.socket], None]
) -> None:
    """A server that takes the question and never answers, or begins to, costs a second."""
    with unix_server(path, serve):
        started = time.monotonic()
        assert "no answer in time" in failure(source)
        source.close()
        assert time.monotonic() - started < LONGEST_SECONDS + MARGIN_SECONDS


def goaway(http: h2.connection.H2Connection, _: int) -> None:
    http.close_connection(last_stream_id=0)


def reset(http: h2.connection.H2Connection, stream: int) -> None:
    http.reset_stream(stream, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)


def not_found(http: h2.connection.H2Connection, stream: int) -> None:
    http.send_headers(stream, [(":status", "404")], end_stream=True)


def no_trailers(http: h2.connection.H2Connection, stream: int) -> None:
    headers_only(http, stream)
    http.send_data(stream, bytes(5), end_stream=True)


def in_full(body: bytes) -> Callable[[h2.connection.H2Connection, int], None]:
    def answer(http: h2.connection.H2Connection, stream: int) -> None:
        headers_only(http, stream)
        http.send_data(stream, body)
        http.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    return answer


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (answering(goaway), "ended the connection"),
        (answering(reset), "broke the call off (code 11)"),
        (answering(not_found), "HTTP status 404: not a gRPC server"),
        (answering(no_trailers), "gRPC status missing"),
        (answering(in_full(b"\1\0\0\0\1x")), "not one plain message"),
        (answering(in_full(b"\0\0\0\0\2x")), "not one plain message"),
        (answering(in_full(b"")), "not one plain message"),
        (answering(in_full(b"\0\0\0\0\2\x0a\x05")), "cut off"),
        (bad_frame, "does not speak HTTP/2"),
        (http1, "onnection"),  # a frame of 4 MiB that ends too soon
        (lambda end: end.recv(1) and None, "onnection"),  # reset, or ended
    ],
    ids=[
        *("goaway", "reset", "404", "no-trailers", "compressed", "short", "empty", "truncated"),
        *("bad-frame", "http1", "closed"),
    ],
)
def test_nonsense(
    path: Path, source: KubeletPods, serve: Callable[[socket.socket], None], said: str
) -> None:
    """Each is told in one line, and a kubelet that comes to its senses is believed again."""
    with unix_server(path, serve):
        message = failure(source)
        assert said in message
        source.close()
    with FakeKubelet(path, NOTEBOOK):
        assert source() == HELD


def test_goaway_between_calls(path: Path, source: KubeletPods) -> None:
    """A server that ends the connection after each answer is asked over a new one each time."""

    def serve(connection: socket.socket) -> None:
        configuration = h2.config.H2Configuration(client_side=False)
        http = h2.connection.H2Connection(configuration)
        http.initiate_connection()
        while data := connection.recv(65536):
            for event in http.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    assert event.stream_id is not None
                    in_full(bytes(5))(http, event.stream_id)
                    http.close_connection()
                    connection.sendall(http.data_to_send())
                    return

    with unix_server(path, serve):
        assert [source() for _ in range(5)] == [()] * 5


def test_too_large_an_answer(
    path: Path, source: KubeletPods, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is kept while the answer comes in, not after it was taken."""
    monkeypatch.setattr(channel, "LARGEST_ANSWER_BYTES", 2**20)
    pods = [pod("x" * 1000, GPU) for _ in range(3000)]
    with FakeKubelet(path, *pods) as kubelet:
        assert "more than 1 MiB" in failure(source)
        kubelet.pods = [NOTEBOOK]
        assert source() == HELD


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_garbage(noise: bytes, after_settings: bool) -> None:
    """Whatever bytes come back, with or without a proper beginning, the failure is a known one."""
    beginning = bytes.fromhex("000000040000000000") if after_settings else b""  # empty SETTINGS

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(beginning + noise)

    with short_folder() as folder:
        source = KubeletPods(folder / "kubelet.sock")
        with unix_server(folder / "kubelet.sock", serve):
            failure(source)
        source.close()
