"""What is kept beside an output: torn, damaged, foreign, of something else, held by another."""

from __future__ import annotations

import os
import resource
import signal
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from batchpol.exporting import Partial, PartialHeader
from batchpol.model import Target
from batchpol.model.errors import JournalDamaged, JournalError, JournalLocked, JournalMismatch, JournalUnwritable

HERE, THERE = Target("111122223333", "eu-west-1"), Target("111122223333", "us-east-1")
ROWS = {
    "a.example": [b'{"identity":"a.example","policy":{"a":1, "a":2}}', b'{"x":"\xc3\xa4"}'],
    "none.example": [],
    "b.example": [b'{"y":2}'],
}


def header(**other: object) -> PartialHeader:
    fields = {"begun": "2026-01-01T00:00:00+00:00", "endpoint": "", "targets": (str(HERE),), "identities": ()}
    return PartialHeader(**fields | {"match": "*", "match_name": "*"} | other)


@dataclass
class Kept:
    path: Path

    def open(self, *, fresh: bool = False, **other: object) -> Partial:
        return Partial.at(self.path, header(**other), fresh=fresh)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """One with three identities in it."""
    made = Kept(tmp_path / "out.jsonl.partial")
    with made.open() as partial:
        for identity, rows in ROWS.items():
            partial.add(HERE, identity, rows)
        partial.sync()
    return made


def lines(rows: list[bytes]) -> list[bytes]:
    return [row + b"\n" for row in rows]


def test_what_was_added_is_read_back_byte_for_byte(kept: Kept) -> None:
    with kept.open(begun="later") as partial:
        assert len(partial) == 3
        assert {identity: partial.rows(HERE, identity) for identity in ROWS} == {
            identity: lines(rows) for identity, rows in ROWS.items()
        }
        assert [partial.count(HERE, identity) for identity in (*ROWS, "c.example")] == [2, 0, 1, 0]
        assert partial.has(HERE, "none.example")
        assert not partial.has(THERE, "a.example")
        assert partial.begun == "2026-01-01T00:00:00+00:00"
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def test_line_ends_that_were_turned_into_cr_wipe_nothing(kept: Kept) -> None:
    whole = kept.path.read_bytes()
    header_end = whole.index(b"\n") + 1
    for altered in (whole.replace(b"\n", b"\r"), whole[:header_end] + whole[header_end:].replace(b"\n", b"\r")):
        kept.path.write_bytes(altered)
        with pytest.raises(JournalDamaged, match="turned into CR"):
            kept.open()
        assert kept.path.read_bytes() == altered


def test_cut_at_every_byte_it_has_whole_identities_only(kept: Kept) -> None:
    whole = kept.path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole)):
        kept.path.write_bytes(whole[:size])
        with kept.open() as partial:
            assert len(partial) == max(sum(end <= size for end in ends) - 1, 0)
            assert bool(partial.notes) == (size > ends[0] and size not in ends)
            partial.add(HERE, "new.example", ROWS["b.example"])
        with kept.open() as partial:
            assert partial.rows(HERE, "new.example") == lines(ROWS["b.example"])


def test_what_is_damaged_or_something_else_is_refused_and_left_alone(kept: Kept) -> None:
    whole = kept.path.read_bytes()
    for damaged in (whole.replace(b'"a.example"', b'"a.example'), b"notes of mine", b'{"identity":"a"}\n', b"\n"):
        kept.path.write_bytes(damaged)
        with pytest.raises(JournalDamaged) as caught:
            kept.open()
        assert "`fresh`" in caught.value.hint
        assert kept.path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"targets": (str(THERE),)}, "of targets 111122223333/eu-west-1"),
        ({"endpoint": "https://elsewhere.example"}, "of endpoint (none)"),
        ({"identities": ("a.example",)}, "of identities (none)"),
        ({"match": "a*"}, "of match *"),
        ({"match_name": "a*"}, "of match-name *"),
    ],
)
def test_another_place_or_selection_is_refused(kept: Kept, other: dict[str, object], told: str) -> None:
    with pytest.raises(JournalMismatch, match="belongs to another export") as caught:
        kept.open(**other)
    assert told in str(caught.value)
    assert "`fresh`" in caught.value.hint


def test_fresh_sets_aside_whatever_is_there(kept: Kept) -> None:
    before = kept.path.read_bytes()
    with kept.open(fresh=True, match="a*") as partial:
        assert len(partial) == 0
        (note,) = partial.notes
    aside = Path(note.rpartition(" ")[2])
    assert aside.read_bytes() == before
    assert aside.parent == kept.path.parent


def test_a_newer_format_is_refused(kept: Kept) -> None:
    newer = msgspec.json.encode(header()).replace(b'"batchpol_export":1', b'"batchpol_export":2') + b"\n"
    kept.path.write_bytes(newer)
    with pytest.raises(JournalMismatch, match="newer batchpol"):
        kept.open()


def test_two_exports_do_not_share_one(kept: Kept) -> None:
    with kept.open():
        for fresh in (False, True):
            with pytest.raises(JournalLocked, match="another export"):
                kept.open(fresh=fresh)
    kept.open().close()


def test_links_and_pipes_are_refused(kept: Kept, tmp_path: Path) -> None:
    link, pipe = tmp_path / "link.partial", tmp_path / "pipe.partial"
    link.symlink_to(kept.path)
    os.mkfifo(pipe)
    for path, told in ((link, "symbolic link"), (pipe, "not a plain file")):
        for fresh in (False, True):
            with pytest.raises(JournalError, match=told):
                Kept(path).open(fresh=fresh)
    with pytest.raises(JournalUnwritable):
        Kept(tmp_path / "nowhere" / "x.partial").open()


def test_after_a_failed_write_nothing_more_is_added(kept: Kept) -> None:
    size = kept.path.stat().st_size
    limits, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with kept.open() as partial:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
            with pytest.raises(JournalUnwritable, match="cannot be kept"):
                partial.add(HERE, "c.example", ROWS["a.example"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)
        with pytest.raises(JournalUnwritable):
            partial.add(HERE, "d.example", [])
    with kept.open() as partial:
        assert len(partial) == 3, "half a line is no identity"


def test_a_temporary_one_has_no_file_to_remove() -> None:
    with Partial.temporary(header()) as partial:
        partial.add(HERE, "a.example", ROWS["a.example"])
        partial.sync()
        partial.remove()
        assert partial.rows(HERE, "a.example") == lines(ROWS["a.example"])
