"""The journal as a run writes it: alone, durable, private, poisoned by the first failed write."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchpol import files, journal
from batchpol.journal import Journal, is_held
from batchpol.model import Finding, Severity, Status
from batchpol.model.errors import JournalAltered, JournalError, JournalLocked, JournalUnwritable
from tests.journal.books import intent, outcome, planned, record, run, sample, write

ROOT = Path(__file__).parents[2]

FILE_SIZE_LIMITED = """
import resource, sys
from pathlib import Path
from batchpol.model.errors import JournalUnwritable
from batchpol.journal import Journal
from tests.journal.books import intent, record, run
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
journal = Journal.create(sys.argv[1])
journal.append(run(), *(record(n) for n in range(100)) if len(sys.argv) > 2 else (record(0),))
for number in range(1000):
    try:
        journal.append(intent(0, attempt=number + 1))
        journal.sync()
    except JournalUnwritable as error:
        print(number, error)
        break
for action in (lambda: journal.append(intent(0)), journal.sync):
    try:
        action()
    except JournalUnwritable as error:
        print("again", error)
journal.close()
"""

HOLDS_UNTIL_KILLED = """
import os, sys
from batchpol.journal import Journal
from tests.journal.books import intent, outcome, planned, record, run
journal = Journal.create(sys.argv[1])
journal.append(run(pid=os.getpid(), host="anthill"), record(0), record(1), planned(2, 2), intent(0))
journal.sync()
journal.append(outcome(0))
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def process_holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has begun a run on this journal and waits; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_UNTIL_KILLED, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_run_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with process_holding(path) as holder:
        for refused in (Journal.resume, journal.set_aside):
            with pytest.raises(JournalLocked) as caught:
                refused(path)
            assert str(holder.pid) in str(caught.value)
            assert "anthill" in str(caught.value)
            assert "2026-03-01T08:00:00Z" in str(caught.value)
        assert path.exists()
        section = journal.scan(path)  # A report may be read all the same.
        assert section is not None
        assert len(section) == 2


def test_what_was_synced_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with process_holding(path) as process:
        process.send_signal(signal.SIGKILL)
    with Journal.resume(path) as book:
        assert book.history.planned == planned(2, 2)
        (sent, never) = book.outcomes()
    assert (sent.status, never.status) == (Status.UNKNOWN, Status.NOT_ATTEMPTED)


def test_the_lock_ends_with_the_journal(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [run()])
    with Journal.resume(path), pytest.raises(JournalLocked):
        Journal.resume(path)
    Journal.resume(path).close()


def test_whether_a_run_has_the_journal_is_seen_without_taking_it(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [run()])
    assert not is_held(path)
    with Journal.resume(path):
        assert is_held(path)
        assert is_held(path)
    assert not is_held(path)


def test_whoever_looks_whether_it_is_held_refuses_no_run(tmp_path: Path) -> None:
    """``status`` has a lock for a moment, of the kind that can be shared."""
    path = write(tmp_path / "j", [run()])
    looker = os.open(path, os.O_RDONLY)
    assert not files.is_held(looker)
    threading.Timer(0.05, os.close, [looker]).start()
    Journal.resume(path).close()


def test_a_copy_goes_on_where_the_journal_ends_and_leaves_it_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [run(), record(0), planned(1, 1), intent(0), outcome(0)])
    path.write_bytes(path.read_bytes() + b'{"t":"inte')
    before = path.read_bytes()
    with Journal.resume(write(tmp_path / "held", [run()])), Journal.copied(path) as copy:
        assert len(copy.notes) == 1
        copy.append(run("again"), record(0), planned(1, 0))
        section = copy.section()
        assert section is not None
        assert (section.run.run_id, len(copy.history)) == ("again", 1)
    assert path.read_bytes() == before


def test_a_holder_that_wrote_nothing_yet_is_no_riddle(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j"), pytest.raises(JournalLocked, match="only just begun"):
        Journal.resume(tmp_path / "j")


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write(tmp_path / "j", [run()])
        aside = journal.set_aside(tmp_path / "j")
    finally:
        os.umask(before)
    assert aside.stat().st_mode & 0o777 == 0o600


def test_links_and_other_things_in_its_place_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [run()])
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "dangling", "folder", "pipe"):
        with pytest.raises(JournalError):
            Journal.create(tmp_path / name)
        with pytest.raises(JournalError):
            Journal.resume(tmp_path / name)
        with pytest.raises(JournalError):
            journal.set_aside(tmp_path / name)
    for name in ("link", "dangling"):
        for refused in (Journal.resume, journal.set_aside):
            with pytest.raises(JournalError, match="symbolic link"):
                refused(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()
    assert [entry for _, entry in journal.read(path)] == [run()]
    for name in ("folder", "pipe", "absent"):
        with pytest.raises(JournalError):
            journal.scan(tmp_path / name)


def test_create_never_touches_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [run()])
    content = path.read_bytes()
    with pytest.raises(JournalError, match="is there already"):
        Journal.create(path)
    assert path.read_bytes() == content
    with pytest.raises(JournalUnwritable):
        Journal.create(tmp_path / "no" / "such" / "folder")


