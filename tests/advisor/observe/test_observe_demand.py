"""Demand over time: range queries, their failures, and hours in which nobody told anything."""

from __future__ import annotations

import re
from collections.abc import Sequence

import promql_parser
import pytest

from agentaflow_advisor.model import Demand, Refusal
from agentaflow_advisor.observe.answers import Track
from agentaflow_advisor.observe.demand import By, demand
from agentaflow_advisor.observe.dialects import DIALECTS
from agentaflow_advisor.observe.errors import AnswerUnusable, ObserveError, QueryTooLarge
from agentaflow_advisor.observe.prometheus import Prometheus
from tests.support.fault_http import FaultServer, Step, answer, failure, vector

HOUR = 3600
NOW = 500_000 * HOUR + 600.0  # ten minutes past the hour
LAST = 500_000 * HOUR

Points = Sequence[tuple[float, str]]


def matrix(*series: tuple[dict[str, str], Points], warnings: Sequence[str] = ()) -> Step:
    result = [{"metric": labels, "values": [list(p) for p in points]} for labels, points in series]
    data = {"resultType": "matrix", "result": result}
    return answer({"status": "success", "data": data, "warnings": list(warnings)})


def ask(*steps: Step, max_series: int = 100) -> tuple[tuple[Track, ...], tuple[str, ...]]:
    with (
        FaultServer(list(steps)) as server,
        Prometheus(server.url, timeout_seconds=5, max_series=max_series) as prometheus,
    ):
        return prometheus.query_range("up", start=0, end=HOUR, step_seconds=60)


def look(
    *steps: Step, hours: int = 4, by: By = "namespace", dialects: Sequence[str] = ("agentaflow",)
) -> tuple[Demand, tuple[Refusal, ...]]:
    with FaultServer(list(steps)) as server, Prometheus(server.url, timeout_seconds=5) as client:
        return demand(client, at=NOW, history_seconds=hours * HOUR, by=by, dialects=dialects)


def test_a_range_querys_series_and_warnings() -> None:
    """Labels, times and values, NaN as it came."""
    tracks, warnings = ask(matrix(({"a": "b"}, [(60, "1"), (120, "NaN")]), warnings=("partial",)))
    (track,) = tracks
    assert (track.labels, track.points[0]) == ({"a": "b"}, (60.0, 1.0))
    assert track.points[1][1] != track.points[1][1]
    assert warnings == ("partial",)


@pytest.mark.parametrize(
    "data",
    [
        {"resultType": "vector", "result": []},
        {"resultType": "matrix", "result": {}},
        {"resultType": "matrix", "result": [{"metric": {}}]},
        {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "x"]]}]},
        {"resultType": "matrix", "result": [{"metric": [], "values": []}]},
        None,
    ],
)
def test_a_result_of_another_shape(data: object) -> None:
    """One line that names the query, whatever came."""
    with pytest.raises(AnswerUnusable, match="to: up"):
        ask(answer({"status": "success", "data": data}))


def test_too_many_series() -> None:
    """Refused, not cut."""
    with pytest.raises(QueryTooLarge, match="2 series, more than 1"):
        ask(matrix(({"a": "1"}, []), ({"a": "2"}, [])), max_series=1)


def test_hours_by_namespace_and_by_cluster() -> None:
    """Who is not among the holders held 0; an hour in which nobody was told is a gap."""
    told = matrix(
        ({"cluster": "c", "namespace": "research"}, [(LAST - 2 * HOUR, "3"), (LAST, "2.5")]),
        ({"cluster": "c", "exported_namespace": "serving", "namespace": "gpu"}, [(LAST, "1")]),
    )
    found, refusals = look(told, vector(({"cluster": "c"}, "8")))
    assert [(one.name, one.values) for one in found.series] == [
        ("", (None, 3.0, None, 3.5)),
        ("research", (None, 3.0, None, 2.5)),
        ("serving", (None, 0.0, None, 1.0)),
    ]
    assert (found.series[0].start, found.series[0].end) == (LAST - 3 * HOUR, LAST + HOUR)
    assert found.capacity == {"c": 8.0}
    assert refusals == ()


def test_a_cluster_of_its_own_row() -> None:
    """By cluster there are no rows of namespaces, and clusters do not mix."""
    told = matrix(
        ({"cluster": "a", "namespace": "x"}, [(LAST, "1")]),
        ({"cluster": "b", "namespace": "x"}, [(LAST, "2")]),
    )
    found, _ = look(told, vector(({"cluster": "a"}, "8")), by="cluster", hours=1)
    assert [(one.cluster, one.values) for one in found.series] == [("a", (1.0,)), ("b", (2.0,))]


