"""The exit codes through the real command: 2 with one paragraph that says what to do, 3 with what is left to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from batchpol.testing import Sandbox, SandboxOptions, running_sandbox
from tests.e2e.command import ACCOUNT, FAST, Ended, finish, record, rows, run_each, save_table, start, tenants

WRONG: dict[str, tuple[Sequence[str], str]] = {
    "no command": ([], "Usage: batchpol"),
    "no such command": (["aply", "good.csv"], "Did you mean 'apply'?"),
    "no such option": (["apply", "good.csv", "--rgion", "x"], "--region"),
    "no input": (["apply"], "INPUT"),
    "no such file": (["apply", "none.csv", "--sandbox"], "none.csv: there is no such file"),
    "empty": (["apply", "empty.csv", "--sandbox"], "empty.csv is empty"),
    "no header": (["apply", "headless.csv", "--sandbox"], "put a line on top that names the columns"),
    "misspelt column": (["apply", "misspelt.csv", "--sandbox"], 'rename "identty" to identity'),
    "spreadsheet": (["apply", "book.xlsx", "--sandbox"], "save it as CSV UTF-8"),
    "JSON array": (["apply", "array.jsonl", "--sandbox"], "jq -c '.[]' array.jsonl"),
    "stdin without a record": (["apply", "-", "--sandbox"], "standard input is empty"),
    "nobody to ask": (["apply", "good.csv"], "confirm with --yes"),
    "too fast": (["apply", "good.csv", "--sandbox", "--rate", "2"], "--i-have-a-higher-quota"),
    "threshold": (["apply", "good.csv", "--sandbox", "--max-failures", "few"], "for instance 10 or 5%"),
    "duration": (["apply", "good.csv", "--sandbox", "--max-duration", "soon"], "90s, 30m or 2h"),
    "expected account": (["apply", "good.csv", "--sandbox", "--expect-account", "1234"], "12 digits"),
    "two worlds": (["apply", "good.csv", "--sandbox", "--endpoint-url", "http://x"], "leave out --endpoint-url"),
    "unknown form": (["apply", "good.csv", "--sandbox", "--output", "xml"], "text or json"),
    "validate without input": (["validate"], "name files or folders"),
}
"""Wrong from the start, found before AWS's libraries are even loaded: arguments, and what is said."""

