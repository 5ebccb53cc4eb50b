"""The history: a recommendation meets its earlier self, ages, hides, returns, and ends."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.decide.errors import (
    AmbiguousId,
    JournalCorrupt,
    JournalTooNew,
    JournalUnwritable,
    WrongState,
)
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.history import History, Standing, Step
from agentaflow_advisor.history.store import UnknownRecommendation
from agentaflow_advisor.model import Money
from tests.support.advice import NOW, look, recommendation
from tests.support.permissions import without_write_permission

DAY = 86_400.0


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "recommendations.db") as made:
        yield made


def steps(history: History, id_: str = "idle-gpu-one") -> list[Step]:
    return [event.step for event in history.events(id_)]


def test_the_same_finding_is_one_life_that_ages(history: History) -> None:
    """First seen, last seen and times seen come from the looks; figures may change meanwhile."""
    for day, amount in enumerate(("10", "11", "12")):
        found = recommendation(amount=amount, what=f"{day} days")
        lives = history.record(look(found, at=NOW + day * DAY), actor="serve")
    life = lives["idle-gpu-one"]
    assert (life.first_seen_at, life.last_seen_at, life.times_seen) == (NOW, NOW + 2 * DAY, 3)
    assert life.saves == Money(Decimal(12))
    assert life.what == "2 days"
    assert steps(history) == [Step.OPENED]


def test_a_look_counts_once(history: History) -> None:
    """Two processes with one evaluation are one look, and an older look changes nothing."""
    history.record(look(recommendation()), actor="a")
    history.record(look(recommendation()), actor="b")
    lives = history.record(look(recommendation(amount="99"), at=NOW - DAY), actor="c")
    assert lives["idle-gpu-one"].times_seen == 1
    assert lives["idle-gpu-one"].first_seen_at == NOW
    assert lives["idle-gpu-one"].saves == Money(Decimal(10))


def test_what_was_judged_and_is_found_no_more_is_closed_with_its_time(history: History) -> None:
    """And it opens again as the same life when it is found again."""
    history.record(look(recommendation()), actor="serve")
    history.record(look(at=NOW + 60), actor="serve")
    closed = history.get("idle-gpu-one")
    assert closed.closed_at == NOW + 60
    assert closed.standing(NOW + 60) is Standing.CLOSED
    again = history.record(look(recommendation(), at=NOW + DAY), actor="serve")["idle-gpu-one"]
    assert (again.first_seen_at, again.closed_at, again.times_seen) == (NOW, None, 2)
    assert steps(history) == [Step.OPENED, Step.CLOSED, Step.REOPENED]


def test_what_could_not_be_judged_stays_open_until_it_was_not_seen_for_long(
    history: History,
) -> None:
    """Silence about a GPU that nobody measured is no good news."""
    history.record(look(recommendation()), actor="serve")
    for hours in (1, 24):
        history.record(look(at=NOW + hours * 3600, judged=lambda _: False), actor="serve")
        assert history.get("idle-gpu-one").closed_at is None
    history.record(look(at=NOW + 25 * 3600, judged=lambda _: False), actor="serve")
    assert history.get("idle-gpu-one").closed_at == NOW + 25 * 3600


def test_a_snooze_ends_by_itself(history: History) -> None:
    """Until its time it is snoozed, from then on active."""
    history.record(look(recommendation()), actor="serve")
    history.snooze("idle-gpu-one", NOW + DAY, actor="alice", at=NOW, reason="next sprint")
    life = history.get("idle-gpu-one")
    assert life.standing(NOW + DAY - 1) is Standing.SNOOZED
    assert life.standing(NOW + DAY) is Standing.ACTIVE
    (_, event) = history.events("idle-gpu-one")
    assert (event.step, event.actor, event.reason) == (Step.SNOOZED, "alice", "next sprint")
    assert event.until_at == NOW + DAY


@pytest.mark.parametrize(
    ("amount", "currency", "returns"),
    [("20", "USD", False), ("20.01", "USD", True), ("50", "EUR", False), (None, "", False)],
)
def test_a_dismissed_one_returns_when_it_would_save_more_than_twice_as_much(
    history: History, amount: str | None, currency: str, returns: bool
) -> None:
    """Not at exactly twice, and not where the amounts do not compare."""
    history.record(look(recommendation(amount="10")), actor="serve")
    history.dismiss("idle-gpu-one", actor="alice", at=NOW, reason="meant so")
    later = look(recommendation(amount=amount, currency=currency), at=NOW + 60)
    life = history.record(later, actor="serve")["idle-gpu-one"]
    assert life.standing(NOW + 60) is (Standing.ACTIVE if returns else Standing.DISMISSED)
    assert (steps(history)[-1] is Step.RETURNED) == returns


def test_a_dismissal_outlives_a_closing(history: History) -> None:
    """Who said no is not asked again because the finding was away for a day."""
    history.record(look(recommendation()), actor="serve")
    history.dismiss("idle-gpu-one", actor="alice", at=NOW, reason="meant so")
    history.record(look(at=NOW + 60), actor="serve")
    life = history.record(look(recommendation(), at=NOW + 120), actor="serve")["idle-gpu-one"]
    assert life.standing(NOW + 120) is Standing.DISMISSED


def test_what_is_restored_is_active_and_what_is_active_cannot_be_restored(history: History) -> None:
    """The second time there is nothing to take back."""
    history.record(look(recommendation()), actor="serve")
    history.dismiss("idle-gpu-one", actor="alice", at=NOW, reason="meant so")
    assert history.restore("idle-gpu-one", actor="bob", at=NOW).standing(NOW) is Standing.ACTIVE
    with pytest.raises(WrongState, match="neither snoozed nor dismissed"):
        history.restore("idle-gpu-one", actor="bob", at=NOW)
    assert steps(history) == [Step.OPENED, Step.DISMISSED, Step.RESTORED]


def test_an_id_may_be_shortened_while_it_is_clear(history: History) -> None:
    """Its beginning or its end, of at least four characters."""
    history.record(look(recommendation("3f2a1b"), recommendation("3f2a1c")), actor="serve")
    assert history.get("2a1c").id == "idle-gpu-3f2a1c"
    assert history.get("idle-gpu-3f2a1b").id == "idle-gpu-3f2a1b"
    with pytest.raises(AmbiguousId, match="give more of the id"):
        history.get("idle-gpu-3f")
    for unknown in ("a1c", "nothing", ""):
        with pytest.raises(UnknownRecommendation, match="no recommendation"):
            history.get(unknown)


def test_sums_are_kept_by_the_hour_and_by_what_was_looked_at(history: History) -> None:
    """One sum an hour, of one Prometheus over one window; what is not saved any more is zero."""
    ten = (Money(Decimal(10)),)
    hour = NOW // 3600 * 3600
    for at, together, scope in [
        (hour, (), "a"), (hour + 60, ten, "a"), (hour + 3600, (), "a"), (hour, ten, "b"),
    ]:  # fmt: skip
        history.remember(look(at=at, together=together, scope=scope))
    assert history.trend("a") == ((hour, Money(Decimal(10))), (hour + 3600, Money(Decimal(0))))
    assert history.trend("a", since=hour + 1) == ((hour + 3600, Money(Decimal(0))),)


def test_events_cannot_be_changed_or_removed(history: History) -> None:
    """Nor can a life: the file itself refuses."""
    history.record(look(recommendation()), actor="serve")
    with closing(sqlite3.connect(history.path)) as stranger:
        for statement in (
            "UPDATE events SET actor = 'mallory'",
            "DELETE FROM events",
            "DELETE FROM lives",
            "UPDATE lives SET first_seen_at = 0",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                stranger.execute(statement)


names = st.lists(st.sampled_from("abcdef"), unique=True)


@given(st.lists(names, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_findings_and_a_restart_between_looks_change_nothing(
    looks: list[list[str]], rng: random.Random
) -> None:
    """Shuffled, and read from the file anew each time, the same lives are written."""
    with TemporaryDirectory() as folder:
        one, two = Path(folder, "one.db"), Path(folder, "two.db")
        with History(one) as steady:
            for number, found in enumerate(looks):
                made = [recommendation(name) for name in found]
                steady.record(look(*made, at=NOW + number), actor="serve")
                rng.shuffle(made)
                with History(two) as restarted:
                    restarted.record(look(*made, at=NOW + number), actor="serve")
            with History(two) as other:
                assert steady.lives() == other.lives()


# -- the file ---------------------------------------------------------------------------------


def write_many(path: Path, name: str, count: int) -> None:
    with History(path, busy_seconds=30) as history:
        for number in range(count):
            found = recommendation(f"{name}-{number}")
            history.record(look(found, judged=lambda _: False), actor=name)


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    """From the making of the file on, nothing is lost and no look undoes another."""
    path = tmp_path / "recommendations.db"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_many, args=(path, f"w{n}", 20)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with History(path) as history:
        assert len(history.lives()) == 60
        assert all(steps(history, life.id) == [Step.OPENED] for life in history.lives())


WRITE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from agentaflow_advisor.history import History
from tests.support.advice import NOW, look, recommendation

with History(Path(sys.argv[1])) as history:
    for number in itertools.count(len(history.lives())):
        made = recommendation(str(number))
        history.record(look(made, at=NOW + number, judged=lambda _: False), actor="serve")
        history.dismiss(made.id, actor="alice", at=NOW, reason="meant so")
        print(made.id, flush=True)
"""


