"""Torn and damaged journals: each resumes as if the lost lines had never been, or is refused; none lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchpol import journal
from batchpol.journal import FORMAT, Journal
from batchpol.journal.chain import BLOCK
from batchpol.model.errors import JournalDamaged, JournalError, JournalMismatch
from tests.journal.books import believed, changes_of, intent, outcome, planned, record, run, sample, told, write

ENTRIES = sample()
CHANGES = changes_of(ENTRIES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("whole") / "j", ENTRIES).read_bytes()


def assert_resumes_as(path: Path, lines: int) -> None:
    """It resumes, believing exactly what its first lines say, and can be appended to."""
    with Journal.resume(path) as book:
        assert told(book, CHANGES) == believed(ENTRIES[:lines])
        book.append(run("after"))
    assert [entry for _, entry in journal.read(path)] == [*ENTRIES[:lines], run("after")]


def assert_refused(path: Path, content: bytes) -> JournalError:
    """Neither a resume nor a reader takes it, and it is left as it was."""
    with pytest.raises(JournalError) as caught:
        Journal.resume(path)
    assert path.read_bytes() == content
    with pytest.raises(type(caught.value)):
        list(journal.outcomes(path))
    return caught.value


def test_cut_anywhere_in_the_last_two_lines(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    lines = whole.splitlines(keepends=True)
    for size in range(len(whole) - len(lines[-1]) - len(lines[-2]), len(whole)):
        path.write_bytes(whole[:size])
        assert_resumes_as(path, whole[:size].count(b"\n"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cut_anywhere(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(whole)))
    path = tmp_path / "j"
    path.write_bytes(whole[:size])
    assert_resumes_as(path, whole[:size].count(b"\n"))


def test_a_cut_tail_is_told_of(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(whole[:-1])
    section = journal.scan(path)
    assert section is not None
    with Journal.resume(path) as book:
        (note,) = book.notes
    assert "incomplete" in note
    assert any(note.startswith(said) for said in section.notes)
    with Journal.resume(path) as again:
        assert again.notes == []


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_a_flipped_byte_in_a_middle_line(whole: bytes, tmp_path: Path, mask: int) -> None:
    path = tmp_path / "j"
    lines = whole.splitlines(keepends=True)
    number = len(lines) // 2
    start = sum(map(len, lines[:number]))
    for at in range(start, start + len(lines[number])):
        content = bytearray(whole)
        content[at] ^= mask
        path.write_bytes(content)
        assert f"line {number + 1}:" in str(assert_refused(path, bytes(content)))


def test_a_flipped_byte_anywhere(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    last = whole.rindex(b"\n", 0, -1) + 1
    for at in range(0, len(whole), 7):
        content = bytearray(whole)
        content[at] ^= 0x04
        path.write_bytes(content)
        if at < last:
            assert_refused(path, bytes(content))
        else:
            assert_resumes_as(path, len(ENTRIES) - 1)


def test_a_lost_line(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    lines = whole.splitlines(keepends=True)
    for number in range(len(lines) - 2):
        content = b"".join(lines[:number] + lines[number + 1 :])
        path.write_bytes(content)
        assert isinstance(assert_refused(path, content), JournalDamaged)


def test_two_lines_swapped(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    lines = whole.splitlines(keepends=True)
    for number in range(len(lines) - 2):
        content = b"".join([*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]])
        path.write_bytes(content)
        assert isinstance(assert_refused(path, content), JournalDamaged)


def test_a_doubled_line(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    lines = whole.splitlines(keepends=True)
    content = b"".join([*lines[:6], lines[5], *lines[6:]])
    path.write_bytes(content)
    assert_refused(path, content)


def test_lines_of_another_journal(whole: bytes, tmp_path: Path) -> None:
    other = write(tmp_path / "other", [run("other"), record(0), intent(0), outcome(0)]).read_bytes()
    content = whole + other
    path = tmp_path / "j"
    path.write_bytes(content)
    assert_refused(path, content)


def test_turned_into_crlf(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    content = whole.replace(b"\n", b"\r\n")
    path.write_bytes(content)
    assert "CRLF" in str(assert_refused(path, content))


def test_turned_into_cr(whole: bytes, tmp_path: Path) -> None:
    """One tail without a line end, and nothing before it: no crash writes that."""
    path = tmp_path / "j"
    content = whole.replace(b"\n", b"\r")
    path.write_bytes(content)
    assert "line 1: it is more than one line" in str(assert_refused(path, content))


def test_a_copy_of_what_is_cut_off_is_kept(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    tail = whole.splitlines(keepends=True)[-1][:-5]
    for _ in range(2):
        path.write_bytes(whole[: len(whole) - 5])
        with Journal.resume(path) as book:
            assert str(tmp_path / "j.torn.") in book.notes[0]
    copies = list(tmp_path.glob("j.torn.*"))
    assert [copy.read_bytes() for copy in copies] == [tail, tail]
    assert {copy.stat().st_mode & 0o777 for copy in copies} == {0o600}


def test_damage_beyond_the_first_block_is_named_by_its_line(tmp_path: Path) -> None:
    records = [record(n, document="x" * 5000) for n in range(200)]
    path = write(tmp_path / "j", [run(), *records])
    content = bytearray(path.read_bytes())
    content[content.index(b'"n":150,') + 5] ^= 0x01
    path.write_bytes(content)
    assert "line 152:" in str(assert_refused(path, bytes(content)))


def test_damage_in_the_last_line_of_a_block_is_no_torn_tail(tmp_path: Path) -> None:
    """A reader that has read exactly up to the bad line's end must look whether the file goes on."""
    path = tmp_path / "j"
    short = write(path, [run(), record(0, document="x")]).stat().st_size
    path.unlink()
    write(path, [run(), record(0, document="x" * (1 + BLOCK - short))])
    assert path.stat().st_size == BLOCK
    with Journal.resume(path) as book:
        book.append(record(1))
    content = bytearray(path.read_bytes())
    content[BLOCK - 100] ^= 0x01
    path.write_bytes(content)
    assert "line 2:" in str(assert_refused(path, bytes(content)))