UNUSABLE: dict[str, tuple[Sequence[str], str]] = {
    "no Region": (["--yes"], "name one with --region, AWS_REGION, AWS_DEFAULT_REGION or in the profile"),
    "no credentials": (["--yes", "--region", "us-east-1"], "--profile or AWS_PROFILE, or set AWS_ACCESS_KEY_ID"),
    "no such profile": (["--yes", "--profile", "nope"], "(nope)"),
    "finding code": (["--sandbox", "--select", "nonsense"], 'no finding code "nonsense"'),
    "report's format": (["--sandbox", "--report", "out.pdf"], "let its name end in .csv"),
    "report is a folder": (["--sandbox", "--report", "folder.csv"], "name another file with --report"),
    "report is the input": (["--sandbox", "--report", "good.csv"], "good.csv is the input itself"),
}
"""Unusable configuration: arguments after ``apply good.csv``, and what is said."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_table(tmp_path / "good.csv", tenants(2))
    (tmp_path / "empty.csv").touch()
    (tmp_path / "headless.csv").write_text("a.example,tenant,{}\nb.example,tenant,{}\n")
    (tmp_path / "misspelt.csv").write_text("identty,policy_name,policy\na.example,tenant,{}\n")
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04 and so on")
    (tmp_path / "array.jsonl").write_text('[{"identity": "a.example"}]\n')
    (tmp_path / "folder.csv").mkdir()
    return tmp_path


def assert_one_paragraph(ended: Ended, said: str) -> None:
    assert ended.code == 2, ended.err
    assert said in re.sub(r"\s+", " ", ended.err)
    assert ended.out == ""
    assert len(ended.err.splitlines()) <= 4 or ended.err.startswith("Usage: "), ended.err


def test_wrong_arguments_and_inputs_end_in_2(folder: Path) -> None:
    before = set(folder.iterdir())
    ended = run_each({name: arguments for name, (arguments, _) in WRONG.items()}, cwd=folder)
    for name, (_, said) in WRONG.items():
        assert_one_paragraph(ended[name], said)
    assert set(folder.iterdir()) == before, "nothing is left behind"


def test_unusable_configuration_ends_in_2(folder: Path) -> None:
    before = set(folder.iterdir())
    ended = run_each({name: ["apply", "good.csv", *options] for name, (options, _) in UNUSABLE.items()}, cwd=folder)
    for name, (_, said) in UNUSABLE.items():
        assert_one_paragraph(ended[name], said)
    assert set(folder.iterdir()) == before, "nothing is left behind"


def test_what_is_found_after_reading_ends_in_2_with_a_report(
    tmp_path: Path, aws: dict[str, str], ses_sandbox: Sandbox
) -> None:
    doubtful = save_table(tmp_path / "doubtful.csv", [*tenants(2), record("not an identity")])
    strict = start("apply", doubtful, *FAST, "--strict", cwd=tmp_path, env=aws)
    other = ("--expect-account", "999999999999", "--report", "other.csv", "--journal", "other.jsonl")
    mismatch = start("apply", doubtful, *FAST, *other, cwd=tmp_path, env=aws)

    ended = finish(strict)
    assert ended.code == 2
    assert "--strict sends nothing" in ended.err
    assert [row["status"] for row in rows(tmp_path / "doubtful.report.csv")] == ["not_attempted"] * 2 + ["rejected"]

    assert_one_paragraph(finish(mismatch), f"account {ACCOUNT}")
    assert not (tmp_path / "other.jsonl").exists()
    assert {it.operation for it in ses_sandbox.arrivals} == {"GetCallerIdentity"}


EARLY_ENDS: dict[str, tuple[SandboxOptions, Sequence[str], str]] = {
    "failures": (
        SandboxOptions(rate=0, faults_at={"invalid_principal@PutIdentityPolicy": range(2, 99)}),
        ["--no-defer", "--max-failures", "3"],
        "4 of 5 records failed, more than --max-failures allows",
    ),
    "share": (
        SandboxOptions(rate=0, faults_at={"invalid_principal@PutIdentityPolicy": range(1, 99, 2)}),
        ["--no-defer", "--max-failures", "40%"],
        "of 20 records failed, more than --max-failures allows",
    ),
    "expired": (
        SandboxOptions(rate=0, faults_at={"expired_token@PutIdentityPolicy": range(4, 99)}),
        [],
        "renew the credentials",
    ),
    "time": (SandboxOptions(rate=0), ["--max-duration", "1s", "--rate", "1"], "--max-duration of 1 s is over"),
}
"""Runs that end before their records are through: the sandbox, options, and what is said."""


def test_a_run_that_ends_early_ends_in_3_and_says_how_to_go_on(tmp_path: Path) -> None:
    table = save_table(tmp_path / "thirty.csv", tenants(30))
    with ExitStack() as stack:
        processes = {}
        for name, (options, more, _) in EARLY_ENDS.items():
            env = stack.enter_context(running_sandbox(options)).environment()
            (tmp_path / name).mkdir()
            processes[name] = start("apply", table, "--blind", *FAST, *more, cwd=tmp_path / name, env=env)
        ended = {name: finish(process) for name, process in processes.items()}
    for name, (_, _, said) in EARLY_ENDS.items():
        assert ended[name].code == 3, (name, ended[name].err)
        assert said in ended[name].err
        assert "run the same command again" in ended[name].err
        statuses = [row["status"] for row in rows(tmp_path / name / "thirty.report.csv")]
        assert len(statuses) == 30
        assert statuses[-1] == "not_attempted"
        assert "applied" in statuses
    refused = rows(tmp_path / "expired" / "thirty.report.csv")[3]
    assert (refused["status"], refused["error_code"]) == ("not_attempted", "ExpiredToken")
