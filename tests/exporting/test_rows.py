"""A row is an input of apply from which the bytes are read that SES gave."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpol.exporting.target import row
from batchpol.model import Target
from batchpol.source.jsonlines import JsonLines
from batchpol.source.policyfile import PolicyFiles, named_file

TARGET = Target("012345678901", "eu-west-1")
BLANKS = st.sampled_from(["", " ", "\n", "\r\n", "\t", "\u2028", "\ufeff"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """JSON in many shapes, with blanks around it, and texts that are none."""
    values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda it: st.lists(it, max_size=3))
    value = draw(st.dictionaries(st.text(max_size=5), values, max_size=3))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.none() | st.just(1)))
    return draw(BLANKS) + text + draw(BLANKS)


def read_back(line: bytes) -> tuple[str, ...]:
    lines = iter(io.BytesIO(line + b"\n"))
    (record,) = JsonLines(lines, file="x", policies=PolicyFiles("."))
    assert not record.problems
    assert record.extra.keys() == {"stored"}
    return record.identity, record.policy_name, record.policy, str(record.account), str(record.region)


@settings(max_examples=25)
@given(documents() | st.text().filter(lambda text: not text.startswith("file://") and named_file(text) is None))
def test_the_same_bytes_are_read_from_it(document: str) -> None:
    document = document.encode("utf-8", "replace").decode()
    line = row(TARGET, "a.example", "name", document)
    assert b"\n" not in line
    assert read_back(line) == ("a.example", "name", document, "012345678901", "eu-west-1")


@pytest.mark.parametrize(
    "document", ['{"a":1, "a":2}', '{"a":"\\ud800"}', "{" * 2000 + "}" * 2000, '{"a":01}', '{"a":"\x01"}', "", "{}"]
)
def test_odd_documents_are_kept_as_they_are(document: str) -> None:
    assert read_back(row(TARGET, "a.example", "name", document))[2] == document


def test_a_good_document_stands_there_as_an_object() -> None:
    document = '{"Version": "2012-10-17",  "Statement":[]}'
    line = row(TARGET, "=a@example.com", "-1", document)
    assert document.encode() in line
    assert isinstance(json.loads(line)["policy"], dict)
