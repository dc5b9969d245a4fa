"""Power cuts: a simulated disk that loses any of what was not synced, page by page, in any order."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from batchpol import files, journal
from batchpol.journal import Journal
from batchpol.journal.reading import scan
from batchpol.model.errors import JournalError
from tests.journal.books import intent, outcome, planned, record, run

PAGE = 512
"""Bytes that a disk writes whole or not at all; small, so that a few lines take several."""


class Disk:
    """What of one file would survive a power cut: what was synced for sure, of the rest any pages."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self.path, self.durable = path, b""
        real = files.make_durable

        def sync(fd: int) -> None:
            real(fd)
            if os.path.samestat(os.fstat(fd), path.stat()):
                self.durable = path.read_bytes()

        monkeypatch.setattr(files, "make_durable", sync)

    def cut(self, chance: random.Random) -> bytes:
        """The file as it is found after one: its size may or may not have grown, and pages lost read as zeros."""
        there = self.path.read_bytes()
        size = chance.randint(len(self.durable), len(there))
        left = bytearray(there[:size])
        for start in range(len(self.durable), size, PAGE):
            if chance.random() < 0.4:
                left[start : min(start + PAGE, size)] = bytes(min(PAGE, size - start))
        return bytes(left)


def test_what_was_synced_outlives_any_cut_and_what_is_left_behind_it_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, found = tmp_path / "j", tmp_path / "found"
    disk, chance = Disk(monkeypatch, path), random.Random(13)
    recovered = named = 0
    with Journal.create(path) as book:
        book.append(run(), *(record(n) for n in range(20)), planned(20, 20))
        book.sync()
        for n in range(20):
            book.append(intent(n))
            book.sync()
            for again in range(chance.randint(0, 6)):
                book.append(outcome(n), intent(n, attempt=again + 2))
            book.tail.flush()  # the system has it, the disk may not
            for _ in range(100):
                left = disk.cut(chance)
                found.write_bytes(left)
                synced = disk.durable.count(b"\n")
                try:
                    with Journal.resume(found):
                        recovered += 1
                    assert sum(1 for _ in journal.read(found)) >= synced
                    assert scan(found) is not None
                except JournalError as error:
                    line = re.search(r"line (\d+):", str(error))
                    assert line is not None
                    assert int(line[1]) > synced
                    assert found.read_bytes() == left, "what is refused is left as it was"
                    named += 1
                assert found.read_bytes().startswith(disk.durable)
                for copy in tmp_path.glob("found.torn.*"):
                    copy.unlink()
    assert recovered > 500
    assert named > 0


@pytest.mark.parametrize("there", [None, b"old"], ids=["nothing there", "an older one there"])
def test_a_report_is_whole_or_the_old_one_wherever_the_power_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bytes | None
) -> None:
    """Its bytes are synced before its name is, and its name before anybody is told that it is written."""
    path = tmp_path / "report.csv"
    if there is not None:
        path.write_bytes(there)
    steps: list[str] = []
    whole_sync, whole_replace = os.fsync, Path.replace

    def fsync(fd: int) -> None:
        steps.append("bytes" if os.fstat(fd).st_mode & 0o100000 else "folder")
        whole_sync(fd)

    def replace(self: Path, target: Path) -> Path:
        assert steps == ["bytes"], "a name that is durable before its bytes are leads to an empty file"
        steps.append("name")
        assert not path.exists() if there is None else path.read_bytes() == there
        return whole_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    with files.Replacement(path) as made:
        made.file.write(b"whole")
    assert steps == ["bytes", "name", "folder"]
    assert path.read_bytes() == b"whole"
