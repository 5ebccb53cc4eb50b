"""The Prometheus client against a server that misbehaves: every failure has its name."""

from __future__ import annotations

import contextlib
import math
import threading
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentaflow_advisor.observe.answers import Sample
from agentaflow_advisor.observe.errors import (
    AnswerUnusable,
    NotPrometheus,
    ObserveError,
    PrometheusDenied,
    PrometheusUnreachable,
    QueryRejected,
    QueryTooLarge,
)
from agentaflow_advisor.observe.prometheus import Prometheus
from tests.support.certificates import self_signed
from tests.support.fault_http import (
    HEAD_ONLY,
    FaultServer,
    Step,
    answer,
    cut_short,
    endless,
    failure,
    gzipped,
    raw,
    refused_url,
    reset,
    trickle,
    vector,
)

ONE = vector(({"gpu": "0"}, "1"))
SCALAR = answer({"status": "success", "data": {"resultType": "scalar", "result": [2.5, "2.5"]}})


def ask(*steps: Step, timeout_seconds: float = 5.0, max_bytes: int = 1 << 20) -> tuple[Sample, ...]:
    with (
        FaultServer(list(steps)) as server,
        Prometheus(server.url, timeout_seconds=timeout_seconds, max_bytes=max_bytes) as prometheus,
    ):
        return prometheus.query("up")


def failing(error: type[ObserveError], *steps: Step, **limits: float) -> str:
    """The one line that a user is shown."""
    with pytest.raises(error) as caught:
        ask(*steps, **limits)  # type: ignore[arg-type]
    assert type(caught.value) is error
    line = str(caught.value)
    assert "\n" not in line
    assert "127.0.0.1" in line
    return line


def test_vector_with_labels_and_time() -> None:
    """A vector comes as samples with labels, a float and Prometheus' time."""
    assert ask(ONE) == (Sample({"gpu": "0"}, 1.0, 1.0),)


def test_nan_and_infinity_are_handed_on() -> None:
    """What Prometheus writes as NaN and +Inf arrives as such: it is not for the client to judge."""
    nan, infinite = ask(vector(({"a": "1"}, "NaN"), ({"a": "2"}, "+Inf")))
    assert math.isnan(nan.value)
    assert infinite.value == math.inf


def test_empty_vector_is_no_samples() -> None:
    """Nothing found is an empty answer, not an error."""
    assert ask(vector()) == ()


def test_the_query_goes_as_a_form_with_its_time() -> None:
    """POST, so that a long query fits, at the asked evaluation time."""
    with FaultServer([ONE]) as server, Prometheus(server.url) as prometheus:
        prometheus.query('up{a="1"}', at=12.5)
    request = server.requests[0]
    assert request.startswith(b"POST /api/v1/query ")
    assert request.endswith(b"query=up%7Ba%3D%221%22%7D&time=12.500")


def test_nothing_is_compressed_over_loopback() -> None:
    """It takes longer than to copy; whoever sets the header has it as set."""
    with FaultServer([ONE]) as server, Prometheus(server.url) as prometheus:
        prometheus.query("up")
    assert b"accept-encoding: identity" in server.requests[0].lower()
    with (
        FaultServer([ONE]) as server,
        Prometheus(server.url, headers={"Accept-Encoding": "gzip"}) as prometheus,
    ):
        prometheus.query("up")
    assert b"accept-encoding: gzip" in server.requests[0].lower()


def test_now_is_the_servers_clock() -> None:
    """The clock is asked for, never ours."""
    with FaultServer([SCALAR]) as server, Prometheus(server.url) as prometheus:
        assert prometheus.now() == 2.5


@pytest.mark.parametrize(
    ("data", "version"), [({"version": "2.42.0"}, "2.42.0"), ([], "")], ids=["told", "not told"]
)
def test_build_info(data: object, version: str) -> None:
    """The version, or nothing where a server speaks the API without telling it."""
    with (
        FaultServer([answer({"status": "success", "data": data})]) as server,
        Prometheus(server.url) as prometheus,
    ):
        assert prometheus.build_info() == version


def test_warnings_are_kept() -> None:
    """A partial response says so."""
    with (
        FaultServer([vector(warnings=("store 2 is\ndown",))]) as server,
        Prometheus(server.url) as prometheus,
    ):
        assert prometheus.ask("up").warnings == ("store 2 is down",)


@pytest.mark.parametrize(
    "step",
    [
        answer("<html>Sign in</html>", 200, "text/html"),
        answer("404 page not found", 404, "text/plain"),
        answer({"hello": "world"}),
        answer("[]"),
        answer("{}", 404),
        answer("", 302, headers={"Location": "http://127.0.0.1/login"}),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    ],
    ids=["html", "404", "other json", "a list", "json 404", "redirect", "not http"],
)
def test_something_else_answers(step: Step) -> None:
    """A page, another API, a login or another protocol is told from Prometheus."""
    with pytest.raises((NotPrometheus, PrometheusUnreachable)) as caught:
        ask(step, timeout_seconds=1)
    assert "URL" in str(caught.value)


