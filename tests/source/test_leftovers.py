"""What spreadsheets, scripts and other tools leave in a file: taken where it is clear what is meant, else the mend."""

from __future__ import annotations

import math
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from batchpol.model import Record
from batchpol.model.errors import InputError
from batchpol.source import as_record, open_source
from tests.source.conftest import Reading

DOC = '"{""Version"": ""2012-10-17""}"'
TEXT = '{"Version": "2012-10-17"}'
HEAD = "identity,policy_name,policy\n"
GOOD = f"a.test,p,{DOC}\n"


def hints(record: Record) -> list[str]:
    return [problem.hint for problem in record.problems]


def named(records: list[Record]) -> list[tuple[int, str]]:
    return [(record.line, record.identity) for record in records if not record.problems]


# Rows and objects of nothing


@pytest.mark.parametrize(
    "row",
    [
        ",,", " ,,", " , , ", "\t,\t,", "\u00a0,,", ",\u3000,", "\u200b,,",
        "\ufeff, ,", '"","",""', '" ",,', '"\n",,', ",,,,",
        ",", " ", "\u00a0", '""', "\u2003,\u00ad,",
    ],
)  # fmt: skip
def test_a_row_of_nothing_but_blanks(read: Reading, row: str) -> None:
    records = read(f"{HEAD}{GOOD}{row}\nb.test,p,{DOC}\n")
    assert named(records) == [(2, "a.test"), (4 + row.count("\n"), "b.test")]
    assert len(records) == 2


@pytest.mark.parametrize("row", [".,,", ",p,", " ,,{}", "\u200b,p,", "-,,"])
def test_a_row_with_anything_in_it_is_a_record(read: Reading, row: str) -> None:
    assert len(read(f"{HEAD}{GOOD}{row}\n")) == 2


@pytest.mark.parametrize(
    "line",
    [
        " ", "\u00a0", "\u200b", '{"identity": null, "policy": null}',
        '{"identity": "", "policy_name": "", "policy": ""}',
        '{"identity": " ", "policy_name": "\u00a0", "policy": null, "note": "\u200b"}',
    ],
)  # fmt: skip
def test_an_object_of_nothing_but_blanks(read: Reading, line: str) -> None:
    good = f'{{"identity": "a.test", "policy_name": "p", "policy": {TEXT}}}'
    assert named(read(f"{good}\n{line}\n{good}\n", "in.jsonl")) == [(1, "a.test"), (3, "a.test")]
    assert len(read(f"{good}\n{{}}\n", "in.jsonl")) == 2


# Delimiters at the end of a row


@pytest.mark.parametrize(
    "head, row",
    [
        ("identity,policy_name,policy", f"a.test,p,{DOC},"),
        ("identity,policy_name,policy", f"a.test,p,{DOC},, ,\u00a0"),
        ("identity,policy_name,policy,note", f"a.test,p,{DOC}"),
        ("identity,policy_name,policy,", f"a.test,p,{DOC}"),
        ("identity,policy_name,policy,note,region,account", f"a.test,p,{DOC},n"),
        ("identity;policy_name;policy;note", f"a.test;p;{DOC};;"),
    ],
)
def test_a_delimiter_too_many_or_too_few_at_the_end(read: Reading, head: str, row: str) -> None:
    [record] = read(f"{head}\n{row}\n")
    assert (record.identity, record.policy_name, record.policy, record.problems) == ("a.test", "p", TEXT, ())
    assert set(record.extra.values()) <= {"", "n"}


@pytest.mark.parametrize(
    "head, row, mend",
    [
        ("identity,policy_name,policy", f"a.test,p,{DOC},x", "too many commas"),
        ("identity,policy_name,note,policy", f"a.test,p,{DOC}", "too few commas"),
        ("identity,policy_name,policy", "a.test,p", "too few commas"),
        ("identity;policy_name;policy;note", f"a.test;p;{DOC};x;y", "too many semicolons"),
        ("identity,policy_name,policy", 'a.test,p,{"Version": "2012-10-17", "Statement": []}', "quote the policy"),
        ("identity,policy_name,policy", f"a.test,p, {DOC},,x", "a quoted cell must begin right after"),
    ],
)
def test_else_the_mend_is_about_the_delimiter(read: Reading, head: str, row: str, mend: str) -> None:
    [record] = read(f"{head}\n{row}\n")
    assert [problem.code for problem in record.problems] == ["record-columns"]
    assert hints(record)[0].startswith(mend)


# Above the header


@pytest.mark.parametrize(
    "above, delimiter",
    [
        ("", ","), ("\n\n", ","), (",,\n", ","), (" , ,\u00a0\n\n", ","), ('"","",""\n', ","), (";;\n", ";"),
        ("\t\t\n", "\t"),
        ("sep=;\n", ";"), ('"sep=;"\n', ";"), ("sep=;;\n", ";"), ("sep=,,\n", ","), ('"sep=;",,\n', ";"),
        ("SEP=|\n", "|"),
        ("sep=;;;\n;;\n", ";"), ("\ufeffsep=;\n", ";"), ("\n\nsep=;\n", ";"),
    ],
)  # fmt: skip
def test_what_means_nothing_above_the_header_is_skipped(read: Reading, above: str, delimiter: str) -> None:
    [record] = read(above + (HEAD + GOOD).replace(",", delimiter))
    assert (record.identity, record.line) == ("a.test", above.count("\n") + 2)