def test_long_histories_are_asked_for_a_week_at_a_time() -> None:
    """Three weeks are three range queries, whose hours join without a seam."""
    weeks = [
        matrix(({"cluster": "c", "namespace": "x"}, [(LAST - (503 - hour) * HOUR, str(hour))]))
        for hour in (167, 168, 503)
    ]
    found, _ = look(*weeks, vector(({"cluster": "c"}, "8")), hours=504, by="cluster")
    (one,) = found.series
    assert [one.values[hour] for hour in (166, 167, 168, 503)] == [None, 167.0, 168.0, 503.0]


def test_nothing_at_all_is_said() -> None:
    """No holder in the history is no demand of zero."""
    found, refusals = look(matrix(), vector(), hours=1)
    assert found.series == ()
    assert [refusal.reason for refusal in refusals] == [
        "no pod is known to have held a GPU in the history: no forecast"
    ]


HELD = (
    ({"cluster": "a", "namespace": "x"}, [(LAST - HOUR, "2"), (LAST, "2")]),
    ({"cluster": "b", "namespace": "x"}, [(LAST - HOUR, "2")]),
)
LOST = 'fetch series for {cluster="b", replica="0"} Addr: 10.0.0.2:10901 MinTime: 1 MaxTime: 2: EOF'


@pytest.mark.parametrize("where", ["history", "capacity"])
def test_a_cluster_that_a_partial_response_leaves_out_has_no_demand(where: str) -> None:
    """What is absent of it is no demand of zero, nor is its number of GPUs known."""
    told = matrix(*HELD, warnings=(LOST,) if where == "history" else ())
    now = vector(({"cluster": "a"}, "8"), warnings=(LOST,) if where == "capacity" else ())
    found, (refusal,) = look(told, now, hours=2, by="cluster")
    assert [(one.cluster, one.values) for one in found.series] == [("a", (2.0, 2.0))]
    assert refusal.subject == "cluster b"
    assert "fetch series for" in refusal.reason


def test_a_partial_response_that_names_no_cluster_leaves_no_demand() -> None:
    """Any of them may be the one that lacks hours."""
    found, (refusal,) = look(matrix(*HELD, warnings=("store b is down",)), vector(), hours=2)
    assert found.series == ()
    assert refusal.subject == "fleet"
    assert "store b is down" in refusal.reason


def test_a_remark_on_the_query_leaves_nothing_out() -> None:
    """Prometheus' annotations are about PromQL, not about missing parts; an info is not told."""
    remarks = ("PromQL warning: encountered a mix", "PromQL info: metric might not be a counter")
    found, (refusal,) = look(matrix(*HELD, warnings=remarks), vector(), hours=2)
    assert {one.cluster for one in found.series} == {"a", "b"}
    assert refusal.reason == "Prometheus warns: PromQL warning: encountered a mix"


def test_an_exporter_that_knows_no_pods() -> None:
    """Nothing is asked, and it is said."""
    found, (refusal,) = look(dialects=("nvidia_gpu_exporter",))
    assert found.series == ()
    assert "no pod is known" in refusal.reason


def test_of_two_exporters_one_tells_all() -> None:
    """Else a GPU that both see would count twice; that the other is left out is said."""
    told = matrix(({"cluster": "c", "namespace": "x"}, [(LAST, "1")]))
    _, (refusal,) = look(told, vector(), hours=1, dialects=("dcgm", "agentaflow"))
    assert refusal.reason == "only what agentaflow-exporter tells is in it, not dcgm-exporter"


def test_a_failing_prometheus_is_named() -> None:
    """The error is one of the known ones."""
    with pytest.raises(ObserveError):
        look(failure(422, "bad_data", "no such thing"))


@pytest.mark.parametrize("dialect", [each for each in DIALECTS if "held" in each])
def test_its_queries_parse_in_every_dialect(dialect: object) -> None:
    """Nothing is left to fill in."""
    name = dialect.name  # type: ignore[attr-defined]
    asked = look(matrix(), vector(), hours=1, dialects=(name,))[0].promql
    for text in asked:
        promql_parser.parse(text)
        assert not re.search(r"\{(window|step|percentile)", text)
        assert "sum_over_time" not in text
