"""Which window is judged, and of what: recorded series, samples, or the longer of the two."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from agentaflow_advisor.observe.recording import choose
from agentaflow_advisor.observe.recording.span import SAMPLES_BUDGET, Clock, Found

NOW = 1_800_000_000.0
HOUR, DAY = 3600.0, 86_400.0
GPUS = 80_000


def found(
    series: float = GPUS, *, since: float | None = None, newest: float = 600.0, **clusters: float
) -> Found:
    """GPUs at 15 s in cluster a; `since` is for how long they have been recorded."""
    made = Found({"a": series, **clusters})
    if since is not None:
        made.clocks["a", "5m"] = Clock(NOW - since, NOW - 240)
        made.clocks["a", "1h"] = Clock(NOW - since, NOW - newest)
    return made


def seconds_of(duration: str) -> float:
    """Of a PromQL duration its seconds."""
    number, unit = duration[:-1], duration[-1]
    assert unit == "m"
    return float(number) * 60


def test_recorded_series_serve_a_window_that_they_reach_over() -> None:
    """All of a week, in hours; from the newest hour's end steps of 5 minutes are read, from the
    end of the newest of these the samples.
    """
    span = choose({"ours": found(since=8 * DAY)}, 7 * DAY, NOW)
    recorded = span.recorded["ours"]
    assert (span.window_seconds, span.notes) == (7 * DAY, ())
    assert (recorded.step, recorded.window, recorded.steps) == ("1h", "168h", 7 * 288)
    assert 600 + 300 < seconds_of(recorded.recent) < 1200
    assert 240 < recorded.tail_seconds < 600


def test_samples_are_read_from_the_newest_hour_where_steps_do_not_reach_it() -> None:
    """There are none of 5 minutes in one cluster, or they stopped, or began after that hour."""
    for clock in (None, Clock(NOW - 8 * DAY, NOW - HOUR), Clock(NOW - 300, NOW - 300)):
        lacking = found(since=8 * DAY, b=8)
        lacking.clocks |= {("b", "1h"): lacking.clocks["a", "1h"]}
        if clock:
            lacking.clocks["b", "5m"] = clock
        recorded = choose({"ours": lacking}, 7 * DAY, NOW).recorded["ours"]
        assert recorded.recent == ""
        assert 600 + 300 < recorded.tail_seconds < 1200


def test_a_day_that_is_kept_whole_is_asked_for_so() -> None:
    """Only the newest value is read then, and steps of 5 minutes from its end."""
    kept = found(since=8 * DAY)
    assert choose({"ours": kept}, DAY, NOW).recorded["ours"].whole == ""
    kept.clocks["a", "1d"] = Clock(NOW - 2 * DAY, NOW - 1200)
    recorded = choose({"ours": kept}, DAY, NOW).recorded["ours"]
    assert (recorded.step, recorded.window, recorded.whole) == ("1h", "24h", "1d")
    assert 1200 + 300 < seconds_of(recorded.recent) < 1800
    assert choose({"ours": kept}, 2 * DAY, NOW).recorded["ours"].whole == ""


def test_a_day_is_made_of_hours_where_a_cluster_keeps_none_whole() -> None:
    """Of two clusters one has older rules; or the newest day that is kept is two hours old."""
    kept = found(since=8 * DAY, b=8)
    kept.clocks |= {("b", step): kept.clocks["a", step] for step in ("5m", "1h")}
    kept.clocks["a", "1d"] = Clock(NOW - 2 * DAY, NOW - 1200)
    assert choose({"ours": kept}, DAY, NOW).recorded["ours"].whole == ""
    kept.clocks["b", "1d"] = Clock(NOW - 2 * DAY, NOW - 2 * HOUR)
    assert choose({"ours": kept}, DAY, NOW).recorded["ours"].whole == ""


def test_rules_of_yesterday_do_not_speak_for_a_week() -> None:
    """A large fleet is judged by the day that they cover, and it is said."""
    span = choose({"ours": found(since=DAY)}, 7 * DAY, NOW)
    assert span.window_seconds in (DAY, DAY + HOUR)
    (note,) = span.notes
    assert note.subject == "window"
    assert "no further back reach the recorded series" in note.reason
    assert "not 7 d" in note.reason


def test_a_large_fleet_without_rules_is_judged_by_less() -> None:
    """As many samples as one query may hold; the line says how to get the whole window."""
    span = choose({"ours": found()}, 7 * DAY, NOW)
    assert span.recorded == {}
    assert span.window_seconds == 2 * HOUR
    (note,) = span.notes
    assert "the last 2 h are judged, not 7 d" in note.reason
    assert "alerts/rules" in note.reason


def test_a_small_fleet_without_rules_is_judged_by_all() -> None:
    """Nothing changes for it."""
    span = choose({"ours": found(800)}, 7 * DAY, NOW)
    assert (span.window_seconds, span.recorded, span.notes) == (7 * DAY, {}, ())


def test_rules_that_stopped_are_not_used() -> None:
    """Their newest hour is five hours old."""
    span = choose({"ours": found(800, since=9 * DAY, newest=5 * HOUR)}, 7 * DAY, NOW)
    assert span.recorded == {}
    assert span.window_seconds == 7 * DAY


def test_a_cluster_without_rules_is_not_left_out() -> None:
    """Where one of two clusters is not recorded, the samples of both are read."""
    span = choose({"ours": found(800, since=9 * DAY, b=8)}, 7 * DAY, NOW)
    assert (span.recorded, span.window_seconds) == ({}, 7 * DAY)


def test_short_windows_are_asked_of_finer_steps_or_of_the_samples() -> None:
    """Six hours in steps of 5 minutes; ten minutes have too few of them."""
    recorded = choose({"ours": found(since=DAY)}, 6 * HOUR, NOW).recorded["ours"]
    assert (recorded.step, recorded.window, recorded.steps) == ("5m", "360m", 72)
    assert choose({"ours": found(since=DAY)}, 600.0, NOW).recorded == {}


@example(series=104_167.0, since=None, wanted=43_200.0)
@given(
    series=st.floats(1, 1e6),
    since=st.none() | st.floats(0, 60 * DAY),
    wanted=st.floats(300, 60 * DAY),
)
def test_laws_of_the_window(series: float, since: float | None, wanted: float) -> None:
    """Never longer than asked for; shorter only with a line; never past what there is to read."""
    each = found(series, since=since)
    span = choose({"ours": each}, wanted, NOW)
    assert 300 <= span.window_seconds <= wanted
    assert bool(span.notes) == (span.window_seconds < wanted)
    if "ours" in span.recorded:
        assert since is not None
        assert span.window_seconds <= since + 2 * HOUR
    else:
        affordable = SAMPLES_BUDGET / series * each.interval_seconds
        assert span.window_seconds <= max(300.0, affordable + HOUR)
