"""Reports written to files: every row, the right cells, nothing a spreadsheet would run, safe in their place."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchpol.files import check_place
from batchpol.model import Finding, Outcome, Severity, Status
from batchpol.model.errors import BatchpolError, UsageError
from batchpol.report import check_suffix, write_report
from batchpol.report.rows import COLUMNS
from batchpol.source import open_source

POLICY = '{"Version": "2012-10-17", "Statement": [{"Sid": "a, \\"b\\""}]}'
ERRORS = (
    Finding(Severity.WARNING, "policy-version", "/Version", "an odd version"),
    Finding(Severity.ERROR, "name-syntax", "policy_name", 'bad name "a b"', "use a-b"),
    Finding(Severity.ERROR, "policy-size", "policy", "5,000 bytes"),
)


def applied(number: int = 0, **more: Any) -> Outcome:
    fields: dict[str, Any] = {
        "number": number,
        "line": number + 2,
        "identity": f"tenant-{number}.example",
        "policy_name": "sending",
        "status": Status.APPLIED,
        "region": "eu-west-1",
        "account": "111122223333",
        "attempts": 1,
        "request_id": "r-1",
        "started_at": "2026-03-01T08:00:01.000Z",
        "duration_ms": 81.5,
        "sha256": "ab" * 32,
        "policy": POLICY,
    }
    return Outcome(**(fields | more))


def rejected(number: int = 0, **more: Any) -> Outcome:
    return Outcome(
        number=number, line=number + 2, identity="a b", policy_name="", status=Status.REJECTED, findings=ERRORS, **more
    )


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def json_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_csv_columns_and_cells(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    write_report([applied(extra={"tenant": "Zoë, Ltd"}), rejected(1)], path, columns=("tenant",))
    header, *_ = path.read_text("utf-8").split("\n")
    assert header == (
        "line,identity,policy_name,region,account,action,status,error_code,message,attempts,request_id,started_at,"
        "duration_ms,policy_sha256,tenant"
    )
    first, second = csv_rows(path)
    assert first == {
        "line": "2",
        "identity": "tenant-0.example",
        "policy_name": "sending",
        "region": "eu-west-1",
        "account": "111122223333",
        "action": "put",
        "status": "applied",
        "error_code": "",
        "message": "",
        "attempts": "1",
        "request_id": "r-1",
        "started_at": "2026-03-01T08:00:01.000Z",
        "duration_ms": "81.5",
        "policy_sha256": "ab" * 32,
        "tenant": "Zoë, Ltd",
    }
    assert (second["error_code"], second["message"]) == ("name-syntax", 'bad name "a b" (use a-b); 5,000 bytes')
    assert (second["attempts"], second["duration_ms"], second["tenant"]) == ("0", "", "")
    assert b"\r" not in path.read_bytes()


def test_json_lines_members(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_report([applied(extra={"tenant": "Zoë"}), rejected(1)], path)
    first, second = json_rows(path)
    assert list(first) == [*COLUMNS, "findings", "tenant"]
    assert (first["line"], first["attempts"], first["duration_ms"]) == (2, 1, 81.5)
    assert (first["error_code"], first["message"], first["findings"]) == (None, None, [])
    assert (second["policy_name"], second["duration_ms"], second["account"]) == (None, None, None)
    assert second["findings"] == [
        {"severity": "warning", "code": "policy-version", "where": "/Version", "message": "an odd version"},
        {
            "severity": "error",
            "code": "name-syntax",
            "where": "policy_name",
            "message": 'bad name "a b"',
            "hint": "use a-b",
        },
        {"severity": "error", "code": "policy-size", "where": "policy", "message": "5,000 bytes"},
    ]


def test_a_duplicate_says_of_what(tmp_path: Path) -> None:
    found = Finding(Severity.WARNING, "batch-duplicate", "record", "the same as line 2")
    write_report([applied(status=Status.DUPLICATE, findings=(found,))], tmp_path / "r.csv")
    (row,) = csv_rows(tmp_path / "r.csv")
    assert (row["error_code"], row["message"]) == ("batch-duplicate", "the same as line 2")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_extra_columns_called_like_ours_get_a_prefix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"r.{suffix}"
    columns = ("status", "Line", "input_line", "policy", "findings", "name")
    write_report([applied(extra={column: f"my {column}" for column in columns})], path, columns=columns)
    (row,) = csv_rows(path) if suffix == "csv" else json_rows(path)
    assert row["status"] == "applied"
    assert {name: row[name] for name in row if str(row[name]).startswith("my ")} == {
        "input_status": "my status",
        "input_Line": "my Line",
        "input_input_line": "my input_line",
        "input_policy": "my policy",
        "input_findings": "my findings",
        "input_name": "my name",
    }


FORMULAS = ["=1+1", "+1", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x","y")']


@pytest.mark.parametrize("formula", FORMULAS)
def test_formulas_are_neutralised_in_csv(tmp_path: Path, formula: str) -> None:
    path = tmp_path / "r.csv"
    outcome = applied(
        identity=formula,
        policy_name=formula,
        region=formula,
        account=formula,
        action=formula,
        status=Status.FAILED,
        error_code=formula,
        message=formula,
        request_id=formula,
        started_at=formula,
        sha256=formula,
        extra={formula: formula},
        policy=formula,
    )
    write_report([outcome], path, columns=(formula,), only=[outcome.status])
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file, strict=True):
            assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    (row,) = csv_rows(path)
    written = "'" + formula.replace("=1", "'=1") if formula[0].isspace() else "'" + formula
    assert row["message"] == row[written] == written


def test_numbers_and_plain_names_are_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    write_report([applied(policy_name="-tenant_1", duration_ms=-0.5)], path)
    (row,) = csv_rows(path)
    assert (row["policy_name"], row["duration_ms"]) == ("-tenant_1", "-0.5")


def test_json_lines_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_report([applied(identity="=x@example.com", extra={"a": "=1\x1b[2J"})], path)
    assert b"\x1b" not in path.read_bytes()
    (row,) = json_rows(path)
    assert (row["identity"], row["a"]) == ("=x@example.com", "=1\x1b[2J")


cells = st.text(max_size=12) | st.sampled_from([*FORMULAS, '"', '""', ",", "a\r\nb", "a\rb", "\x00", "{", "'x"])
hostile = st.text(alphabet=";,|\t\r\n \"'=+-@x", max_size=12)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=4))
def test_any_text_comes_back_from_csv(tmp_path: Path, texts: list[tuple[str, str, str]]) -> None:
    path = tmp_path / "r.csv"
    write_report((applied(identity=a, message=b, extra={"x": c}) for a, b, c in texts), path, columns=("x",))
    for row, expected in zip(csv_rows(path), texts, strict=True):
        for cell, text in zip((row["identity"], row["message"], row["x"]), expected, strict=True):
            assert cell == text or cell.replace("'", "") == text.replace("'", "")
            assert cell == text or re.search(r"[=+\-@＝＋－＠]|^[\t\r\n]", text)


def run_by_a_spreadsheet(text: str) -> list[str]:
    """The cells that a spreadsheet would take for formulas, however it splits the file and takes its quotes."""
    found = []
    for delimiter, begins in ((",", "=+-@"), (";", "=+-@"), ("\t", "=+-@"), ("|", "=+-@"), (" ", "=@")):
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            lines = text.splitlines() if quoting == csv.QUOTE_NONE else text.splitlines(keepends=True)
            for row in csv.reader(lines, delimiter=delimiter, quoting=quoting):
                found += [cell for cell in row if cell.startswith(tuple(begins))]
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(hostile, hostile, hostile, hostile))
def test_no_spreadsheet_runs_a_cell_wherever_it_splits_it(tmp_path: Path, texts: tuple[str, ...]) -> None:
    path, (policy, message, extra, name) = tmp_path / "r.csv", texts
    outcome = applied(policy=policy, message=message, extra={"x" + name: extra}, status=Status.FAILED)
    write_report([outcome], path, columns=("x" + name,), only=[Status.FAILED])
    assert run_by_a_spreadsheet(path.read_text().replace("\r", "\n")) == []


@pytest.mark.parametrize("cell", ["x;=cmd|' /C calc'!A0", 'x;"=1"', "a\n@SUM(A1)", "a\t+1", "a|-1", "a =1", "a,＝1"])
def test_a_cell_is_neutral_behind_every_separator(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "r.csv"
    write_report([applied(extra={"note": cell})], path, columns=("note",))
    (row,) = csv_rows(path)
    assert row["note"].replace("'", "", 1) == cell or row["note"] == "x;'=cmd|' /C calc'!A0"


def test_what_people_write_stays_as_it_is(tmp_path: Path) -> None:
    path, notes = tmp_path / "r.csv", ("call +49 30 123", "5 - 3; or 4", "a-b, c+d", "https://x.example/?a=b&c=-d", "'")
    write_report([applied(extra={str(at): note for at, note in enumerate(notes)})], path, columns=tuple("01234"))
    (row,) = csv_rows(path)
    assert tuple(row[str(at)] for at in range(5)) == notes


def test_a_document_stays_what_it_is_where_a_cell_of_it_would_run(tmp_path: Path) -> None:
    """Mended and applied, it is the same policy, and one that hides nothing is the same text."""
    hostile = {"Sid": "x;=cmd|' /C calc'!A0", "Numbers": [1, -2], "Text": 'y;"=1" \\"@ z'}
    for document, same in ((json.dumps({"Statement": [hostile]}, indent=0), False), (POLICY, True)):
        path = tmp_path / "r.csv"
        write_report([applied(policy=document, status=Status.FAILED)], path, only=[Status.FAILED])
        (row,) = csv_rows(path)
        assert json.loads(row["policy"]) == json.loads(document)
        assert (row["policy"] == document) is same
        assert set(run_by_a_spreadsheet(path.read_text())) <= {"-2"}, "a number is one for a spreadsheet, too"


def test_text_without_utf_8_does_not_stop_a_report(tmp_path: Path) -> None:
    for name in ("r.csv", "r.jsonl", "r.html"):
        write_report([applied(message="a\ud800b")], tmp_path / name)
    assert csv_rows(tmp_path / "r.csv")[0]["message"] == "a?b"
    assert json_rows(tmp_path / "r.jsonl")[0]["message"] == "a?b"


# A report as input


def read_back(path: Path) -> list[Any]:
    with open_source(path) as source:
        return list(source)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_report_of_failed_rows_is_an_input(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"failed.{suffix}"
    outcomes = [
        applied(0),
        applied(1, status=Status.FAILED, error_code="InvalidPolicy", message='no "x"', extra={"tenant": "T, 1"}),
        applied(2, status=Status.FAILED, identity="=odd+x@example.com", policy="\t" + POLICY + "\n"),
        applied(3, status=Status.FAILED, action="delete", policy="", identity="Case@Example.com", policy_name="-p"),
        rejected(4),
    ]
    write_report(outcomes, path, columns=("tenant",), only={Status.FAILED})
    records = read_back(path)
    odd = "arn:aws:ses:eu-west-1:111122223333:identity/=odd+x@example.com" if suffix == "csv" else records[1].identity
    assert [(one.identity, one.policy_name, one.action, one.policy) for one in records] == [
        ("tenant-1.example", "sending", "put", POLICY),
        (odd, "sending", "put", POLICY),
        ("Case@Example.com", "-p", "delete", ""),
    ]
    assert not any(one.problems for one in records)
    assert {(one.account, one.region) for one in records} == {("111122223333", "eu-west-1")}
    carried = records[0].extra
    assert (carried["tenant"], carried["line"], carried["error_code"]) == ("T, 1", "3", "InvalidPolicy")


def test_a_report_of_a_report_of_a_report(tmp_path: Path) -> None:
    """Each run's columns are carried by the next one, none lost, none mistaken for a field."""
    path = tmp_path / "0.csv"
    write_report(
        [applied(status=Status.FAILED, extra={"tenant": "T"})], path, columns=("tenant",), only=[Status.FAILED]
    )
    for number in range(1, 4):
        (record,) = read_back(path)
        path = tmp_path / f"{number}.csv"
        again = applied(number, status=Status.FAILED, extra=record.extra)
        write_report([again], path, columns=tuple(record.extra), only=[again.status])
    (row,) = csv_rows(path)
    assert len(set(row)) == len(row) == len(COLUMNS) + 2 + 3 * (len(COLUMNS) - 5)
    assert row["tenant"] == "T"
    assert [row["input_" * depth + "line"] for depth in range(4)] == ["5", "4", "3", "2"]


