"""Files and standard input: formats, compression, what is no input, digest and sizes."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from batchpol.model.errors import InputError
from batchpol.source import open_source
from tests.source.conftest import Reading

CSV = b'identity,policy_name,policy\na.test,p,"{}"\nb.test,p,"{}"\n'
JSONL = b'{"identity":"a.test","policy_name":"p","policy":{}}\n'


class Stdin:
    """Standard input with these bytes."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("x.csv", CSV, "csv"),
        ("X.CSV", CSV, "csv"),
        ("x.tsv", CSV.replace(b",", b"\t"), "tsv"),
        ("x.jsonl", JSONL, "jsonl"),
        ("x.ndjson", JSONL, "jsonl"),
        ("x.csv.gz", gzip.compress(CSV, mtime=0), "csv"),
        ("x.JsonL.GZ", gzip.compress(JSONL, mtime=0), "jsonl"),
        ("x.csv", gzip.compress(CSV, mtime=0), "csv"),
        ("x.csv.gz", gzip.compress(CSV[:30], mtime=0) + gzip.compress(CSV[30:], mtime=0) + b"\0" * 9, "csv"),
    ],
)
def test_the_suffix_tells_the_format(tmp_path: Path, name: str, content: bytes, format: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with open_source(path) as source:
        assert source.format == format
        records = list(source)
    assert records[0].identity == "a.test"
    assert {record.file for record in records} == {str(path)} == {source.name}
    assert source.sha256 == hashlib.sha256(content).hexdigest()


def test_a_digest_is_not_kept_where_none_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(CSV)
    with open_source(path, digest=False) as source:
        assert len(list(source)) == 2
    assert source.sha256 == ""


def test_a_format_that_is_given_goes_before_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(CSV)
    with open_source(str(tmp_path / "x.txt"), format="csv") as source:
        assert len(list(source)) == 2


@pytest.mark.parametrize("content", [CSV, gzip.compress(CSV, mtime=0)])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    stdin = Stdin(content)
    monkeypatch.setattr(sys, "stdin", stdin)
    with open_source("-", format="csv") as source:
        assert [record.line for record in source] == [2, 3]
    assert source.name == "standard input"
    assert source.sha256 == hashlib.sha256(content).hexdigest()
    assert not stdin.buffer.closed


def test_a_pipe_that_gives_little_at_a_time() -> None:
    readable, writable = os.pipe()
    for part in (CSV[:1], CSV[1:40], CSV[40:]):
        os.write(writable, part)
    os.close(writable)
    with open_source(f"/dev/fd/{readable}", format="csv") as source:
        os.close(readable)
        assert [record.identity for record in source] == ["a.test", "b.test"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.txt", CSV, ".csv, .tsv, .jsonl, .ndjson|`format="),
        ("x", CSV, "`format="),
        ("x.json", JSONL, "JSON Lines|`format=jsonl`|jq"),
        ("x.xlsx", b"PK\x03\x04", "spreadsheet|CSV UTF-8"),
        ("x.csv", b"PK\x03\x04" + bytes(30), "zip|.xlsx|CSV UTF-8"),
        ("x.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".xls|CSV UTF-8"),
        ("x.csv", b"%PDF-1.7\n", "PDF"),
        ("x.csv", CSV.decode().encode("utf-16"), "UTF-16|CSV UTF-8"),
        ("x.csv", CSV.decode().encode("utf-16-le"), "UTF-16|CSV UTF-8"),
        ("x.jsonl", JSONL.decode().encode("utf-32"), "UTF-"),
        ("x.csv", b"BZh91AY", "bzip2|unpack"),
        ("x.jsonl", b'{"t":"run","format":2,"run_id":"7"}\n', "a journal, and no list of records|batchpol undo"),
        ("x.csv", bytes(range(256)) * 4, "binary"),
        ("x.csv", b"", "empty"),
        ("x.csv", b"\xef\xbb\xbf", "empty"),
        ("x.jsonl", b"", "empty"),
        ("x.csv.gz", gzip.compress(b"", mtime=0), "empty"),
        ("x.csv.gz", CSV, "not compressed with gzip"),
        ("x.csv.gz", b"\x1f\x8b\x08garbage that goes on for a while", "damaged|ends early"),
        ("x.csv.gz", b"\x1f\x8b", "ends early"),
        ("x.csv.gz", gzip.compress(gzip.compress(CSV, mtime=0), mtime=0), "no column|binary"),
    ],
)
def test_what_is_no_input_is_named_with_the_mend(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_source(path)
    text = f"{caught.value} {caught.value.hint}"
    assert name in text
    parts = [part in text for part in says.split("|")]
    assert any(parts) if name == "x.csv.gz" else all(parts), text


@pytest.mark.parametrize(
    ("name", "fetched"),
    [
        ("s3://lists/my list.csv", "aws s3 cp 's3://lists/my list.csv' ."),
        ("https://example.com/list.jsonl", "curl -fsSO https://example.com/list.jsonl"),
    ],
)
def test_what_lies_elsewhere_is_to_be_fetched(name: str, fetched: str) -> None:
    with pytest.raises(InputError, match="and batchpol reads files") as caught:
        open_source(name)
    assert caught.value.hint == f"fetch it, and give that file: {fetched}"


def test_a_real_spreadsheet_named_csv(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.csv", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(InputError, match="spreadsheet"):
        open_source(tmp_path / "x.csv")


def test_what_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_source(tmp_path / "none.csv")
    with pytest.raises(InputError, match="folder"):
        open_source(tmp_path)
    with pytest.raises(InputError, match="cannot be opened"):
        open_source("a\0b.csv")
    with pytest.raises(InputError, match="no format"):
        open_source(tmp_path / "x.csv", format="xml")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="closed"):
        open_source("-", format="csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(CSV)
    (tmp_path / "x.csv").chmod(0)
    with pytest.raises(InputError, match="may not be read"):
        open_source(tmp_path / "x.csv")


def test_a_disk_that_fails_while_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(io.BytesIO):
        def readinto1(self, buffer: object, /) -> int:
            if self.tell() >= 65536:
                raise OSError(5, "Input/output error")
            return super().readinto1(buffer)  # type: ignore[arg-type]

    stdin = Stdin(b"")
    stdin.buffer = Failing(CSV + b"c.test,p,x\n" * 100_000)
    monkeypatch.setattr(sys, "stdin", stdin)
    with open_source("-", format="csv") as source, pytest.raises(InputError, match="Input/output error"):
        for record in source:
            assert record.problems == ()


# Compressed input


@pytest.mark.parametrize("cut", [-1, -8, -9, -400])
def test_a_truncated_archive_gives_what_it_held_and_says_so(tmp_path: Path, cut: int) -> None:
    noise = os.urandom(6_000).hex()
    rows = b"".join(b"t%d.test,p,%s\n" % (n, noise[n * 12 : n * 12 + 12].encode()) for n in range(1000))
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(CSV + rows, mtime=0)[:cut])
    with open_source(tmp_path / "x.csv.gz") as source:
        *good, last = source
    assert all(record.problems == () for record in good)
    assert [record.line for record in good] == list(range(2, len(good) + 2))
    assert len(good) == 1002 if cut > -9 else 900 < len(good) <= 1002
    assert [problem.code for problem in last.problems] == ["record-cut-off"]
    assert "ends early" in last.problems[0].message
    assert last.line == len(good) + 2


def test_a_flipped_bit_and_garbage_behind_an_archive(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(JSONL * 3, mtime=0))
    packed[-6] ^= 1
    for content in (bytes(packed), gzip.compress(JSONL * 3, mtime=0) + b"garbage"):
        (tmp_path / "x.jsonl.gz").write_bytes(content)
        with open_source(tmp_path / "x.jsonl.gz") as source:
            records = list(source)
        assert [bool(record.problems) for record in records] == [False, False, False, True]
        assert "damaged" in records[-1].problems[0].message


def test_a_bomb_in_one_line_is_skipped_in_little_memory(read: Reading) -> None:
    bomb = gzip.compress(b"identity,policy_name,policy\na.test,p," + b"x" * 50_000_000 + b"\nb.test,p,x\n", mtime=0)
    tracemalloc.start()
    long, good = read(bomb, "in.csv.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [problem.code for problem in long.problems] == ["record-too-long"]
    assert (good.line, good.identity) == (3, "b.test")
    assert peak < 8_000_000


def test_a_bomb_of_many_lines_ends_at_the_limit(read: Reading) -> None:
    records = read(gzip.compress(CSV + b"c.test,p,x\n" * 1_000_000, mtime=0), "in.csv.gz", max_bytes=500_000)
    assert 30_000 < len(records) < 50_000
    assert [problem.code for problem in records[-1].problems] == ["record-cut-off"]
    assert "more than the limit" in records[-1].problems[0].message


def test_memory_stays_flat(tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 10_000):
        for name, line in (("x.csv", b"a.test,p,%s\n" % (b"x" * 400)), ("x.jsonl", JSONL)):
            (tmp_path / name).write_bytes((CSV if name == "x.csv" else b"") + line * count)
            tracemalloc.start()
            with open_source(tmp_path / name) as source:
                for record in source:
                    assert not record.problems
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert max(peaks[2:]) < max(peaks[:2]) * 1.2 + 50_000