@pytest.mark.parametrize(("status", "kind"), [(400, "bad_data"), (422, "execution")])
def test_a_rejected_query_is_not_asked_again(status: int, kind: str) -> None:
    """Prometheus' own words reach the user, and the query is asked once."""
    with FaultServer([failure(status, kind, "many-to-many")]) as server:
        prometheus = Prometheus(server.url)
        with pytest.raises(QueryRejected, match=f"{kind}: many-to-many.*Query: up"):
            prometheus.query("up")
        prometheus.close()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (503, "timeout", "query timed out in expression evaluation"),
        (422, "execution", "query processing would load too many samples into memory"),
    ],
)
def test_too_much_work_is_named_and_not_repeated(status: int, kind: str, text: str) -> None:
    """A query that Prometheus gave up would only burden it again."""
    with FaultServer([failure(status, kind, text)]) as server:
        prometheus = Prometheus(server.url)
        with pytest.raises(QueryTooLarge, match="Shorten the window"):
            prometheus.query("up")
        prometheus.close()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "step",
    [
        cut_short(b'{"status":"success","data":', 500),
        raw(HEAD_ONLY + b"Connection: close\r\n\r\n" + b'{"status":"succ'),
        raw(HEAD_ONLY + b"Transfer-Encoding: chunked\r\n\r\n" + b'9\r\n{"status"\r\n'),
    ],
    ids=["short of its length", "no length", "chunk missing"],
)
def test_a_truncated_answer(step: Step) -> None:
    """Half an answer is never read as a whole one."""
    failing(AnswerUnusable, step)


