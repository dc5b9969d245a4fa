"""What is written aside: in order, bounded, whole lines or none, and the loop's own thread never waits."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator

import pytest

from batchpol.cli.screen import streams
from batchpol.cli.screen.streams import Aside

HOLDS = 4096
LINE = b"%05d " + b"x" * 93 + b"\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, HOLDS)
    yield reading, writing
    os.close(reading)
    time.sleep(0.05)  # whoever still writes there sees it, before another file has its number
    os.close(writing)


def read(fd: int, size: int) -> bytes:
    found = b""
    while len(found) < size and (more := os.read(fd, 1 << 16)):
        found += more
    return found


def test_what_there_is_no_room_for_is_left_out_as_whole_lines_and_counted(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST", 50_000)
    aside = Aside(pipe[1], lambda count: f"{count} left out\n")
    for number in range(3000):
        aside.write(LINE % number)
    assert not aside.drain(0.05), "nobody reads"
    assert not aside.drain(60), "and that is known now"
    threading.Thread(target=lambda: time.sleep(0.05) or aside.write(b"last\n")).start()
    found = b""
    while not found.endswith(b"last\n"):
        found += os.read(pipe[0], 1 << 16)
    lines = [line for line in found.splitlines(keepends=True) if line.endswith(b"x\n")]
    notes = [int(line.split()[0]) for line in found.splitlines() if line.endswith(b"left out")]
    numbers = [int(line[:5]) for line in lines]
    assert (numbers, lines) == (sorted(set(numbers)), [LINE % number for number in numbers])
    assert 50_000 // 100 <= len(lines) < 2000
    assert len(lines) + sum(notes) == 3000


def test_rows_are_never_left_out_and_only_a_worker_thread_waits(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST", 50_000)
    aside = Aside(pipe[1])
    for number in range(2000):
        aside.write(LINE % number)
    assert aside.behind > 100_000, "this thread went on"
    worker = threading.Thread(target=aside.write, args=[LINE % 2000])
    worker.start()
    worker.join(0.1)
    assert worker.is_alive(), "that one waits for room"
    found = read(pipe[0], 2001 * 100)
    worker.join()
    assert found == b"".join(LINE % number for number in range(2001))
    assert aside.drain(1)


def test_where_the_end_was_asked_for_no_thread_waits_for_long(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST", 100)
    aside, raised = Aside(pipe[1]), list[OSError]()
    aside.write(b"x" * 100_000)

    def write() -> None:
        try:
            aside.write(b"y")
        except OSError as error:
            raised.append(error)

    worker = threading.Thread(target=write)
    worker.start()
    worker.join(0.05)
    aside.hurry(0.05)
    worker.join(5)
    assert [str(error.strerror) for error in raised] == ["nobody reads it"]


def test_a_reader_that_goes_away_is_seen_before_anything_is_written(pipe: tuple[int, int]) -> None:
    aside = Aside(pipe[1])
    assert aside.is_lost() is None
    os.dup2(os.open(os.devnull, os.O_RDONLY), pipe[0])
    assert isinstance(aside.is_lost(), BrokenPipeError)
