"""CSV and TSV: headers, quoting, and faults kept to the line they stand on."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from batchpol.model import Record
from batchpol.model.errors import InputError
from batchpol.source import open_source
from tests.source.conftest import Reading

HEAD = "identity,policy_name,policy\n"
DOC = '"{""Version"": ""2012-10-17""}"'
TEXT = '{"Version": "2012-10-17"}'


def codes(records: list[Record]) -> list[tuple[int, str]]:
    return [(r.line, r.problems[0].code if r.problems else "") for r in records]


# Headers


@pytest.mark.parametrize(
    "header",
    [
        "identity,policy_name,policy",
        "Identity,PolicyName,Policy",
        "IDENTITY,Name,POLICY",
        " identity , policyname\t, Policy ",
        '"identity","policy_name","policy"',
    ],
)
def test_columns_are_known_in_either_spelling_and_any_case(read: Reading, header: str) -> None:
    [record] = read(f"{header}\nexample.com,p,{DOC}\n")
    assert (record.identity, record.policy_name, record.policy) == ("example.com", "p", TEXT)
    assert (record.action, record.region, record.account, record.extra) == ("put", None, None, {})


def test_columns_stand_in_any_order_and_others_are_carried(read: Reading) -> None:
    [record] = read(
        f"Contact,policy,account,Name,note,identity,region,action,line\nme,{DOC},123456789012,p,,a.test,eu-west-1,delete,7\n"
    )
    assert record.extra == {"Contact": "me", "note": "", "line": "7"}
    assert (record.account, record.region, record.action) == ("123456789012", "eu-west-1", "delete")
    assert (record.identity, record.policy_name, record.policy) == ("a.test", "p", TEXT)


def test_empty_optional_cells_are_defaults(read: Reading) -> None:
    [record] = read("identity,name,policy,region,account,action\na.test,p,x,,,\n")
    assert (record.region, record.account, record.action) == (None, None, "put")


def test_extra_columns_of_one_name_are_both_kept(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("identity,name,policy,note,note,\na.test,p,x,1,2,3\n")
    with open_source(tmp_path / "x.csv") as source:
        assert source.columns == ("note", "note (2)", "column 6")
        assert next(iter(source)).extra == {"note": "1", "note (2)": "2", "column 6": "3"}


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("identity,polcy_name,policy", ['"polcy_name"', "rename", "to policy_name"]),
        ("domain,policy_name,policy", ["no column identity", 'rename "domain" to identity']),
        ("identity,policy_name", ["no column policy", '"identity", "policy_name"']),
        ("identity,policy_name,polcy,action", ["no column policy", 'rename "polcy" to policy']),
        ("identity,name,PolicyName,policy", ['"name" and "PolicyName"', "both stand for policy_name"]),
        ("identity,Identity,name,policy", ["both stand for identity"]),
        (f"example.com,tenant,{DOC}", ["no header", "looks like a record"]),
        ("jane@example.com,tenant,x", ["no header"]),
        ('{"identity": "a.test", "policy_name": "p"}', ["no header", "`format=jsonl`"]),
        ('identity,"policy_name,policy', ["a quote is not closed"]),
        ("identity,name,policy\ra.test,p,x\rb.test,p,x", ["carriage return", "tr "]),
        ("\n \r\n", ["is empty"]),
        ("a", ["no column identity and policy_name and policy"]),
        ("identity,name,policy,n\udcff", ["0xFF", "UTF-8"]),
    ],
)
def test_a_header_that_will_not_do_is_one_error_with_the_mend(read: Reading, header: str, says: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(header.encode(errors="surrogateescape") + b"\n")
    text = f"{caught.value} {caught.value.hint}"
    assert all(part in text for part in says), text
    assert "\n" not in text


@pytest.mark.parametrize("below", ["", "\n", "\n,,\n \n", "\n\r\n"])
def test_a_header_alone_is_an_empty_batch_and_says_so(read: Reading, below: str) -> None:
    with pytest.raises(InputError, match="has a header and no record"):
        read(HEAD.rstrip() + below)


def test_deletes_and_templates_need_no_policy_column(read: Reading) -> None:
    assert read("identity,name,action\na.test,p,delete\n")[0].action == "delete"
    assert read("identity,name\na.test,p\n", policy_required=False)[0].policy == ""
    assert read("identity\na.test\n", policy_required=False, name_required=False)[0].policy_name == ""


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("identity;name;policy;note\na.test;p;x;a,b\n", "semicolons"),
        ("identity\tname\tpolicy\tnote\na.test\tp\tx\ta,b\n", "tabs"),
        ("sep=;\nidentity;name;policy;note\na.test;p;x;a,b\n", ""),
        ("sep=|\r\nidentity|name|policy|note\r\na.test|p|x|a,b\r\n", ""),
    ],
)
def test_another_delimiter_is_taken_when_the_header_says_so(tmp_path: Path, content: str, note: str) -> None:
    (tmp_path / "x.csv").write_text(content)
    with open_source(tmp_path / "x.csv") as source:
        [record] = source
        assert note in " ".join(source.notes)
        assert bool(source.notes) == bool(note)
    assert (record.identity, record.policy, record.extra) == ("a.test", "x", {"note": "a,b"})
    assert record.line == 2 + content.startswith("sep")


def test_a_misspelt_optional_column_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("identity,name,policy,Acount,notes\na.test,p,x,123456789012,\n")
    with open_source(tmp_path / "x.csv") as source:
        assert len(source.notes) == 1
        assert '"Acount"' in source.notes[0]
        assert "account" in source.notes[0]


def test_tsv(read: Reading) -> None:
    [record] = read(f"identity\tpolicy_name\tpolicy\na.test\tp\t{TEXT}\n", "in.tsv")
    assert record.policy == TEXT


# Rows


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lines_count_as_an_editor_counts_them(read: Reading, end: str, mark: bytes) -> None:
    pretty = '"{' + end + '  ""Version"": ""2012-10-17""' + end + '}"'
    rows = ["identity,name,policy", "", f"a.test,p,{pretty}", f"b.test,p,{DOC}", ",,", "  ", f"c.test,p,{DOC}"]
    records = read(mark + end.join(rows).encode())
    assert [(r.identity, r.line) for r in records] == [("a.test", 3), ("b.test", 6), ("c.test", 9)]
    assert records[0].policy == "{" + end + '  "Version": "2012-10-17"' + end + "}"


def test_an_empty_cell_is_passed_on(read: Reading) -> None:
    [record] = read(HEAD + ",p,x\n")
    assert (record.identity, record.policy_name, record.problems) == ("", "p", ())


@pytest.mark.parametrize(
    ("row", "found", "hint"),
    [
        ('a.test,p,{"Version": "2012-10-17", "Statement": []}', 4, "quote the policy"),
        ('a.test,p,{"Version":"2012-10-17","Statement":[]}', 4, "quote the policy"),
        ('a.test,p, "{""Version"": 1, ""Id"": 2}"', 4, "without a blank"),
        ("a.test,p", 2, ""),
        ("a.test,p,x,y,z", 5, ""),
    ],
)
def test_a_wrong_number_of_cells_rejects_the_row(read: Reading, row: str, found: int, hint: str) -> None:
    bad, good = read(f"{HEAD}{row}\nb.test,p,{DOC}\n")
    [problem] = bad.problems
    assert (problem.code, problem.where) == ("record-columns", "record")
    assert f"expected 3 cells as in the header, found {found}" in problem.message
    assert hint in problem.hint
    assert (bad.line, bad.identity, bad.policy_name, bad.policy) == (2, "a.test", "p", "")
    assert (good.line, good.problems) == (3, ())


def test_text_after_a_closing_quote_rejects_the_row(read: Reading) -> None:
    records = read(f'{HEAD}a.test,p,"{TEXT}"\nb.test,p,{DOC}\n')
    assert codes(records) == [(2, "record-quote"), (3, "")]
    assert (records[0].identity, records[0].policy_name) == ("a.test", "p")


@pytest.mark.parametrize("after", [1, 3, 500])
def test_an_unclosed_quote_does_not_swallow_what_follows(read: Reading, after: int) -> None:
    good = "".join(f"t{n}.test,p,{DOC}\n" for n in range(after))
    records = read(f'{HEAD}a.test,p,"{{}}\n{good}')
    assert codes(records) == [(2, "record-quote"), *((n + 3, "") for n in range(after))]
    assert [r.identity for r in records] == ["a.test", *(f"t{n}.test" for n in range(after))]


def test_an_unclosed_quote_without_quotes_behind_it_ends_with_the_file(read: Reading) -> None:
    records = read(f'{HEAD}a.test,p,"x\nb.test,p,y\nc.test,p,z\n')
    assert codes(records) == [(2, "record-quote"), (3, ""), (4, "")]
    assert "before the file ends" in records[0].problems[0].message


def test_an_unclosed_quote_that_a_later_row_happens_to_close(read: Reading) -> None:
    # The quote that opens on line 2 is closed by the first one of line 4, and the sum of the cells is wrong.
    records = read(f'{HEAD}a.test,p,"x\nb.test,p,y\nc.test,","z"\nd.test,p,{DOC}\n')
    assert [r.line for r in records] == [2, 3, 4, 5]
    assert codes(records)[0] == (2, "record-quote")
    assert [r.identity for r in records if not r.problems] == ["b.test", "d.test"]


def test_a_record_over_several_lines_with_wrong_cells_is_one_rejected_record(read: Reading) -> None:
    records = read(f'{HEAD}a.test,p,"{{\n\n}}",more\nb.test,p,{DOC}\n')
    assert codes(records) == [(2, "record-columns"), (5, "")]


def test_a_lone_carriage_return_outside_quotes(read: Reading) -> None:
    records = read(f"{HEAD}a.test,p\rx,y\nb.test,p,{DOC}\n")
    assert codes(records) == [(2, "record-quote"), (3, "")]
    assert "carriage return" in records[0].problems[0].message


@pytest.mark.parametrize(("byte", "shows"), [(b"\xfc", "0xFC at byte 11"), (b"\0", "NUL byte at byte 11")])
def test_a_byte_that_is_no_text_rejects_its_row_only(read: Reading, byte: bytes, shows: str) -> None:
    head = b"identity,name,policy,note\n"
    bad, good = read(head + b"a.test,p,x" + byte + b",y\nb.test,p,x,y\n")
    [problem] = bad.problems
    assert problem.code == "record-encoding"
    assert shows in problem.message
    assert (bad.identity, bad.policy_name, bad.line) == ("a.test", "p", 2)
    assert (good.identity, good.line, good.problems) == ("b.test", 3, ())


def test_a_bad_byte_inside_a_quoted_record_of_several_lines(read: Reading) -> None:
    records = read(HEAD.encode() + b'a.test,p,"{\n\xff\n}"\nb.test,p,x\n')
    assert codes(records) == [(2, "record-encoding"), (5, "")]
    assert records[0].policy == "{\n\ufffd\n}"


def test_a_line_over_a_mebibyte_is_one_rejected_record(read: Reading) -> None:
    most = (1 << 20) - len("a.test,p,")
    records = read(f"{HEAD}a.test,p,{'x' * most}\nb.test,p,{'x' * most}y\nc.test,p,z\n")
    assert codes(records) == [(2, ""), (3, "record-too-long"), (4, "")]
    assert len(records[0].policy) == most
    assert "1,048,577 bytes" in records[1].problems[0].message


def test_long_cells_leave_the_csv_module_as_it_was(read: Reading) -> None:
    before = csv.field_size_limit()
    long = "x" * (before + 10)
    records = read(f'{HEAD}a.test,p,"{long}\n{long}"\nb.test,p,{DOC}\n')
    assert csv.field_size_limit() == before
    assert records[0].policy == f"{long}\n{long}"
    assert codes(records) == [(2, ""), (4, "")]


def test_an_unclosed_quote_before_a_line_that_is_too_long(read: Reading) -> None:
    records = read(f'{HEAD}a.test,p,"x\nb.test,p,y\n{"z" * (1 << 21)}\nc.test,p,z\n')
    assert codes(records) == [(2, "record-quote"), (3, ""), (4, "record-too-long"), (5, "")]


def test_a_quoted_record_over_a_mebibyte_is_not_kept(read: Reading) -> None:
    line = "y" * 60_000 + "\n"
    records = read(f'{HEAD}a.test,p,"' + line * 40 + f"b.test,p,{DOC}\n")
    assert codes(records)[0] == (2, "record-quote")
    assert codes(records)[-1] == (42, "")


@pytest.mark.parametrize("line", ['a",",b\n', '"\n', ',"""\n', 'a,"b\nc,d,e\n', 'a.test,p,"\n'])
def test_hostile_quotes_take_linear_time(read: Reading, line: str) -> None:
    times = []
    for count in (4_000, 16_000):
        began = time.process_time()
        records = read(HEAD + line * count)
        times.append(time.process_time() - began)
        assert records
    # Four times the input; a reader that starts over at every line would need sixteen times as long.
    assert times[1] < times[0] * 9 + 0.3