def test_a_killed_writer_loses_no_event_that_it_acknowledged(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing, again and again: each life and event is there."""
    path = tmp_path / "recommendations.db"
    acknowledged: list[str] = []
    for round_number in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().strip() for _ in range(15 + round_number)]
            writer.kill()
            acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    assert len(acknowledged) >= 45
    with History(path) as history:
        for id_ in acknowledged:
            assert steps(history, id_)[:2] == [Step.OPENED, Step.DISMISSED]


def test_a_journal_is_no_history_and_stays_as_it_is(tmp_path: Path) -> None:
    """The decisions' hash chain is not touched by anything here."""
    path = tmp_path / "journal.db"
    with Journal(path):
        pass
    before = path.read_bytes()
    with pytest.raises(JournalCorrupt, match=r"history .* another program"):
        History(path)
    assert path.read_bytes() == before


def test_a_file_that_is_none_or_newer_is_refused_in_one_line(tmp_path: Path) -> None:
    """What, where, what to do."""
    text = tmp_path / "text.db"
    text.write_text("{not a database}\n" * 1000)
    with pytest.raises(JournalCorrupt, match=r"damaged or no history .*--history FILE"):
        History(text)
    newer = tmp_path / "newer.db"
    with History(newer):
        pass
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(JournalTooNew, match="schema 9"):
        History(newer)


def test_an_unreadable_row_is_named(history: History) -> None:
    """Somebody edited the file: the line says which row."""
    history.record(look(recommendation()), actor="serve")
    with closing(sqlite3.connect(history.path)) as stranger:
        stranger.execute("UPDATE lives SET place = 'nowhere'")
        stranger.commit()
    with pytest.raises(JournalCorrupt, match="idle-gpu-one is not readable"):
        history.lives()


def test_a_folder_without_write_permission_is_refused() -> None:
    """No right to write is told as such."""
    with (
        without_write_permission() as folder,
        pytest.raises(JournalUnwritable, match="permission"),
    ):
        History(folder / "recommendations.db")