@pytest.mark.parametrize(
    "above, mend",
    [
        ("#TYPE System.Management.Automation.PSCustomObject", "the header seems to be line 2: remove line 1"),
        ("Table 1", "the header seems to be line 2: remove line 1"),
        ("Tenants 2026,,\n", "the header seems to be line 3: remove lines 1 to 2"),
        ("Tenants,of,2026\nby region,,\n,,", "the header seems to be line 4: remove lines 1 to 3"),
        ("report of 2026;;", "the header seems to be line 2: remove line 1"),
    ],
)
def test_what_means_something_is_named_with_the_line_of_the_header(read: Reading, above: str, mend: str) -> None:
    head = HEAD.replace(",", ";") if ";" in above else HEAD
    with pytest.raises(InputError, match="line 1: the header has no column") as refused:
        read(f"{above}\n{head}{GOOD}")
    assert refused.value.hint == mend


def test_without_a_header_further_down_the_mend_is_as_it_was(read: Reading) -> None:
    with pytest.raises(InputError) as refused:
        read("Tenants 2026\na.test,p,x\n")
    assert refused.value.hint.startswith("the first line must name the columns")


# Encodings and words of other languages


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_the_mend_of_another_encoding_is_that_of_the_format(read: Reading, encoding: str) -> None:
    line = f'{{"identity": "a.test", "policy_name": "p", "policy": {TEXT}}}\n'
    with pytest.raises(InputError) as refused:
        read(line.encode(encoding), "in.jsonl")
    assert f"iconv -f {encoding[:6].upper()} -t UTF-8" in refused.value.hint
    assert "-Encoding utf8" in refused.value.hint
    with pytest.raises(InputError) as refused:
        read((HEAD + GOOD).encode(encoding))
    assert "save it as CSV UTF-8" in refused.value.hint


