"""Who reads what a command says, and how: stops reading, goes away, was never there, has no room."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchpol.testing import Sandbox
from tests.e2e.command import FAST, Ended, arrived, await_that, finish, policy, rows, run, save_lines, start, tenants

MANY = 200
QUICK = ("--rate", "500", "--i-have-a-higher-quota")
PIPE_HOLDS = 4096
"""Bytes that our pipes hold: full before a run is over."""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return save_lines(tmp_path / "in.jsonl", tenants(MANY))


@contextmanager
def unread() -> Iterator[int]:
    """The end to write to of a small pipe that nobody reads, and that stays open."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_HOLDS)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


def is_one_paragraph(ended: Ended, code: int) -> None:
    error, *more = ended.err.splitlines()
    assert (ended.code, error.startswith("error: "), len(more)) == (code, True, 1), ended.err


@pytest.mark.parametrize("both", [False, True], ids=["standard error", "both in one pipe"])
def test_a_run_waits_for_no_reader(many: Path, aws: dict[str, str], both: bool) -> None:
    """A log shipper that stopped: every lane halted, and the run never came to its end."""
    with unread() as stuck:
        output = stuck if both else subprocess.PIPE
        command = ("apply", many, *FAST, "--blind", "--log-format", "json")
        process = start(*command, cwd=many.parent, env=aws, stdout=output, stderr=stuck)
        ended = finish(process)
    assert ended.code == 0
    assert [row["status"] for row in rows(many.parent / "in.report.csv")] == ["applied"] * MANY
    assert both or f"{MANY} records in" in ended.out


def test_a_run_whose_reader_stopped_hears_a_signal(many: Path, aws: dict[str, str], ses_sandbox: Sandbox) -> None:
    with unread() as stuck:
        slow = ("--yes", "--rate", "20", "--i-have-a-higher-quota", "--blind", "--log-format", "json")
        process = start("apply", many, *slow, cwd=many.parent, env=aws, stderr=stuck)
        await_that(arrived(ses_sandbox, "PutIdentityPolicy", 30), process)  # twice as many as fill the pipe
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        ended = finish(process)
    assert (ended.code, time.monotonic() - began < 8) == (143, True)
    found = [row["status"] for row in rows(many.parent / "in.report.csv")]
    assert (found.count("applied") >= 30, found.count("not_attempted") > 50) == (True, True)