def test_an_empty_file_is_a_journal_nothing_was_written_to(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.touch()
    assert journal.scan(path) is None
    assert list(journal.outcomes(path)) == []
    with Journal.resume(path) as book:
        assert len(book.history) == 0
        assert book.history.run is None
        assert list(book.outcomes()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"identity,policy_name,policy\nexample.com,p,{}\n",
        b"identity,policy_name",
        b'{"identity":"example.com"}\n',
        b'{"t":"record","n":0}\n',
        b"\n",
        b"\0" * 100,
        b"\x1f\x8b\x08\x00",
        b"\xef\xbb\xbf" + b'{"t":"run","format":1}',
    ],
)
def test_a_foreign_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    assert "not a batchpol journal" in str(assert_refused(path, content))


def newer_formats(whole: bytes) -> Iterator[bytes]:
    header = b'{"t":"run","format":%d,"run_id":"later","sum":"another kind of checksum"}\n' % (FORMAT + 1)
    yield header
    yield header + b"and lines that nobody here can read\n"
    yield whole + header
    yield whole + header + b"\x00\x01\x02\n"


def test_a_newer_format(whole: bytes, tmp_path: Path) -> None:
    for number, content in enumerate(newer_formats(whole)):
        path = tmp_path / str(number)
        path.write_bytes(content)
        error = assert_refused(path, content)
        assert isinstance(error, JournalMismatch)
        assert f"format {FORMAT + 1}" in str(error)
        assert "update" in error.hint


def test_a_newer_section_with_our_checksums(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [run(), record(0), planned(1, 1), run("later", format=FORMAT + 1), record(0)])
    assert isinstance(assert_refused(path, path.read_bytes()), JournalMismatch)


@pytest.mark.parametrize(
    "entries",
    [
        [run(), record(1)],
        [run(), record(0), record(0)],
        [run(), record(0), intent(1)],
        [run(), outcome(0)],
    ],
)
def test_lines_that_make_no_sense_together(tmp_path: Path, entries: list[journal.Entry]) -> None:
    path = write(tmp_path / "j", entries)
    assert isinstance(assert_refused(path, path.read_bytes()), JournalDamaged)


def test_an_intent_for_a_rejected_record(tmp_path: Path) -> None:
    entries = [run(), record(0, verdict="rejected"), intent(0)]
    path = write(tmp_path / "j", entries)
    with pytest.raises(JournalDamaged):
        Journal.resume(path)


def test_hundreds_of_megabytes_without_a_line_end(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"t":"run","format":1')
    with path.open("r+b") as file:
        file.truncate(200 << 20)  # A hole: it takes no room on the disk.
    with pytest.raises(JournalDamaged, match="longer than any line"):
        Journal.resume(path)
