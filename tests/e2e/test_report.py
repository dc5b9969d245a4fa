"""What a run leaves behind: reports, the summary, and nothing lost when nobody reads them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from batchpol.testing import Sandbox
from tests.e2e.command import (
    FAST,
    PATIENCE,
    arrived,
    await_that,
    environment,
    finish,
    lines,
    record,
    rows,
    run,
    save_lines,
    save_table,
    start,
    tenants,
)
from tests.e2e.test_main_job import COLUMNS


def test_every_rendering_says_the_same(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    """Twice --report, and the summary as one JSON object."""
    records = [
        record("good.example", tenant="=1+1", status="live"),
        record("bad example", tenant="2", status="live"),
        record("unverified.invalid", tenant="3", status=""),
        record("good.example", tenant="4", status=""),
    ]
    save_table(tmp_path / "four.csv", records)
    reports = ("--report", "out/table.csv", "--report", "out/rows.jsonl")
    (tmp_path / "out").mkdir()
    ended = run("apply", "four.csv", *FAST, "--blind", *reports, "--output", "json", cwd=tmp_path, env=aws)
    assert ended.code == 1, ended.err

    table, objects = rows(tmp_path / "out/table.csv"), lines(tmp_path / "out/rows.jsonl")
    assert list(table[0]) == [*COLUMNS, "tenant", "input_status"]
    assert list(objects[0]) == [*COLUMNS, "findings", "tenant", "input_status"]
    for row, same in zip(table, objects, strict=True):
        assert {name: row[name].lstrip("'") for name in COLUMNS} == {
            name: "" if same[name] is None else str(same[name]) for name in COLUMNS
        }
    assert [row["status"] for row in objects] == ["applied", "rejected", "failed", "duplicate"]
    assert (table[0]["tenant"], objects[0]["tenant"]) == ("'=1+1", "=1+1"), "a spreadsheet would run it"
    assert objects[1]["findings"][0]["code"] == objects[1]["error_code"]
    assert objects[2]["message"] == "Identity unverified.invalid is not verified."
    assert objects[3]["message"].startswith("The same as line 2")

    summary = ended.summary
    assert summary["records"] == 4
    assert summary["counts"] == {
        "applied": 1, "unchanged": 0, "rejected": 1, "failed": 1, "unknown": 0, "duplicate": 1, "not_attempted": 0,
    }  # fmt: skip
    assert summary["exit_code"] == 1
    assert summary["reason"] == "finished"
    assert summary["reports"] == ["out/table.csv", "out/rows.jsonl"]
    assert summary["journal"] == "four.journal.jsonl"
    assert not (tmp_path / "four.report.csv").exists(), "the default is for those who name none"


def test_nobody_reads_and_nothing_is_lost(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    save_lines(tmp_path / "two.jsonl", [*tenants(2), record("bad identity")])
    read, closed = os.pipe()
    os.close(read)
    with open("/dev/full", "wb") as full, os.fdopen(closed, "wb") as pipe:
        outputs = {"pipe": pipe.fileno(), "full": full.fileno()}
        processes = {}
        for name, output in outputs.items():
            more = ("--report", f"{name}.csv", "--journal", f"{name}.journal.jsonl", "--output", "json")
            processes[name] = start("apply", "two.jsonl", *FAST, "--blind", *more, cwd=tmp_path, env=aws, stdout=output)
        processes["validate"] = start("validate", "two.jsonl", "--report", "found.jsonl", cwd=tmp_path, stdout=pipe)
        ended = {name: finish(process) for name, process in processes.items()}
    assert {name: it.code for name, it in ended.items()} == {"pipe": 1, "full": 1, "validate": 1}
    assert "standard output cannot be written: No space left on device" in ended["full"].err
    for name in outputs:
        assert [row["status"] for row in rows(tmp_path / f"{name}.csv")] == ["applied", "applied", "rejected"]
    assert [row["status"] for row in lines(tmp_path / "found.jsonl")] == ["valid", "valid", "rejected"]


def test_standard_streams_that_are_closed(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    save_lines(tmp_path / "two.jsonl", tenants(2))
    command = f"batchpol apply two.jsonl {' '.join(FAST)} <&- >&- 2>&-"
    ended = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=environment(tmp_path, **aws), timeout=PATIENCE)
    assert ended.returncode == 0
    assert [row["status"] for row in rows(tmp_path / "two.report.csv")] == ["applied", "applied"]


def test_a_report_that_cannot_be_written_at_the_end(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    """What was sent was sent: the other report is there, the exit code is not that of "nothing was sent"."""
    save_table(tmp_path / "two.csv", tenants(2))
    (tmp_path / "out").mkdir()
    reports = ("--report", "out/first.csv", "--report", "second.csv")
    process = start("apply", "two.csv", "--yes", "--blind", *reports, cwd=tmp_path, env=aws)
    await_that(arrived(ses_sandbox, "PutIdentityPolicy"), process)
    (tmp_path / "out").rmdir()
    ended = finish(process)
    assert ended.code == 3
    assert "out/first.csv would be in a folder that is not there; make out first" in ended.err
    assert [row["status"] for row in rows(tmp_path / "second.csv")] == ["applied", "applied"]