@pytest.mark.parametrize(
    "data",
    [
        {"resultType": "matrix", "result": []},
        {"resultType": "vector", "result": {}},
        {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": [1, "abc"]}]},
        {"resultType": "vector", "result": [{"metric": [], "value": [1, "1"]}]},
        "success",
        None,
    ],
)
def test_a_result_of_another_shape(data: object) -> None:
    """What is no vector of floats is refused, not guessed at."""
    failing(AnswerUnusable, answer({"status": "success", "data": data}))


def test_an_oversized_answer_is_left_early() -> None:
    """An endless body ends at the limit."""
    assert "more than 1 MiB" in failing(QueryTooLarge, endless())


def test_a_small_answer_that_unpacks_large() -> None:
    """The limit counts what the body becomes, not what the wire carried."""
    failing(QueryTooLarge, gzipped(b" " * (8 << 20)))


def test_too_many_series() -> None:
    """A cardinality bomb is refused by its count."""
    steps = [vector(*(({"i": str(i)}, "1") for i in range(11)))]
    with (
        FaultServer(steps) as server,
        Prometheus(server.url, max_series=10) as prometheus,
        pytest.raises(QueryTooLarge, match="11 series, more than 10"),
    ):
        prometheus.query("up")


@pytest.mark.parametrize(
    "at_once",
    [b"", HEAD_ONLY + b"X-Slow: ", HEAD_ONLY + b"\r\n{"],
    ids=["nothing", "half a header", "half a body"],
)
def test_a_trickle_ends_with_the_deadline(at_once: bytes) -> None:
    """A byte now and then does not hold us: the deadline is for the whole answer."""
    started = time.monotonic()
    assert "within 0.5 s" in failing(PrometheusUnreachable, trickle(at_once), timeout_seconds=0.5)
    assert time.monotonic() - started < 3


def test_tls_with_a_ca_of_ones_own(tmp_path: Path) -> None:
    """The CA file is trusted, and without it the connection is refused with what to do."""
    certificate = self_signed(tmp_path, "prometheus")
    with FaultServer([ONE], certificate) as server:
        with Prometheus(server.url, ca_file=certificate.cert) as client:
            assert len(client.query("up")) == 1
        with Prometheus(server.url, verify=False) as client, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # urllib3's, which is right
            assert len(client.query("up")) == 1
        with (
            Prometheus(server.url) as client,
            pytest.raises(PrometheusUnreachable, match=r"no trusted TLS connection.*CA file"),
        ):
            client.query("up")


def test_a_trickle_within_tls(tmp_path: Path) -> None:
    """The deadline holds below TLS as well."""
    certificate = self_signed(tmp_path, "slow")
    started = time.monotonic()
    with (
        FaultServer([trickle(HEAD_ONLY + b"\r\n{")], certificate) as server,
        Prometheus(server.url, ca_file=certificate.cert, timeout_seconds=0.5) as client,
        pytest.raises(PrometheusUnreachable, match=r"within 0\.5 s"),
    ):
        client.query("up")
    assert time.monotonic() - started < 3


def test_nobody_listens() -> None:
    """A refused connection is told with what to check."""
    with (
        Prometheus(refused_url(), timeout_seconds=2) as prometheus,
        pytest.raises(PrometheusUnreachable, match=r"127\.0\.0\.1:\d+: Connection refused"),
    ):
        prometheus.query("up")


@pytest.mark.parametrize(
    "first",
    [
        reset(),
        answer("busy", 503, "text/plain"),
        answer("bad gateway", 502, "text/html"),
        answer("slow down", 429, "text/plain", {"Retry-After": "0"}),
        answer("slow down", 429, "text/plain", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        answer("slow down", 429, "text/plain", {"Retry-After": "soon"}),
    ],
    ids=["reset", "503", "502", "429 seconds", "429 date", "429 nonsense"],
)
def test_a_passing_fault_is_survived(first: Step) -> None:
    """What brought no answer is asked again."""
    assert ask(first, ONE) == (Sample({"gpu": "0"}, 1.0, 1.0),)


def test_a_server_that_fails() -> None:
    """HTTP 500 is its own trouble, told in its own words."""
    step = answer("panic: <b>x</b>", 500, "text/plain")
    assert "HTTP 500: panic: <b>x</b>" in failing(PrometheusUnreachable, step)


def test_retries_are_few() -> None:
    """A server that stays overloaded is left alone after four attempts."""
    with FaultServer([answer("busy", 503, "text/plain")]) as server:
        prometheus = Prometheus(server.url, timeout_seconds=20)
        with pytest.raises(PrometheusUnreachable, match=r"HTTP 503.*after 4 attempts"):
            prometheus.query("up")
        prometheus.close()
    assert len(server.requests) == 4


def test_a_long_retry_after_is_not_waited_for() -> None:
    """Where it asks for more time than there is, we say so at once."""
    started = time.monotonic()
    step = answer("slow down", 429, "text/plain", {"Retry-After": "3600"})
    assert "asks to wait 3600" in failing(PrometheusUnreachable, step)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials(status: int) -> None:
    """A login problem is named as one."""
    failing(PrometheusDenied, answer("no", status, "text/plain"))


def test_the_token_file_is_read_for_every_request(tmp_path: Path) -> None:
    """A rotated token is picked up without a restart."""
    token = tmp_path / "token"
    with FaultServer([ONE]) as server, Prometheus(server.url, bearer_token_file=token) as client:
        for text in ("first", "second\n"):
            token.write_text(text)
            client.query("up")
    sent = [line for one in server.requests for line in one.split(b"\r\n") if b"Bearer" in line]
    assert sent == [b"Authorization: Bearer first", b"Authorization: Bearer second"]


def test_a_missing_token_file(tmp_path: Path) -> None:
    """An unreadable token file is named."""
    with (
        Prometheus("http://127.0.0.1:1", bearer_token_file=tmp_path / "none") as client,
        pytest.raises(PrometheusDenied, match=r"cannot read the Prometheus token file .*none"),
    ):
        client.query("up")


def test_credentials_in_the_url_are_used_and_never_shown() -> None:
    """user:password@ becomes basic auth, and no message holds it."""
    with FaultServer([answer("no", 401, "text/plain")]) as server:
        url = server.url.replace("http://", "http://kim:s%23cret@")
        with Prometheus(url) as client, pytest.raises(PrometheusDenied) as caught:
            client.query("up")
    assert "kim" not in str(caught.value)
    assert "cret" not in str(caught.value)
    assert b"Authorization: Basic a2ltOnMjY3JldA==" in server.requests[0]


@pytest.mark.parametrize(
    "url", ["", "prometheus:9090", "ftp://x", "http://", "http://[::1", "http://x:pw"]
)
def test_no_url_at_all(url: str) -> None:
    """A URL that cannot be one is refused before anything is asked."""
    with pytest.raises(NotPrometheus, match="such as http://"):
        Prometheus(url)


def test_threads_may_share_a_client() -> None:
    """Several queries at once each get their own answer."""
    with FaultServer([ONE]) as server, Prometheus(server.url) as client:
        got: list[int] = []
        threads = [
            threading.Thread(target=lambda: got.append(len(client.query("up")))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == [1] * 8


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.binary(max_size=200), st.from_regex(r'\{"status":"success".{0,60}\}').map(str.encode)
    )
)
def test_no_body_brings_anything_but_named_errors(body: bytes) -> None:
    """Whatever a server sends, it is samples or an ObserveError."""
    with contextlib.suppress(ObserveError):
        assert isinstance(ask(answer(body)), tuple)
