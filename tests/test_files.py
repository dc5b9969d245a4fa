"""Files of ours: whole or not there, held by one, private, and never reached through a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from batchpol import files
from batchpol.model.errors import BatchpolError, UsageError


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def create(path: Path, stack: ExitStack) -> int:
    fd = files.create(path)
    stack.callback(os.close, fd)
    return fd


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text("old")
    with files.Replacement(path) as made:
        made.file.write(b"new")
        made.file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stays_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.Replacement(path) as made:
        made.file.write(b"new")
        raise ZeroDivisionError
    with pytest.raises(BatchpolError, match="No space left"), files.Replacement(path) as made:
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_killed_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    path, left = tmp_path / "report.csv", tmp_path / f".report.csv.left{files.PART}"
    left.write_text("half")
    with files.Replacement(path) as one:
        one.file.write(b"one")
        with files.Replacement(path) as two:
            two.file.write(b"two")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "nowhere"])
def test_what_is_no_place_for_a_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    makers = {"link": lambda: path.symlink_to("other"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}
    makers.get(kind, lambda: None)()
    path = path if kind in makers else tmp_path / "none" / "report.csv"
    with pytest.raises(UsageError):
        files.Replacement(path)
    with pytest.raises(UsageError):
        files.check_place(path)
    if kind in ("link", "pipe"):
        with pytest.raises(files.NotPlain):
            files.open_plain(path)
        with pytest.raises(FileExistsError):
            files.create(path)


def test_one_holds_a_file_until_it_is_closed(tmp_path: Path, opened: ExitStack) -> None:
    path = tmp_path / "journal"
    files.hold(create(path, opened), path)
    second = files.open_plain(path)
    opened.callback(os.close, second)
    assert files.is_held(second)
    with pytest.raises(BlockingIOError):
        files.hold(second, path)


def test_a_file_that_was_moved_away_cannot_be_held(tmp_path: Path, opened: ExitStack) -> None:
    path = tmp_path / "journal"
    fd = create(path, opened)
    files.set_aside(fd, path)
    path.touch()
    with pytest.raises(FileNotFoundError):
        files.hold(fd, path)


def test_nothing_is_set_aside_over_another_file(tmp_path: Path, opened: ExitStack) -> None:
    path = tmp_path / "journal"
    for text in (b"one", b"two"):
        fd = create(path, opened)
        files.write_all(fd, text)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        files.set_aside(fd, path)
    assert {it.name: it.read_text() for it in tmp_path.iterdir()} == {
        "journal.20231114T221320Z": "one",
        "journal.20231114T221320Z-2": "two",
    }


def test_what_is_written_once_stays(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    files.write_once(path, b"first")
    files.write_once(path, b"second")
    assert path.read_text() == "first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_few_bytes_are_exchanged_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "pace"

    def longer(before: bytes) -> bytes:
        with pytest.raises(BlockingIOError):
            files.exchange(path, bytes.upper)
        assert not files.exchange(path, bytes, alone=False)
        return before + b"more"

    assert files.exchange(path, longer)
    assert files.exchange(path, lambda before: before[:2])
    assert path.read_bytes() == b"mo"


def test_what_others_can_open_is_not_shared(tmp_path: Path) -> None:
    path, folder = tmp_path / "pace", tmp_path / "run"
    path.touch(0o640)
    path.chmod(0o640)
    with pytest.raises(files.NotPlain, match="can be opened by others"):
        files.exchange(path, bytes)
    files.private_folder(folder)
    files.private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o750)
    with pytest.raises(files.NotPlain, match="can be opened by others"):
        files.private_folder(folder)
    with pytest.raises(files.NotPlain, match="is no folder"):
        files.private_folder(path)