def test_set_aside_never_overwrites(tmp_path: Path) -> None:
    names = set()
    for number in range(3):
        path = write(tmp_path / "j", [run(str(number))])
        os.utime(path, (0, 1_770_000_000))
        names.add(journal.set_aside(path).name)
        assert not path.exists()
    assert names == {"j.20260202T024000Z", "j.20260202T024000Z-2", "j.20260202T024000Z-3"}
    kept = [entry for name in sorted(names) for _, entry in journal.read(tmp_path / name)]
    assert kept == [run("0"), run("1"), run("2")]


@pytest.mark.parametrize("first_pass", [(), ("long",)])
def test_a_full_disk_poisons_the_journal(tmp_path: Path, first_pass: tuple[str, ...]) -> None:
    path = tmp_path / "j"
    done = subprocess.run(
        [sys.executable, "-B", "-c", FILE_SIZE_LIMITED, path, *first_pass],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    first, *again = done.stdout.splitlines()
    written = int(first.split()[0])
    assert "cannot be written: File too large" in first
    assert [line.split()[0] for line in again] == ["again", "again"]
    assert path.stat().st_size == 20_000
    with Journal.resume(path) as book:
        # Every intent that was reported durable is there; the one that failed may not be.
        intents = [entry.attempt for _, entry in journal.read(path) if isinstance(entry, journal.Intent)]
        assert intents[:written] == list(range(1, written + 1))
        assert len(intents) <= written + 1
        book.append(run("after"))
        book.sync()


def test_a_failed_sync_poisons_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with Journal.create(tmp_path / "j") as book:
        book.append(run())
        book.sync()
        with monkeypatch.context() as disk:
            disk.setattr(os, "fdatasync", broken)
            with pytest.raises(JournalUnwritable, match="Input/output error"):
                book.sync()
        for refused in (book.sync, lambda: book.append(intent(0))):
            with pytest.raises(JournalUnwritable):
                refused()
        assert list(book.outcomes()) == []  # What is written can still be reported.


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    book = Journal.create(tmp_path / "j")
    book.close()
    book.close()
    for refused in (lambda: book.append(run()), book.sync, book.section, book.outcomes):
        with pytest.raises(JournalError, match="closed"):
            refused()


def test_a_record_can_be_read_back_at_once() -> None:
    chance = random.Random(5)
    with Journal.temporary() as book:
        book.append(run())
        places: list[int] = []
        for n in range(400):
            size = chance.choice([10, 500, 4_000, 90_000 if n % 50 == 0 else 40])
            places.append(book.append(record(n, document=f"{n}:" + "é" * size)))
            back = chance.randrange(len(places))
            entry = book.read_record(places[back])
            assert entry.n == back
            assert entry.policy.startswith(f"{back}:é")
        with pytest.raises(JournalError):
            book.read_record(0)
        with pytest.raises(JournalError):
            book.read_outcome(places[0])


def test_several_entries_give_the_place_of_the_first() -> None:
    with Journal.temporary() as book:
        book.append(run())
        assert book.read_record(book.append(record(0), record(1))) == record(0)
        place = book.append(outcome(0, request_id="r"))
        assert book.read_outcome(place) == outcome(0, request_id="r")


def test_a_temporary_journal_is_a_journal(tmp_path: Path) -> None:
    with Journal.temporary() as unnamed:
        unnamed.append(*sample())
        unnamed.sync()
        rows = list(unnamed.outcomes())
        assert unnamed.path is None
    assert rows == list(journal.outcomes(write(tmp_path / "j", sample())))


@pytest.mark.parametrize("known", [True, False], ids=["files in memory", "none here"])
def test_a_temporary_journal_goes_to_a_disk_when_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not known:
        monkeypatch.delattr("os.memfd_create", raising=False)
    with Journal.temporary() as book:
        book.append(run(), *(record(n, document="x" * 9000) for n in range(9)))
        book.tail.flush()
        rows = list(book.outcomes())
        assert (os.fstat(book.tail.fd).st_dev == tmp_path.stat().st_dev) is not (known and hasattr(os, "memfd_create"))
        book.append(*(record(n, document="x" * 9000) for n in range(9, 300)), planned(300, 300))
        grown = book.outcomes()
        assert os.fstat(book.tail.fd).st_dev == tmp_path.stat().st_dev
        assert os.fstat(book.tail.fd).st_size == book.tail.written > files.IN_MEMORY
        assert not os.get_inheritable(book.tail.fd)
        assert [row.number for row in grown] == list(range(300))
        assert list(grown)[:9] == rows
        assert book.read_record(book.append(record(300))) == record(300)


def test_a_temporary_journal_that_no_disk_has_room_for_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with Journal.temporary() as book, pytest.raises(JournalUnwritable, match="No such file"):
        book.append(run(), *(record(n, document="x" * 9000) for n in range(300)))


def test_text_without_utf_8_is_written_down_all_the_same(tmp_path: Path) -> None:
    odd = record(0, identity="a\ud800b", extra={"\udcff": "x\udfff"}, verdict="rejected")
    finding = Finding(Severity.ERROR, "text", "identity", "it holds \ud800")
    path = write(tmp_path / "j", [run(), odd, outcome(0, Status.REJECTED, findings=(finding,))])
    (row,) = journal.outcomes(path)
    assert row.identity == "a\ufffdb"
    assert row.extra == {"\ufffd": "x\ufffd"}
    assert row.findings[0].message == "it holds \ufffd"


def test_a_line_too_long_to_be_read_again_is_not_written() -> None:
    with Journal.temporary() as book:
        book.append(run())
        with pytest.raises(JournalError, match="too long"):
            book.append(record(0, document="x" * (65 << 20)))
        book.append(record(0))
        assert len(list(book.outcomes())) == 1


def test_appending_syncing_and_reading_at_once(tmp_path: Path) -> None:
    """Lanes append on the loop while a thread syncs, and somebody reads the report of the run under way."""
    path = tmp_path / "j"
    lines = 3_000
    stop = threading.Event()
    with Journal.create(path) as book:
        book.append(run(), record(0))
        book.sync()

        def keep_syncing() -> None:
            while not stop.is_set():
                book.sync()

        thread = threading.Thread(target=keep_syncing)
        thread.start()
        seen = [0]
        try:
            for number in range(lines):
                book.append(intent(0, attempt=number + 1))
                if number % 150 == 0:
                    attempts = [entry.attempt for _, entry in journal.read(path) if isinstance(entry, journal.Intent)]
                    assert attempts == list(range(1, len(attempts) + 1))
                    seen.append(len(attempts))
        finally:
            stop.set()
            thread.join()
    assert seen == sorted(seen)
    assert sum(1 for _ in journal.read(path)) == 2 + lines


texts = st.text(max_size=30)
findings = st.builds(Finding, st.sampled_from(Severity), texts, texts, texts, texts)
counts = st.integers(0, 2**40)
entries = st.one_of(
    st.builds(
        journal.RecordEntry,
        n=counts,
        line=counts,
        identity=texts,
        policy_name=texts,
        policy=texts,
        extra=st.dictionaries(texts, texts, max_size=3),
        findings=st.lists(findings, max_size=2).map(tuple),
    ),
    st.builds(journal.Planned, records=counts, targets=st.just((journal.TargetCount("1", "r", 2),))),
    st.builds(journal.Intent, n=counts, attempt=counts, at=texts),
    st.builds(journal.Before, n=counts, policy=st.none() | texts),
    st.builds(
        journal.OutcomeEntry,
        n=counts,
        status=st.sampled_from(Status),
        message=texts,
        duration_ms=st.none() | st.floats(0, 1e9),
        retryable=st.booleans(),
        findings=st.lists(findings, max_size=2).map(tuple),
    ),
    st.builds(journal.Note, at=texts, text=texts, kind=texts, data=st.dictionaries(texts, counts, max_size=2)),
    st.builds(journal.End, at=texts, reason=texts, exit_code=counts),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(entries, max_size=12))
def test_every_entry_comes_back_as_it_was(tmp_path: Path, given_entries: list[journal.Entry]) -> None:
    path = tmp_path / "j"
    path.unlink(missing_ok=True)
    write(path, [run(), *given_entries])
    assert [entry for _, entry in journal.read(path)] == [run(), *given_entries]


def test_the_checksum_is_that_of_all_bytes_before_it(tmp_path: Path) -> None:
    """The format's promise to other tools, worked out from the file alone."""
    from zlib import crc32

    content = write(tmp_path / "j", sample()).read_bytes()
    at = -1
    for _ in sample():
        at = content.index(b',"crc":"', at + 1)
        assert content[at + 8 : at + 19] == b'%08x"}\n' % crc32(content[:at])


def test_what_somebody_else_alters_under_a_run_is_found_and_nothing_is_called_unsent(tmp_path: Path) -> None:
    """Altered in place, so that neither name nor size show it: the rows end where the good lines do."""
    path = tmp_path / "j"
    with Journal.create(path) as book:
        book.append(run(), *(record(number) for number in range(3)), planned(3, 3))
        book.append(intent(0), outcome(0), intent(1), outcome(1))
        book.sync()
        content = bytearray(path.read_bytes())
        content[content.rindex(b'"t":"intent"') + 2] ^= 1
        path.write_bytes(content)
        book.check()
        rows = list(book.outcomes())
        assert [row.status for row in rows] == [Status.APPLIED, Status.UNKNOWN, Status.UNKNOWN]
        assert all("may have been sent" in row.message and row.retryable for row in rows[1:])
        os.truncate(path, path.stat().st_size - 1)
        for refused in (book.check, book.sync, lambda: book.append(intent(2))):
            with pytest.raises(JournalAltered):
                refused()
    assert path.stat().st_size == len(content) - 1, "nothing was written behind it"
