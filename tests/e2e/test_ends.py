"""Ends that mislead nobody, by the installed command: an outage, a journal altered or looked at, places, outputs."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchpol.sandbox import Owner
from batchpol.testing import Sandbox
from tests.e2e.command import ACCOUNT, FAST, REGION, policy, record, rows, run, save_lines, save_table, tenants


def test_the_last_records_under_endless_503_are_an_outage(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    """They were unknown, each by itself, with exit code 1."""
    ses_sandbox.change(faults_at={"unavailable@PutIdentityPolicy": range(3, 10_000)})
    save_lines(tmp_path / "in.jsonl", tenants(8))
    options = (*FAST, "--blind", "--max-attempts", "2", "--max-outage", "3")
    ended = run("apply", "in.jsonl", *options, cwd=tmp_path, env=aws)
    assert ended.code == 3, ended.err
    assert "took nothing for" in ended.err
    assert Counter(row["status"] for row in rows(tmp_path / "in.report.csv")) == {"applied": 2, "unknown": 6}


def test_a_journal_whose_line_ends_were_turned_is_refused_and_kept(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    save_lines(tmp_path / "in.jsonl", tenants(2))
    assert run("apply", "in.jsonl", *FAST, cwd=tmp_path, env=aws).code == 0
    journal = tmp_path / "in.journal.jsonl"
    turned = journal.read_bytes().replace(b"\n", b"\r")
    journal.write_bytes(turned)
    ended = run("apply", "in.jsonl", *FAST, cwd=tmp_path, env=aws)
    assert ended.code == 2 and "it is more than one line" in ended.err, ended.err
    assert journal.read_bytes() == turned


@contextmanager
def looked_at(journal: Path) -> Iterator[None]:
    """``status`` takes the lock for a moment, of the kind that can be shared; here it does so all the time."""
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            with journal.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                time.sleep(0.02)
            time.sleep(0.002)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()


def test_who_looks_at_a_journal_refuses_no_run_that_starts(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    save_lines(tmp_path / "in.jsonl", tenants(2))
    assert run("apply", "in.jsonl", *FAST, cwd=tmp_path, env=aws).code == 0
    with looked_at(tmp_path / "in.journal.jsonl"):
        ended = run("apply", "in.jsonl", *FAST, cwd=tmp_path, env=aws)
    assert ended.code == 0, ended.err


def test_no_cell_of_a_report_runs_wherever_a_spreadsheet_splits_it(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    save_table(tmp_path / "in.csv", [record("a.example", note="x;=cmd|' /C calc'!A0")])
    assert run("apply", "in.csv", *FAST, cwd=tmp_path, env=aws).code == 0
    text = (tmp_path / "in.report.csv").read_text()
    assert "=cmd" in text and ";=cmd" not in text


def test_what_ses_had_is_put_back_whatever_our_rules_say_of_it(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    """A prune deletes a policy with a key that is newer than our tables, and an undo brings it back."""
    newer = json.dumps(policy("a.example", Condition={"Bool": {"aws:ViaAWSMCPServices": "true"}}))
    owner = Owner(ACCOUNT, REGION, "a.example")
    ses_sandbox.store.put(owner, "old", newer)
    save_lines(tmp_path / "in.jsonl", [record("a.example", "new")])
    assert run("apply", "in.jsonl", *FAST, "--prune", cwd=tmp_path, env=aws).code == 0
    assert set(ses_sandbox.store.get(owner)) == {"new"}
    assert run("undo", "in.journal.jsonl", "-o", "undo.jsonl", cwd=tmp_path, env=aws).code == 0
    ended = run("apply", "undo.jsonl", *FAST, cwd=tmp_path, env=aws)
    assert ended.code == 0, ended.err
    assert set(ses_sandbox.store.get(owner)) == {"old"}


def test_no_output_replaces_an_input_or_a_journal(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    table = save_lines(tmp_path / "in.jsonl", tenants(2))
    assert run("apply", "in.jsonl", *FAST, cwd=tmp_path, env=aws).code == 0
    journal = tmp_path / "in.journal.jsonl"
    before = table.read_bytes(), journal.read_bytes()
    for arguments in (
        ("validate", "in.jsonl", "--report", "in.jsonl"),
        ("undo", "in.journal.jsonl", "-o", "in.journal.jsonl"),
        ("plan", "in.jsonl", "--report", "in.journal.jsonl"),
        ("report", "in.journal.jsonl", "--report", "in.jsonl"),
    ):
        ended = run(*arguments, cwd=tmp_path, env=aws)
        assert ended.code == 2 and "name another file" in ended.err, ended.err
        assert (table.read_bytes(), journal.read_bytes()) == before, arguments


def test_a_run_says_where_its_records_go_and_goes_nowhere_else(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    far = "eu-west-1"
    save_lines(tmp_path / "in.jsonl", [record("a.example", region=far, policy=policy("a.example", region=far))])
    ended = run("apply", "in.jsonl", *FAST, "--dry-run", cwd=tmp_path, env=aws)
    assert ended.code == 0 and f"{ACCOUNT}/{far}" in ended.err, ended.err
    role = ("--role-arn", "arn:aws:iam::{account}:role/Mail", "--expect-account", ACCOUNT)
    other = policy("b.example", account="444455556666")
    save_lines(tmp_path / "other.jsonl", [record("b.example", account="444455556666", policy=other)])
    ended = run("apply", "other.jsonl", *FAST, *role, cwd=tmp_path, env=aws)
    assert ended.code == 2 and "444455556666" in ended.err, ended.err
    assert not ses_sandbox.store.policies


def test_another_input_of_the_same_name_gets_not_into_this_ones_journal(
    tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]
) -> None:
    for region in ("eu", "us"):
        (tmp_path / region).mkdir()
        save_lines(tmp_path / region / "tenants.jsonl", [record(f"{region}.example")])
    assert run("apply", "eu/tenants.jsonl", *FAST, cwd=tmp_path, env=aws).code == 0
    report = (tmp_path / "tenants.report.csv").read_bytes()
    ended = run("apply", "us/tenants.jsonl", *FAST, cwd=tmp_path, env=aws)
    assert ended.code == 2 and "belongs to another input, eu/tenants.jsonl" in ended.err, ended.err
    assert (tmp_path / "tenants.report.csv").read_bytes() == report
