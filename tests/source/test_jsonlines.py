"""JSON Lines: documents byte for byte, and what is no record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchpol.model.errors import InputError
from batchpol.source import open_source
from tests.source.conftest import Reading

GOOD = '{"identity":"good.test","policy_name":"p","policy":{}}'


def one(read: Reading, line: str | bytes) -> object:
    [record] = read(line, "in.jsonl")
    return record


@pytest.mark.parametrize(
    "document",
    [
        '{"Version":"2012-10-17","Statement":[]}',
        '{ "Version" : "2012-10-17" ,\t"Statement":[ ] }',
        '{"Condition":{"NumericEquals":{"x":12345678901234567890123456789.50E+10}}}',
        '{"b":1,"a":2,"b":3}',
        '{"Sid":"M\\u00fcller – ü","Id":"\\/"}',
        '{"Statement":{"identity":"x","policy":"y","policy_name":"z"}}',
    ],
)
@pytest.mark.parametrize("spaces", [(",", ":"), (", ", ": "), (" , ", " :  ")])
def test_a_nested_document_stays_as_its_bytes_stand(read: Reading, document: str, spaces: tuple[str, str]) -> None:
    comma, colon = spaces
    pairs = ['"identity"', '"a.test"', '"policy"', document, '"PolicyName"', '"p"', '"note"', '"n"']
    line = "{" + comma.join(colon.join(pair) for pair in zip(pairs[::2], pairs[1::2], strict=True)) + "}"
    [first, second] = read(f"{line}\r\n{line}", "in.jsonl")
    for record in (first, second):
        assert record.problems == ()
        assert (record.identity, record.policy_name, record.policy) == ("a.test", "p", document)
        assert record.extra == {"note": "n"}


def test_a_document_as_text_is_its_text(read: Reading) -> None:
    text = '{"Sid": "\\u00fc", "x": "ü"}\n'
    [record] = read(json.dumps({"Identity": "a.test", "NAME": "p", "Policy": text}), "in.jsonl")
    assert record.policy == text


def test_optional_fields_and_defaults(read: Reading) -> None:
    lines = [
        '{"identity":"a.test","name":"p","policy":{},"region":"eu-west-1","account":"012345678901","action":"delete"}',
        '{"identity":"a.test","name":"p","policy":null,"region":null,"account":null,"action":null}',
        '{"identity":"a.test","name":"p","policy":"","region":"","account":"","action":""}',
        '{"identity":"a.test","name":"p","account":123456789012}',
    ]
    full, null, empty, number = read("\n".join(lines), "in.jsonl")
    assert (full.region, full.account, full.action) == ("eu-west-1", "012345678901", "delete")
    for record in (null, empty):
        assert (record.region, record.account, record.action, record.policy) == (None, None, "put", "")
        assert record.problems == ()
    assert (number.account, number.problems, number.policy) == ("123456789012", (), "")


def test_extra_values_are_text_or_compact_json(read: Reading) -> None:
    extra = '"t":"ü","n":1.50e3,"z":null,"b":true,"o":{"a": [1, "x y"]}'
    [record] = read('{"identity":"a.test","name":"p","policy":{},' + extra + "}", "in.jsonl")
    assert record.extra == {"t": "ü", "n": "1.50e3", "z": "", "b": "true", "o": '{"a":[1,"x y"]}'}


@pytest.mark.parametrize(
    ("line", "code", "where", "says"),
    [
        ('{"identity":"a.test","policy_name":"p",}', "record-json", "record", "at character"),
        ('{"identity":"a.test","policy_name":"p"', "record-json", "record", "at character"),
        ('{"identity":"a.test","policy_name":"p"},', "record-json", "record", "Extra data"),
        ('{"identity":"a.test","policy_name":"p","policy":{"x":NaN}}', "record-json", "record", "not JSON"),
        ("{'identity':'a.test'}", "record-json", "record", "not JSON"),
        ('{"identity":"a.test","policy_name":"p","policy":{"x":"\\ud800"}}', "record-json", "record", "surrogate"),
        ('["a.test","p"]', "record-json", "record", "a list, not an object"),
        ('"a.test"', "record-json", "record", "text, not an object"),
        ("12", "record-json", "record", "a number, not an object"),
        ("null", "record-json", "record", "null, not an object"),
        ('{"x":' + "[" * 100_000, "record-json", "record", "nested too deeply"),
        ('{"policy_name":"p","policy":{}}', "record-field", "identity", "identity is missing"),
        ('{"identity":"a.test","policy":{}}', "record-field", "policy_name", "policy_name is missing"),
        ('{"identity":null,"policy_name":"p","policy":{}}', "record-field", "identity", "is missing"),
        ('{"identity":7,"policy_name":"p","policy":{}}', "record-field", "identity", "identity is a number"),
        ('{"identity":"a.test","policy_name":["p"],"policy":{}}', "record-field", "policy_name", "a list"),
        ('{"identity":"a.test","policy_name":"p","policy":[{}]}', "record-field", "policy", "an object, or text"),
        ('{"identity":"a.test","policy_name":"p","policy":true}', "record-field", "policy", "policy is true"),
        ('{"identity":"a.test","policy_name":"p","account":12345678901}', "record-field", "account", "leading"),
        ('{"identity":"a.test","identity":"b.test","policy_name":"p"}', "record-repeated-field", "identity", "twice"),
        ('{"identity":"a.test","name":"p","policy_name":"q"}', "record-repeated-field", "policy_name", "both given"),
        (
            '{"identity":"a.test","policy":{},"policy_name":"p","\\u0070olicy":{}}',
            "record-repeated-field",
            "policy",
            "",
        ),
        (
            '{"identity": "a.test","policy_name":"p","policy":{},"policy":{"x": 1}}',
            "record-repeated-field",
            "policy",
            "",
        ),
        (
            b'{"identity":"a.test","policy_name":"p","policy":{"x":"\xff"}}',
            "record-encoding",
            "record",
            "0xFF at byte 55",
        ),
        (b'{"identity":"a.test","policy_name":"p","policy":{"\xff":1}}', "record-encoding", "record", "0xFF"),
        (b'{"identity":"a.test","policy_name":"p","x\xff":1}', "record-encoding", "record", "0xFF"),
        (b'{"identity":"a.test","policy_name":"\xff"}', "record-encoding", "record", "0xFF"),
        (b'{"identity":"a.test","policy_name":"p","x":"\xff"}', "record-encoding", "record", "0xFF"),
        (b'{"identity":"a.test","policy_name":"p"\0}', "record-encoding", "record", "NUL byte at byte 39"),
        ('{"x":"' + "y" * (1 << 20) + '"}', "record-too-long", "record", "1,048,584 bytes"),
    ],
)
def test_a_bad_line_is_one_rejected_record(read: Reading, line: str | bytes, code: str, where: str, says: str) -> None:
    raw = line.encode() if isinstance(line, str) else line
    records = read(b"\n".join([GOOD.encode(), b"", raw, GOOD.encode()]), "in.jsonl")
    assert [r.line for r in records] == [1, 3, 4]
    assert [bool(r.problems) for r in records] == [False, True, False]
    [problem] = records[1].problems
    assert (problem.code, problem.where) == (code, where)
    assert says in f"{problem.message} {problem.hint}"
    if raw.startswith(b'{"identity":"a.test"'):
        assert records[1].identity == "a.test"


def test_every_wrong_field_of_a_line_is_named(read: Reading) -> None:
    [record] = read('{"policy_name":1,"policy":2,"region":3}', "in.jsonl")
    assert sorted(problem.where for problem in record.problems) == ["identity", "policy", "policy_name", "region"]


def test_a_name_may_be_left_to_a_template(read: Reading) -> None:
    [record] = read('{"identity":"a.test","tenant":"7"}', "in.jsonl", name_required=False)
    assert (record.policy_name, record.problems) == ("", ())


def test_lines_with_ever_new_keys_are_read_like_any_other(read: Reading) -> None:
    lines = [f'{{"identity":"a{n}.test","name":"p","policy":{{}},"key{n}":"{n}"}}' for n in range(200)]
    records = read("\n".join(lines), "in.jsonl")
    assert [r.extra for r in records] == [{f"key{n}": str(n)} for n in range(200)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[{"identity":"a.test"}]\n', "jq -c '.[]'"),
        ('\n [\n{"identity":"a.test"}\n]\n', "jq -c '.[]'"),
        ('{\n  "identity": "a.test"\n}\n', "jq -c ."),
        ('{ "identity": "a.test",\n  "policy_name": "p" }\n', "jq -c ."),
        ("identity,policy_name,policy\na.test,p,x\n", "`format=csv`"),
        ("\n \r\n", "is empty"),
    ],
)
def test_a_file_of_another_kind_is_one_error_with_the_mend(read: Reading, content: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content, "in.jsonl")
    assert says in f"{caught.value} {caught.value.hint}"


def test_a_bad_first_line_is_only_a_bad_line(read: Reading) -> None:
    records = read(f'\n{{"identity":"a.test",\n{GOOD}\n', "in.jsonl")
    assert [(r.line, bool(r.problems)) for r in records] == [(2, True), (3, False)]
    records = read(b"\xff\n" + GOOD.encode(), "in.jsonl")
    assert [(r.line, bool(r.problems)) for r in records] == [(1, True), (2, False)]


def test_a_mark_at_the_start_is_no_part_of_the_line(read: Reading) -> None:
    [record] = read(b"\xef\xbb\xbf" + GOOD.encode(), "in.ndjson")
    assert record.identity == "good.test"


def test_json_lines_have_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(GOOD)
    with open_source(path) as source:
        assert (source.columns, source.notes) == ((), [])


@pytest.mark.parametrize("policy", ["{}", '"file://none.json"'])
def test_a_record_keeps_the_line_it_had_in_the_first_file(read: Reading, policy: str) -> None:
    origin = '{"file": "domains.csv", "line": 17}'
    [record] = read(f'{{"identity":"a.test","name":"p","policy":{policy},"x":"1","origin":{origin}}}', "in.jsonl")
    assert (record.file, record.line, record.extra) == ("domains.csv", 17, {"x": "1"})


@pytest.mark.parametrize("origin", ['"paris"', "7", "{}", '{"file": "a", "line": 0}', '{"file": 1, "line": 1}', "null"])
def test_an_origin_of_another_kind_is_carried_like_any_value(read: Reading, origin: str) -> None:
    [record] = read(f'{{"identity":"a.test","name":"p","policy":{{}},"origin":{origin}}}', "in.jsonl")
    assert record.line == 1
    assert record.file.endswith("in.jsonl")
    assert record.extra.keys() == {"origin"}
