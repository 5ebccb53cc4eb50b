"""The journal's file: whatever is wrong with it, one line says so and nothing is lost."""

from __future__ import annotations

import multiprocessing
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentaflow_advisor.decide.errors import (
    JournalCorrupt,
    JournalError,
    JournalLocked,
    JournalTooNew,
    JournalUnwritable,
)
from agentaflow_advisor.decide.journal import Journal
from tests.support.decisions import NOW, decision
from tests.support.fleet import gated_pod
from tests.support.permissions import without_write_permission


def filled(path: Path, count: int = 50) -> Path:
    """A sound journal with some decisions in it."""
    with Journal(path) as journal:
        for number in range(count):
            journal.add(decision(gated_pod(f"pod-{number}"), now=NOW + number))
    return path


def text(path: Path) -> None:
    path.write_text("{not a database}\n" * 1000)


def another_program(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()


def newer(path: Path) -> None:
    connection = sqlite3.connect(filled(path))
    connection.execute("PRAGMA user_version = 2")
    connection.close()


def broken_page(path: Path) -> None:
    content = bytearray(filled(path).read_bytes())
    content[2 * 4096 : 2 * 4096 + 2000] = b"\xff" * 2000
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    content = filled(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (text, JournalCorrupt, "damaged or no journal"),
        (another_program, JournalCorrupt, "another program"),
        (newer, JournalTooNew, "schema 2, this version knows 1"),
        (broken_page, JournalCorrupt, "damaged or no journal"),
        (cut_off, JournalCorrupt, "damaged or no journal"),
        (folder, JournalUnwritable, "is a directory"),
    ],
)
def test_what_is_no_sound_journal_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], None], error: type[JournalError], says: str
) -> None:
    """The message names the file, what is wrong and what to do; the file is left as it is."""
    path = tmp_path / "journal.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(error, match=says) as caught:
        Journal(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert before is None or path.read_bytes() == before


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    """What `touch` or a mounted volume leaves is as good as nothing."""
    path = tmp_path / "journal.db"
    path.touch()
    assert filled(path, 1).stat().st_size > 0


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    """A parent folder that cannot be made is told."""
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnwritable, match="its folder cannot be made"):
        Journal(tmp_path / "file" / "journal.db")


def test_a_folder_without_write_permission_is_refused() -> None:
    """No right to write is told as such."""
    with (
        without_write_permission() as folder,
        pytest.raises(JournalUnwritable, match="permission"),
    ):
        Journal(folder / "journal.db")


def test_a_held_journal_is_locked_and_then_whole_again(tmp_path: Path) -> None:
    """While another writer holds it, a write fails by name; afterwards it goes through."""
    path = filled(tmp_path / "journal.db", 1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with Journal(path, busy_seconds=0.05) as journal:
        with pytest.raises(JournalLocked, match="another process holds it"):
            journal.add(decision(gated_pod("late")))
        holder.execute("ROLLBACK")
        holder.close()
        journal.add(decision(gated_pod("late")))
        assert journal.verify() == ()


def test_one_process_at_a_time_carries_decisions_out(tmp_path: Path) -> None:
    """A second applier on the same journal is refused until the first has ended."""
    path = tmp_path / "journal.db"
    with Journal(path) as one, Journal(path) as two:
        with (
            one.acting(),
            pytest.raises(JournalLocked, match="carrying decisions out"),
            two.acting(),
        ):
            pass
        with two.acting():
            pass


def add_many(path: Path, name: str, count: int) -> None:
    with Journal(path, busy_seconds=30) as journal:
        for number in range(count):
            journal.add(decision(gated_pod(f"{name}-{number}"), now=NOW + number))


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    """Nothing is lost and the chain stays whole, from the creation of the file on."""
    path = tmp_path / "journal.db"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=add_many, args=(path, f"w{n}", 25)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with Journal(path) as journal:
        assert len(journal.list()) == 75
        assert journal.verify() == ()


WRITE_UNTIL_FULL = """
import resource, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from agentaflow_advisor.decide.errors import JournalUnwritable
from agentaflow_advisor.decide.journal import Journal
from tests.support.decisions import NOW, decision
from tests.support.fleet import gated_pod

with Journal(Path(sys.argv[1])) as journal:
    for number in range(10_000):
        made = decision(gated_pod(f"pod-{number}"), now=NOW + number)
        try:
            journal.add(made)
        except JournalUnwritable as error:
            print("refused", error)
            break
        print("kept", made.id)
"""


def test_a_full_disk_refuses_the_write_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """Every commit that was acknowledged is there afterwards; the one that failed is not."""
    path = tmp_path / "journal.db"
    limit = 300_000
    ended = subprocess.run(
        [sys.executable, "-c", WRITE_UNTIL_FULL, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    lines = ended.stdout.splitlines()
    assert lines[-1].startswith("refused journal"), ended.stderr
    with Journal(path) as journal:
        assert [made.id for made in journal.list()] == [line.split()[1] for line in lines[:-1]]
        assert journal.verify() == ()


COMMIT_FOR_EVER = """
import itertools, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from agentaflow_advisor.decide.journal import Journal
from tests.support.decisions import NOW, decision
from tests.support.fleet import gated_pod

with Journal(Path(sys.argv[1])) as journal:
    for number in itertools.count(len(journal.list())):
        print(journal.add(decision(gated_pod(f"pod-{number}"), now=NOW + number)).id, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """SIGKILL in the middle of committing, again and again: every acknowledged id is there."""
    path = tmp_path / "journal.db"
    acknowledged: list[str] = []
    for round_number in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", COMMIT_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().strip() for _ in range(20 + round_number)]
            writer.kill()
            acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    with Journal(path) as journal:
        assert set(acknowledged) <= {made.id for made in journal.list()}
        assert journal.verify() == ()
