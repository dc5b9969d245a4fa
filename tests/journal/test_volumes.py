"""What a volume on the network does: locks that are refused, handles that are stale, errors that come late."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from batchpol import files, journal
from batchpol.journal import Journal
from batchpol.model.errors import JournalError, JournalUnwritable
from tests.journal.books import intent, planned, record, run, write


def failing(number: int) -> object:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_locks_that_the_volume_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "j", [run(), record(0), planned(1, 1)])
    monkeypatch.setattr(files.fcntl, "flock", failing(errno.ENOLCK))
    with pytest.raises(JournalError, match="cannot be locked: No locks available"):
        Journal.resume(path)
    with pytest.raises(JournalError, match="cannot be locked"):
        Journal.create(tmp_path / "new")
    assert sum(1 for _ in journal.read(path)) == 3


@pytest.mark.parametrize("call", ["write", "fdatasync", "fstat"])
@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EDQUOT])
def test_a_volume_that_fails_in_the_middle_poisons_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    with Journal.create(tmp_path / "j") as book:
        book.append(run(), record(0), planned(1, 1))
        book.sync()
        with monkeypatch.context() as volume:
            book.append(intent(0))
            volume.setattr(os, call, failing(number))
            with pytest.raises(JournalUnwritable, match=os.strerror(number)):
                book.sync()
        with pytest.raises(JournalUnwritable):
            book.append(intent(0, attempt=2))
    with Journal.resume(tmp_path / "j") as book:
        assert book.history.planned == planned(1, 1)


def test_an_error_that_comes_only_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Journal.create(tmp_path / "j")
    book.append(run(), record(0), planned(1, 1))
    with monkeypatch.context() as volume:
        volume.setattr(os, "close", failing(errno.EIO))
        with pytest.raises(JournalUnwritable, match="Input/output error"):
            book.close()
    book.close()
    assert sum(1 for _ in journal.read(tmp_path / "j")) == 3


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
def test_a_journal_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    path = write(tmp_path / "j", [run(), record(0), planned(1, 1)])
    with monkeypatch.context() as volume:
        volume.setattr(os, "pread", failing(number))
        with pytest.raises(JournalError, match=f"cannot be read: {os.strerror(number)}"):
            journal.scan(path)
        with pytest.raises(JournalError, match="cannot be read"):
            Journal.resume(path)
    Journal.resume(path).close()
