"""Anything at all as input: no exception but InputError, every line accounted for, and it comes to an end."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchpol.model import Record
from batchpol.model.errors import InputError
from batchpol.model.mends import is_blank
from batchpol.source import RULES, open_source

CODES = {rule.code for rule in RULES}
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
SOLID = CELL.filter(lambda text: text.strip() and not text.startswith("file://"))
ROW = st.fixed_dictionaries({"identity": SOLID, "policy_name": CELL, "policy": SOLID, "note": CELL, "Ünit": CELL})
QUOTED = st.text(st.sampled_from('",\n\r;a \t{}'), max_size=60)
SLOW = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "input"


def records_of(path: Path, content: bytes, format: str) -> list[Record]:
    path.write_bytes(content)
    with open_source(path, format=format) as source:
        return list(source)


def fields(record: Record) -> dict[str, str]:
    known = {"identity": record.identity, "policy_name": record.policy_name, "policy": record.policy}
    return {**known, **record.extra}


@SLOW
@given(
    rows=st.lists(ROW, min_size=1, max_size=5),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    tabs=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_comes_back(
    path: Path, rows: list[dict[str, str]], quoting: Any, tabs: bool, end: str
) -> None:
    text = io.StringIO(newline="")
    names = ["identity", "policy_name", "policy", "note", "Ünit"]
    if any("\r" in cell for row in rows for cell in row.values()):
        # Up to Python 3.12 the writer leaves a cell with a lone carriage return unquoted.
        quoting = csv.QUOTE_ALL
    writer = csv.DictWriter(text, names, quoting=quoting, delimiter="\t" if tabs else ",", lineterminator=end)
    writer.writeheader()
    lines = []
    for row in rows:
        lines.append(text.getvalue().count("\n") + 1)
        writer.writerow(row)
    records = records_of(path, text.getvalue().encode(), "tsv" if tabs else "csv")
    assert [fields(record) for record in records] == rows
    assert [record.line for record in records] == lines
    assert {it.code for record in records for it in record.problems} <= {"policy-file"}  # "<0" names a file


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | CELL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELL, inner, max_size=3),
    max_leaves=8,
)


@SLOW
@given(
    rows=st.lists(st.tuples(ROW, st.dictionaries(CELL, JSON, max_size=3)), min_size=1, max_size=4),
    ascii=st.booleans(),
    compact=st.booleans(),
    nested=st.booleans(),
)
def test_what_the_json_module_writes_comes_back(
    path: Path, rows: list[tuple[dict[str, str], dict[str, Any]]], ascii: bool, compact: bool, nested: bool
) -> None:
    style: dict[str, Any] = {"ensure_ascii": ascii, "separators": (",", ":") if compact else None}
    documents = [json.dumps(document, **style) if nested else row["policy"] for row, document in rows]
    lines = [json.dumps({**row, "policy": document if nested else row["policy"]}, **style) for row, document in rows]
    records = records_of(path, "\n".join(lines).encode(), "jsonl")
    expected = [{**row, "policy": document} for (row, _), document in zip(rows, documents, strict=True)]
    assert [fields(record) for record in records] == expected
    assert {it.code for record in records for it in record.problems} <= {"policy-file"}  # "/0" names a file


@SLOW
@given(body=QUOTED)
@example(body='"\n,"a')
@example(body='a,"b\nc,d\n"e","f"')
def test_quotes_in_any_order_lose_no_line(path: Path, body: str) -> None:
    """Good rows on either side come out whole and at their place; a line is skipped only if it is blank."""
    good = 'good.test,p,"{""Version"": ""2012-10-17""}"\n'
    content = f"identity,policy_name,policy\n{good}{body}\n{good * 3}"
    records = records_of(path, content.encode(), "csv")
    lines = [record.line for record in records]
    assert lines == sorted(set(lines))
    assert lines[0] == 2
    last = content.count("\n")
    assert (records[-1].line, records[-1].identity, records[-1].problems) == (last, "good.test", ())
    starts = set(lines)
    for number, line in enumerate(content.split("\n")[:-1], 1):
        if number == 1 or number in starts or not line.strip(', \r\t"'):
            continue
        # Not the beginning of a record: then it is inside a quoted one that ended well, or with a wrong count.
        owner = max((record for record in records if record.line < number), key=lambda record: record.line)
        assert {problem.code for problem in owner.problems} <= {"record-columns"}


@SLOW
@example(head=b'{"identity":"a"}\n', body=b"\x1c", format="jsonl")
@given(
    head=st.sampled_from([b"", b"identity,name,policy\n", b"identity;name;policy\n", b'{"identity":"a"}\n']),
    body=st.binary(max_size=300)
    | QUOTED.map(str.encode)
    | st.text(max_size=100).map(lambda t: t.encode(errors="replace")),
    format=st.sampled_from(["csv", "tsv", "jsonl"]),
)
def test_any_bytes_at_all(path: Path, head: bytes, body: bytes, format: str) -> None:
    try:
        records = records_of(path, head + body, format)
    except InputError as error:
        assert str(error)
        assert "\n" not in str(error).replace(str(path), "")
        return
    lines = [record.line for record in records]
    assert lines == sorted(set(lines))
    assert all(problem.code in CODES for record in records for problem in record.problems)
    # Whatever comes out can be written as UTF-8 again.
    assert all("".join(fields(record).values()).encode() or True for record in records)
    if format == "jsonl":
        written = (head + body).removeprefix(b"\xef\xbb\xbf").decode(errors="replace").split("\n")
        assert lines == [number for number, line in enumerate(written, 1) if not is_blank(line)]


@SLOW
@given(
    line=st.lists(
        st.sampled_from(list('{}[]",:\\ ui1dentiyplcamou06e9\x00é'))
        | st.sampled_from(['"identity"', '"policy"', '"name"', '"a"', "{}", ":", ","]),
        max_size=25,
    ).map("".join)
)
@example(line='{"identity":"a","name":"b","policy":{},"name":"c"}')
@example(line='{"identity": "a","name":"b","policy":{},"p":1, "p":2}')
def test_json_lines_agree_with_another_decoder(path: Path, line: str) -> None:
    """Accepted only where the json module finds one object with each known key once."""
    *_, record = records_of(path, b'{"identity":"x","name":"y"}\n' + line.encode() + b"\n{}", "jsonl")[:2]
    if record.line == 3 or not line.strip():
        return
    try:
        pairs = json.loads(line, object_pairs_hook=lambda pairs: ("object", pairs))
    except ValueError:
        pairs = None
    if not record.problems:
        assert isinstance(pairs, tuple)
        assert pairs[0] == "object"
        names = [key.strip().casefold() for key, _ in pairs[1]]
        assert names.count("identity") == 1
        assert sum(names.count(name) for name in ("name", "policy_name", "policyname")) == 1
        assert names.count("policy") <= 1


@SLOW
@given(rows=st.integers(0, 300), cut=st.integers(0, 400), flip=st.integers(0, 4000))
def test_any_damage_of_an_archive(path: Path, rows: int, cut: int, flip: int) -> None:
    content = b"identity,name,policy\n" + b"".join(b"t%d.test,p,%d\n" % (n, n * n) for n in range(rows))
    packed = bytearray(gzip.compress(content, mtime=0))
    packed = packed[: max(len(packed) - cut, 0)]
    if packed:
        packed[flip % len(packed)] ^= 1 << (flip % 8)
    try:
        records = records_of(path, bytes(packed), "csv")
    except InputError:
        return
    lines = [record.line for record in records]
    assert lines == sorted(set(lines))