# Its place


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.html"])
def test_it_is_private_and_replaces_the_old_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("old")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        write_report([applied()], path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "tenant-0.example" in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["r.txt", "r", "r.csv.gz", "r.htm"])
def test_an_unknown_format_names_those_there_are(tmp_path: Path, name: str) -> None:
    for refused in (check_suffix, lambda path: write_report([], path)):
        with pytest.raises(UsageError) as caught:
            refused(tmp_path / name)
        assert ".csv, .jsonl or .html" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_links_and_other_things_in_its_place_are_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "link.csv").symlink_to(tmp_path / "victim")
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for path in [tmp_path / f"{name}.csv" for name in ("link", "dangling", "folder", "pipe")]:
        for refused in (check_place, lambda path: write_report([applied()], path)):
            with pytest.raises(UsageError):
                refused(path)
    for name in ("link", "dangling"):
        with pytest.raises(UsageError, match="symbolic link"):
            check_place(tmp_path / f"{name}.csv")
    with pytest.raises(UsageError, match="folder that is not there"):
        check_place(tmp_path / "no" / "r.csv")
    assert (tmp_path / "victim").read_text() == "untouched"
    assert len(list(tmp_path.iterdir())) == 5


def test_an_error_on_the_way_leaves_the_old_report(tmp_path: Path) -> None:
    def failing() -> Iterator[Outcome]:
        yield applied()
        raise RuntimeError("the journal broke off")

    path = tmp_path / "r.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        write_report(failing(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    import resource

    def many() -> Iterable[Outcome]:
        return (applied(number) for number in range(5_000))

    path = tmp_path / "r.csv"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(BatchpolError, match="cannot be written: File too large"):
            write_report(many(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sheet", "mark", "delimiter"),
    [("", "", ","), ("\ufeff", "\ufeff", ","), ("\ufeff;", "\ufeff", ";"), (";", "", ";")],
)
def test_a_table_is_written_as_the_list_was(tmp_path: Path, sheet: str, mark: str, delimiter: str) -> None:
    path, page = tmp_path / "r.csv", tmp_path / "r.html"
    outcomes = [applied(0, status=Status.FAILED, extra={"Größe": "1,5;2"})]
    write_report(outcomes, path, columns=("Größe",), sheet=sheet, only={Status.FAILED})
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"{mark}line{delimiter}identity") and text.count("\ufeff") == len(mark)
    [record] = read_back(path)
    assert (record.identity, record.extra["Größe"]) == (outcomes[0].identity, "1,5;2")
    write_report(outcomes, page, columns=("Größe",), sheet=sheet)
