"""``samples/``: what the README shows is what the files hold."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from batchpol.model import Record, Severity
from batchpol.source import open_source
from batchpol.validation import Checker, Verdict

SAMPLES = Path(__file__).parents[2] / "samples"

MISTAKES = {
    3: "json-comma",
    4: "action-useless",
    5: "resource-mismatch",
    8: "batch-conflict",
    9: "batch-conflict",
    10: "name-long",
    11: "name-characters",
    12: "identity-syntax",
    13: "identity-not-ascii",
    14: "policy-too-long",
    15: "statement-missing",
    16: "record-columns",
    17: "record-quote",
    18: "policy-missing",
    19: "identity-missing",
    21: "record-encoding",
    22: "policy-file-outside",
    23: "policy-file",
    25: "record-quote",
}
"""Line and code of each rejected record of the file with mistakes; its other lines are valid, or a duplicate."""


def records(name: str) -> list[Record]:
    with open_source(SAMPLES / name) as source:
        assert source.notes == []
        return list(source)


def test_the_twins_hold_the_same_records() -> None:
    table, lines = records("tenants.csv"), records("tenants.jsonl")
    assert [replace(record, line=0, file="") for record in table] == [
        replace(record, line=0, file="") for record in lines
    ]


def test_the_clean_file_has_a_dozen_records_and_no_finding() -> None:
    checker = Checker()
    checked = [checker.check(record) for record in records("tenants.csv")]
    assert len(checked) == 12
    assert all(one.status is Verdict.VALID and not one.findings for one in checked)


def test_the_file_with_mistakes_has_one_of_every_kind() -> None:
    checker = Checker()
    found: dict[int, set[str]] = {}
    duplicates = []
    lines = []
    for record in records("tenants-with-mistakes.csv"):
        checked = checker.check(record)
        lines.append(record.line)
        errors = [finding.code for finding in checked.findings if finding.severity is Severity.ERROR]
        found.setdefault(record.line, set()).update(errors)
        if checked.status is Verdict.DUPLICATE:
            duplicates.append(record.line)
        for amendment in checked.amends:
            found[lines[amendment.number]].add(amendment.finding.code)
    assert lines == list(range(2, 27))
    assert {line: codes.pop() for line, codes in found.items() if codes} == MISTAKES
    assert duplicates == [7]
