"""The report of a validation: one line a record, amended where a later record changed an earlier one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchpol.model import Finding, Record, Severity
from batchpol.model.errors import UsageError
from batchpol.report import FindingsReport

WARNING = Finding(Severity.WARNING, "principal-anyone", "/Statement/0/Principal", "anyone")
ERROR = Finding(Severity.ERROR, "batch-conflict", "record", "line 4 has another document", "keep one")


def record(line: int, identity: str, policy_name: str) -> Record:
    return Record(identity, policy_name, line=line, file="v.csv")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_one_line_a_record(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    with FindingsReport(path) as report:
        report.add(record(2, "a.example", "p"), "valid", (WARNING,))
        report.add(record(3, "\ud800", ""), "rejected", (ERROR,))
    assert rows(path) == [
        {
            "file": "v.csv",
            "line": 2,
            "identity": "a.example",
            "policy_name": "p",
            "status": "valid",
            "findings": [
                {
                    "severity": "warning",
                    "code": "principal-anyone",
                    "where": "/Statement/0/Principal",
                    "message": "anyone",
                }
            ],
        },
        {
            "file": "v.csv",
            "line": 3,
            "identity": "?",
            "policy_name": "",
            "status": "rejected",
            "findings": [
                {
                    "severity": "error",
                    "code": "batch-conflict",
                    "where": "record",
                    "message": "line 4 has another document",
                    "hint": "keep one",
                }
            ],
        },
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_earlier_record_is_amended(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    with FindingsReport(path) as report:
        for number in range(4):
            report.add(record(number + 2, f"{number}.example", "p"), "valid", (WARNING,))
        report.amend(1, "rejected", ERROR)
        report.amend(1, "rejected", ERROR)
        report.add(record(6, "4.example", "p"), "rejected", ())
    found = rows(path)
    assert [row["identity"] for row in found] == [f"{number}.example" for number in range(5)]
    assert [row["status"] for row in found] == ["valid", "rejected", "valid", "valid", "rejected"]
    assert [finding["code"] for finding in found[1]["findings"]] == ["principal-anyone", *["batch-conflict"] * 2]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("amended", [False, True])
def test_an_error_on_the_way_leaves_nothing(tmp_path: Path, amended: bool) -> None:
    with pytest.raises(RuntimeError), FindingsReport(tmp_path / "v.jsonl") as report:
        report.add(record(2, "a.example", "p"), "valid", ())
        if amended:
            report.amend(0, "rejected", ERROR)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_its_place_and_format(tmp_path: Path) -> None:
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "elsewhere")
    for name in ("v.csv", "link.jsonl"):
        with pytest.raises(UsageError):
            FindingsReport(tmp_path / name)
