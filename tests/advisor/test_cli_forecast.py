"""report forecast: rows with bands and money, when GPUs run out, and refusals in one line each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs

import pytest

from tests.support.cli import Cli
from tests.support.fake_prometheus import JSON, Card, FakePrometheus
from tests.support.loopback import Answer, serve

HOUR = 3600
GPUS = 8


@dataclass(slots=True)
class WithHistory(FakePrometheus):
    """Eight H100 of one namespace, which held `growth` more of them each day up to now."""

    days: int = 60
    growth: float = 0.0
    too_much: bool = False

    def handle(self, method: str, path: str, body: bytes) -> Answer:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if path.endswith("query_range"):
            if self.too_much:
                error = {"status": "error", "errorType": "execution", "error": "too many samples"}
                return 422, JSON, json.dumps(error).encode()
            return _json("matrix", [{"metric": _held(), "values": self._values(form)}])
        if form.get("query", "").startswith("count by (cluster) (count by"):
            at = time.time()
            return _json("vector", [{"metric": {"cluster": ""}, "value": [at, str(GPUS)]}])
        return FakePrometheus.handle(self, method, path, body)

    def _values(self, form: dict[str, str]) -> list[tuple[float, str]]:
        now = time.time()
        hours = range(int(float(form["start"])), int(float(form["end"])) + 1, HOUR)
        told = ((at, GPUS - 1 - self.growth * (now - at) / 86_400) for at in hours)
        first = now - self.days * 86_400
        return [(float(at), f"{value:.3f}") for at, value in told if at >= first and value > 0]


def _held() -> dict[str, str]:
    return {"cluster": "", "namespace": "research"}


def _json(kind: str, result: object) -> Answer:
    answer = {"status": "success", "data": {"resultType": kind, "result": result}}
    return 200, JSON, json.dumps(answer).encode()


@pytest.fixture
def fleet() -> WithHistory:
    cards = (Card("node-0", index, busy=0.7, pod="research/train") for index in range(GPUS))
    return WithHistory(tuple(cards))


@pytest.fixture
def asking(cli: Cli, fleet: WithHistory) -> Iterator[Cli]:
    with serve(fleet.handle) as url:
        yield cli.having("--prometheus-url", url)


def test_a_row_for_each_namespace(asking: Cli) -> None:
    """7 GPUs for 14 days are 2,352 GPU hours, at 6.88 an hour 16,182 USD."""
    ran = asking("report", "forecast", "--by", "namespace", "--days", "14")
    assert ran.code == 0
    row = next(line for line in ran.out.splitlines() if line.startswith("research"))
    assert row.split()[:4] == ["research", "7.0", "+0.0", "2,352"]
    assert "16,182 USD" in row
    assert "14 d ahead of 20" in ran.out
    assert "run out" not in ran.out


def test_as_json_it_has_every_hour(asking: Cli) -> None:
    """Sums, bands, the error beside seasonal-naive's, and the queries behind it."""
    told = asking("report", "forecast", "--by", "cluster", "--days", "2", "-o", "json").json
    (row,) = told["rows"]
    assert (told["by"], told["horizon_seconds"]) == ("cluster", 172_800.0)
    assert [len(row[name]) for name in ("point", "low", "high")] == [48, 48, 48]
    assert row["gpu_hours_low"] <= row["gpu_hours"] <= row["gpu_hours_high"]
    assert row["cost"]["currency"] == "USD"
    assert row["naive_error"] >= 0
    assert len(told["queries"]) == 2
    assert told["capacity"] == {"": 8.0}
    assert told["recommendations"] == []


def test_when_gpus_run_out_is_said(asking: Cli, fleet: WithHistory) -> None:
    """7 of 8 are held and a tenth of one comes each day: in ten days."""
    fleet.growth = 0.1
    ran = asking("report", "forecast", "--by", "cluster", "--days", "20")
    assert "GPUs of the cluster run out on 20" in ran.out
    (found,) = asking("report", "forecast", "--days", "20", "-o", "json").json["recommendations"]
    assert found["kind"] == "capacity-runs-out"
    assert found["evidence"]["promql"]


def test_a_short_history_is_refused_in_one_line(asking: Cli, fleet: WithHistory) -> None:
    """What there is, what it takes, what would be possible; the exit code is 0, as it is a fact."""
    fleet.days = 15
    ran = asking("report", "forecast", "--days", "14")
    assert ran.code == 0
    assert "14 d ahead takes 35 d" in ran.out
    assert "would be possible" in ran.out


def test_too_much_history_for_prometheus(asking: Cli, fleet: WithHistory) -> None:
    """The command says so; `recommend` goes on without a forecast."""
    fleet.too_much = True
    ran = asking("report", "forecast")
    assert ran.code == 3
    assert "gave the query up" in ran.error


def test_recommend_says_it_where_that_is_switched_on(
    asking: Cli, fleet: WithHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default no history is read; with it, a forecast that fails costs no other advice."""
    fleet.growth = 0.1
    assert "run out" not in asking("recommend").out
    monkeypatch.setenv("AGENTAFLOW_FORECAST_IN_ADVICE", "true")
    monkeypatch.setenv("AGENTAFLOW_FORECAST_SECONDS", "20d")
    assert "GPUs of the cluster run out on 20" in asking("recommend").out
    fleet.too_much = True
    ran = asking("recommend", "--refusals")
    assert ran.code == 0
    assert "gave the query up" in ran.out


def test_days_out_of_bounds(asking: Cli) -> None:
    """Refused with what is allowed."""
    ran = asking("report", "forecast", "--days", "91")
    assert ran.code == 2
    assert "should be less than or equal to 90" in ran.error