@pytest.mark.parametrize("command", ["plan", "export", "apply --report -"])
def test_whoever_pages_through_rows_can_be_interrupted(
    many: Path, aws: dict[str, str], ses_sandbox: Sandbox, command: str
) -> None:
    """``plan | less``, read to the first screen: rows are kept for it, and a signal is heard."""
    if command == "export":
        assert run("apply", many, *FAST, "--blind", "-q", cwd=many.parent, env=aws).code == 0
    name, *more = command.split()
    pace = ("--rate", "100", "--i-have-a-higher-quota")
    with unread() as stuck:
        arguments = [name, *([] if name == "export" else [many]), *pace, *more, *(["--yes"] if name == "apply" else [])]
        process = start(*arguments, cwd=many.parent, env=aws, stdout=stuck)
        await_that(arrived(ses_sandbox, "GetIdentityPolicies", MANY // 2), process)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert finish(process).code == 143
    assert time.monotonic() - began < 8


def test_no_row_is_lost_on_a_slow_reader(many: Path, aws: dict[str, str]) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_HOLDS)
    process = start("plan", many, "--all", *QUICK, cwd=many.parent, env=aws, stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        time.sleep(2)
        said = pipe.read().decode()
    assert finish(process).code == 0
    assert said.count(".example tenant\n") == MANY
    assert said.splitlines()[-1].startswith(f"0 delete, {MANY} create, 0 update")


@pytest.mark.parametrize("ignored", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_before_us_stays_ignored(
    many: Path, aws: dict[str, str], ses_sandbox: Sandbox, ignored: signal.Signals
) -> None:
    """SIGHUP under ``nohup``, and SIGINT in the background of a script."""

    def ignore() -> None:
        signal.signal(ignored, signal.SIG_IGN)

    process = start("apply", many, *FAST, cwd=many.parent, env=aws, before=ignore)
    await_that(arrived(ses_sandbox, "PutIdentityPolicy", 5), process)
    process.send_signal(ignored)
    assert finish(process).code == 0
    assert [row["status"] for row in rows(many.parent / "in.report.csv")] == ["applied"] * MANY


@contextmanager
def closed() -> Iterator[int]:
    """A pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


ROWS = {
    "plan": ("plan", "in.jsonl", "--rate", "20", "--i-have-a-higher-quota"),
    "plan's report": ("plan", "in.jsonl", "--rate", "20", "--i-have-a-higher-quota", "--report", "-"),
    "export": ("export", "--rate", "20", "--i-have-a-higher-quota"),
    "validate": ("validate", "in.jsonl"),
    "render": ("render", "in.jsonl"),
    "retarget": ("retarget", "in.jsonl", "--to-region", "eu-west-1", "-q"),
    "undo": ("undo", "in.journal.jsonl"),
    "status": ("status", "in.journal.jsonl"),
    "help": ("--help",),
    "help of a command": ("apply", "--help"),
    "a page": ("help", "resume"),
    "version": ("--version",),
}
"""Every command that writes rows, or texts, to standard output."""


@pytest.fixture
def job(many: Path, aws: dict[str, str]) -> Path:
    """Records of which each has a finding, and a journal with before-images."""
    found = [it | {"policy": policy(it["identity"], Action="ses:SendEmial")} for it in tenants(MANY)]
    assert run("apply", many, *FAST, "--quiet", cwd=many.parent, env=aws).code == 0
    (many.parent / "in.jsonl").unlink()
    save_lines(many.parent / "in.jsonl", [*tenants(MANY), *found])
    return many.parent


def test_whoever_went_away_is_noticed_at_once(job: Path, aws: dict[str, str], ses_sandbox: Sandbox) -> None:
    """``plan … | head`` read on for minutes, and exited with 0."""
    ses_sandbox.arrivals.clear()
    with closed() as pipe:
        processes = {name: start(*line, cwd=job, env=aws, stdout=pipe) for name, line in ROWS.items()}
        ended = {name: finish(process) for name, process in processes.items()}
    assert {name: it.code for name, it in ended.items()} == dict.fromkeys(ROWS, 3)
    assert {name: "standard output" in it.err for name, it in ended.items()} == dict.fromkeys(ROWS, False)
    assert sum(it.operation == "GetIdentityPolicies" for it in ses_sandbox.arrivals) < 60, "they read on for nobody"


def test_a_full_device_is_noticed_at_once(job: Path, aws: dict[str, str], ses_sandbox: Sandbox) -> None:
    ses_sandbox.arrivals.clear()
    cases = {name: line for name, line in ROWS.items() if not name.startswith("plan")}  # which writes at the end
    with open("/dev/full", "wb") as full:
        processes = {name: start(*line, cwd=job, env=aws, stdout=full) for name, line in cases.items()}
        ended = {name: finish(process) for name, process in processes.items()}
    assert {name: it.code for name, it in ended.items()} == dict.fromkeys(cases, 3)
    for name, it in ended.items():
        assert it.err.count("standard output cannot be written: No space left on device") == 1, name
    assert sum(it.operation == "GetIdentityPolicies" for it in ses_sandbox.arrivals) < 60, "they read on for nobody"
    with open("/dev/full", "wb") as full:
        planned = finish(start("plan", "in.jsonl", *QUICK, cwd=job, env=aws, stdout=full))
    assert planned.code == 3
    assert planned.err.count("standard output cannot be written: No space left on device") == 1


FAULTY = """
import batchpol.model
def faulty(*_): raise KeyError("a bug of ours")
batchpol.model.Target.__str__ = faulty
"""
"""A mistake in a line of ours, which nobody foresaw."""


def test_an_exception_that_nobody_foresaw_is_no_verdict_on_records(tmp_path: Path, aws: dict[str, str]) -> None:
    save_lines(tmp_path / "in.jsonl", [record | {"region": "eu-west-1"} for record in tenants(1)])
    (tmp_path / "sitecustomize.py").write_text(FAULTY)
    env = aws | {"PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    ended = run("export", cwd=tmp_path, env=env)
    is_one_paragraph(ended, 70)
    assert "KeyError: 'a bug of ours'" in ended.err
    (details,) = tmp_path.glob("batchpol-fault-*.txt")
    assert str(details) in ended.err
    assert details.stat().st_mode & 0o777 == 0o600
    assert "Traceback (most recent call last)" in details.read_text()
    assert "in faulty" in details.read_text()
    ended = run("export", "--log-format", "json", cwd=tmp_path, env=env)
    assert (ended.code, json.loads(ended.err.splitlines()[-1])["event"]) == (70, "error")


@pytest.mark.parametrize(("cause", "code"), [("EOFError('marshal data too short')", 70), ("None", 130)])
def test_a_module_that_is_cut_short_on_disk_is_no_interrupt(tmp_path: Path, cause: str, code: int) -> None:
    """Typer takes any EOFError for Ctrl-D; an engine would try 130 again for ever."""
    lines = ["import typer, batchpol.cli", "def app(**_):", f"    raise typer.Abort from {cause}"]
    lines += ["batchpol.cli.app = app", "batchpol.cli.main()"]
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == code
    assert (b"marshal data too short" in ended.stderr) == (code == 70)
