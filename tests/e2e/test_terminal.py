"""The question before the first write, on a real terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batchpol.testing import Sandbox, SandboxOptions, running_sandbox
from tests.e2e.command import FAST, arrived, await_that, policy, record, rows, run, save_table, tenants
from tests.terminal import Terminal

QUESTION = "? [y/N]"
CTRL_C, CTRL_D = "\x03", "\x04"


@pytest.mark.parametrize("columns", [60, 120, 0])  # 0: nobody told the terminal its size
def test_lines_are_as_long_as_the_terminal_is_wide(tmp_path: Path, columns: int) -> None:
    asked = ("status", "a-journal-that-nobody-wrote.jsonl")
    terminal = Terminal(*asked, cwd=tmp_path, env={"COLUMNS": ""}, columns=columns)  # pytest-xdist sets it
    assert terminal.end() == 2
    first, *_ = terminal.shown.splitlines()
    assert first.startswith("error: the journal a-journal-that-nobody-wrote.jsonl cannot")
    assert ("No such" in first) == (columns != 60)
    assert len(first) <= (columns or 80)


def test_it_asks_and_heeds_the_answer(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    answers = {"n\n": 2, "\n": 2, CTRL_D: 2, CTRL_C: 130, "y\n": 0}
    terminals = {}
    for answer in answers:
        folder = tmp_path / str(len(terminals))
        folder.mkdir()
        save_table(folder / "two.csv", tenants(2))
        fast = ("--rate", "500", "--i-have-a-higher-quota")
        terminals[answer] = folder, Terminal("apply", "two.csv", *fast, cwd=folder, env=aws)
    for _, terminal in terminals.values():
        terminal.read_until(QUESTION)
        assert "account 123456789012, caller arn:aws:iam::123456789012:user/sandbox, Region us-east-1" in " ".join(
            terminal.shown.split()
        )
        assert "2 records: up to 2 to write" in terminal.shown
        assert all(it.operation != "PutIdentityPolicy" for it in ses_sandbox.arrivals)
    for answer, (folder, terminal) in terminals.items():
        terminal.type(answer)
        assert terminal.end() == answers[answer], terminal.shown
        expected = "applied" if answer == "y\n" else "not_attempted"
        assert {row["status"] for row in rows(folder / "two.report.csv")} == {expected}, answer
    assert sum(it.operation == "PutIdentityPolicy" for it in ses_sandbox.arrivals) == 2


def test_every_question_and_input_at_a_terminal_can_be_left(tmp_path: Path, aws: dict[str, str]) -> None:
    save_table(tmp_path / "two.csv", tenants(2))
    driven = ("apply", "two.csv", "--on", "tcp://127.0.0.1:1", "--shards", "2", "--journal", "run1")
    probing = ("probe", "--identity", "a.example")
    typed = [
        (driven, QUESTION, CTRL_D, 2, "error: not confirmed: nothing was submitted"),
        (driven, QUESTION, CTRL_C, 130, "interrupted"),
        (probing, QUESTION, CTRL_D, 2, "error: not confirmed: nothing was asked"),
        (probing, QUESTION, CTRL_C, 130, "interrupted"),
        (("validate", "-"), "{}\r\n", CTRL_D, 1, "0 valid, 1 rejected"),
    ]
    terminals = [Terminal(*line, cwd=tmp_path, env=aws) for line, *_ in typed]
    for terminal, (_, there, key, code, said) in zip(terminals, typed, strict=True):
        if there != QUESTION:
            terminal.type("{}\n")
        terminal.read_until(there)
        terminal.type(key)
        assert (terminal.end(), said in terminal.shown) == (code, True), terminal.shown


def test_a_no_overwrites_no_report(tmp_path: Path, aws: dict[str, str]) -> None:
    save_table(tmp_path / "two.csv", tenants(2))
    assert run("apply", "two.csv", *FAST, cwd=tmp_path, env=aws).code == 0
    report = (tmp_path / "two.report.csv").read_bytes()
    save_table(tmp_path / "two.csv", tenants(4))
    for answer, code in (("n\n", 2), (CTRL_C, 130)):
        terminal = Terminal("apply", "two.csv", "--blind", cwd=tmp_path, env=aws)
        terminal.read_until(QUESTION)
        terminal.type(answer)
        assert terminal.end() == code, terminal.shown
        assert (tmp_path / "two.report.csv").read_bytes() == report


def test_the_input_cannot_command_the_terminal(tmp_path: Path, ses_sandbox: Sandbox, aws: dict[str, str]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202ee"
    save_table(tmp_path / "evil.csv", [record(f"a{evil}.example"), record("b.example", f"n{evil}")])
    terminal = Terminal("apply", "evil.csv", "--yes", cwd=tmp_path, env=aws)
    assert terminal.end() == 1
    shown = terminal.shown
    assert "\\x1b]0;owned\\x07" in shown
    assert not any(sign in shown for sign in ("\x1b]0", "\x07", "\x1b[2J", "\u202e"))


def test_a_terminal_that_is_closed_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    save_table(tmp_path / "three.csv", tenants(3))
    with running_sandbox(SandboxOptions()) as sandbox:
        terminal = Terminal("apply", "three.csv", "--yes", "--blind", cwd=tmp_path, env=sandbox.environment())
        terminal.read_until("3 to write")
        await_that(arrived(sandbox, "PutIdentityPolicy"), terminal.process)
        assert terminal.hang_up() == 143
    statuses = [row["status"] for row in rows(tmp_path / "three.report.csv")]
    assert statuses[0] == "applied"
    assert statuses[-1] == "not_attempted"


def shown_while_running(folder: Path, columns: int, **env: str) -> str:
    """All that a terminal was sent during a run with two lanes, of which one has a failure."""
    table = [record(f"t{number}.example", region="us-east-1") for number in range(2)]
    document = policy("no.invalid", region="eu-west-1")
    table.append(record("no.invalid", region="eu-west-1", policy=document))
    save_table(folder / "lanes.csv", table)
    regions = ("--region", "us-east-1", "--region", "eu-west-1")
    with running_sandbox(SandboxOptions(latency_ms=30)) as sandbox:
        variables = sandbox.environment() | env
        terminal = Terminal("apply", "lanes.csv", "--yes", *regions, cwd=folder, env=variables, columns=columns)
        assert terminal.end() == 1
    return terminal.shown


def test_the_lanes_are_seen_while_they_run_and_failures_above_them(tmp_path: Path) -> None:
    shown = shown_while_running(tmp_path, 100)
    picture = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    said = "line 4: failed: no.invalid / tenant: InvalidParameterValue: Identity no.invalid is not verified."
    assert said in " ".join(picture.split()), "wherever the line is broken"
    assert re.search(r"us-east-1 +[012]/2 ", picture)
    assert re.search(r"eu-west-1 +[01]/1 ", picture)
    assert re.search(r"all 2 +[0-3]/3 ", picture)
    assert "2: t0.example / tenant" in picture
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1, "the cursor is back"
    assert "over, but 1 of 3 records" in picture[picture.rindex("3 records in") :]


def test_without_colour_there_is_no_picture(tmp_path: Path) -> None:
    shown = shown_while_running(tmp_path, 60, NO_COLOR="1")
    assert "\x1b" not in shown
    assert "line 4: failed: no.invalid / tenant:" in shown