@pytest.mark.parametrize(
    "word, mend",
    [
        ("NaN", "null"), ("Infinity", "null"), ("-Infinity", "null"), ("None", "null"), ("True", "true"),
        ("False", "false"),
        ("undefined", "null"), ("NULL", "null"), ("nan", "null"), ("yes", '"yes"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ['{"score":', '{"ok": true, "é": "NaN \\" ", "score": '])
def test_a_word_that_is_no_json_is_named_with_its_place(read: Reading, word: str, mend: str, before: str) -> None:
    [record] = read(f'{before}{word}, "identity": "a.test", "policy_name": "p", "policy": {TEXT}}}\n', "in.jsonl")
    (problem,) = record.problems
    assert (problem.code, problem.hint) == ("record-json", f"write {mend}")
    assert f"{word} at character {len(before) + 1} of the line" in problem.message
    assert record.identity == "a.test"


@pytest.mark.parametrize(
    "line, mend",
    [
        ("{'identity': 'a.test', 'policy_name': 'p'}", "strings stand in double quotation marks"),
        ('{"identity": "a.test"}, ', "one whole JSON object a line"),
    ],
)
def test_what_python_and_arrays_leave_in_a_line(read: Reading, line: str, mend: str) -> None:
    [record] = read(line + "\n", "in.jsonl")
    assert hints(record)[0].startswith(mend)


def test_places_are_counted_from_one(read: Reading) -> None:
    [record] = read('{"identity": "a.test", "policy_name": 1e999999999999999999999}\n', "in.jsonl")
    assert not record.problems or "(byte" not in record.problems[0].message


# Names of other APIs and of files


@pytest.mark.parametrize("name", ["EmailIdentity", "email_identity", "Domain", "identty"])
def test_another_name_of_a_field_is_to_be_renamed(read: Reading, name: str) -> None:
    mend = f"rename \"{name}\" to identity, or give `columns='identity={name}'`"
    [record] = read(f'{{"{name}": "a.test", "policy_name": "p", "policy": {TEXT}}}\n', "in.jsonl")
    assert [(it.where, it.hint) for it in record.problems] == [("identity", mend)]
    assert hints(as_record({name: "a.test", "PolicyName": "p"}, 0)) == [mend]
    with pytest.raises(InputError) as refused:
        read(f"{name},policy_name,policy\na.test,p,x\n")
    assert refused.value.hint == mend


EXPORT = "batchpol export `identities='NAME'` writes whole records"


@pytest.mark.parametrize("content", ['{"Policies": {"p": "{}"}}', '{"PolicyNames": ["p"]}', '{"Policies": {}}'])
def test_an_answer_of_ses_names_no_identity(read: Reading, content: str) -> None:
    [record] = read(content + "\n", "in.jsonl")
    assert record.problems[0].where == "identity"
    assert hints(record) == [EXPORT]


def test_an_answer_of_ses_over_several_lines(read: Reading) -> None:
    with pytest.raises(InputError, match="names no identity") as refused:
        read('{\n    "Policies": {\n        "p": "{}"\n    }\n}\n', "in.jsonl")
    assert refused.value.hint == EXPORT


@pytest.mark.parametrize(
    "cell, mend",
    [
        ("fileb://p.json", "did you mean file://p.json?"), ("p.json", "did you mean file://p.json?"),
        ("./p.json", "did you mean file://p.json?"), ("file:p.json", "did you mean file://p.json?"),
        ("FILE://p.json", "did you mean file://p.json?"), ("@p.json", "did you mean file://p.json?"),
        ("< p.json", "did you mean file://p.json?"), ("policies/p.json", "did you mean file://policies/p.json?"),
        (" p.json ", "did you mean file://p.json?"), ("policies\\p.json", "did you mean file://policies/p.json?"),
        ("@p.txt", "did you mean file://p.txt?"), ("filename.JSON", "did you mean file://filename.JSON?"),
        ("../p.json", "write file:// and a path beside the input"),
        ("/etc/p.json", "write file:// and a path beside the input"),
        ("~/p.json", "write file:// and a path beside the input"),
        ("C:\\p.json", "write file:// and a path beside the input"),
    ],
)  # fmt: skip
def test_a_file_named_as_elsewhere_is_one_finding(read: Reading, cell: str, mend: str) -> None:
    [record] = read(f"{HEAD}a.test,p,{cell}\n")
    assert [(it.code, it.where, it.hint) for it in record.problems] == [("policy-file", "policy", mend)]
    [of_program] = [as_record({"identity": "a.test", "name": "p", "policy": cell}, 0)]
    assert hints(of_program) == ["give the document itself; file:// is for input files"]


@pytest.mark.parametrize("cell", ["", " ", "x", "p", "Allow", "{}", "[]", "example.com", '"p.json"', "ey.json" * 200])
def test_what_is_no_name_of_a_file_is_left_to_validation(read: Reading, cell: str) -> None:
    quoted = cell.replace('"', '""')
    assert [record.problems for record in read(f'{HEAD}a.test,p,"{quoted}"\n')] == [()]


# Values of programs


class NAType:
    """As pandas has it: not equal to anything, and no truth."""

    def __eq__(self, other: object) -> Any:
        return self

    def __hash__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        raise TypeError


class Account(Enum):
    MAIL = 123456789012


@pytest.mark.parametrize("value", [123456789012, 123456789012.0, "123456789012", True + 123456789011])
def test_an_account_may_be_a_number(value: Any) -> None:
    record = as_record({"identity": "a.test", "name": "p", "policy": {}, "account": value}, 0)
    assert (record.account, record.problems) == ("123456789012", ())


@pytest.mark.parametrize(
    "value, mend",
    [
        (12345678901, "was it 012345678901 before a spreadsheet dropped leading zeros?"),
        (12345678901.0, "was it 012345678901 before a spreadsheet dropped leading zeros?"),
        (1.5, "a spreadsheet rounded it: format the column as text, and write all 12 digits"),
        (7, 'write it as text of 12 digits ("012345678901"): a number loses its leading zeros'),
        (Account.MAIL, ""),
        (True, ""),
    ],
)
def test_another_number_is_no_account(value: Any, mend: str) -> None:
    record = as_record({"identity": "a.test", "name": "p", "policy": {}, "account": value}, 0)
    assert [(it.code, it.where, it.hint) for it in record.problems] == [("record-field", "account", mend)]


@pytest.mark.parametrize("nothing", [None, math.nan, Decimal("nan"), NAType()])
def test_an_empty_cell_of_a_program_s_table(nothing: Any) -> None:
    item = {"identity": "a.test", "name": "p", "policy": {}, "account": nothing, "region": nothing, "action": nothing}
    record = as_record({**item, "note": nothing}, 0)
    assert (record.account, record.region, record.action, record.extra) == (None, None, "put", {"note": ""})
    assert record.problems == ()
    (problem,) = as_record({**item, "identity": nothing}, 0).problems
    assert problem.message == "the field identity is missing"


def test_a_number_in_a_file_is_taken_as_in_a_program(read: Reading) -> None:
    line = '{"identity": "a.test", "policy_name": "p", "policy": "{}", "account": %s}\n'
    [whole, decimal] = read(line % "123456789012" + line % "123456789012.0", "in.jsonl")
    assert (whole.account, whole.problems) == ("123456789012", ())
    assert hints(decimal) == ["write 123456789012"]


def test_the_layout_knows_how_the_header_writes_a_field(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("Identity, name ,policy\na.test,p,x\n")
    with open_source(tmp_path / "in.csv") as source:
        assert source.layout is not None
        assert source.layout.spelled == {"identity": "Identity", "policy_name": "name", "policy": "policy"}
