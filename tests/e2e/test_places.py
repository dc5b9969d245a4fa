"""Places where nothing can be written: told before anything is read or sent, in one paragraph, with its exit code."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.command import FAST, Ended, await_that, finish, kill, rows, run, save_lines, start, tenants

NOWHERE = Path("/proc")
"""A folder in which nobody can make a file, not even root."""


def without_room() -> None:
    """No file can have a byte, those in the temporary folders among them."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def as_anybody() -> None:
    """Without root's right to do in any folder what it wants (``CAP_DAC_OVERRIDE``, ``CAP_DAC_READ_SEARCH``)."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            assert ctypes.CDLL(None).prctl(24, capability) == 0


def is_one_paragraph(ended: Ended, code: int) -> None:
    error, *more = ended.err.splitlines()
    assert (ended.code, error.startswith("error: "), len(more)) == (code, True, 1), ended.err
    assert more[0].startswith("  -> ")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    save_lines(tmp_path / "in.jsonl", tenants(20))
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("apply", "in.jsonl", "--sandbox", "--report", NOWHERE / "r.csv"),
        ("plan", "in.jsonl", "--sandbox", "--report", NOWHERE / "r.jsonl"),
        ("validate", "in.jsonl", "--report", NOWHERE / "r.jsonl"),
        ("render", "in.jsonl", "-o", NOWHERE / "r.jsonl"),
    ],
    ids=str,
)
def test_a_folder_that_is_read_only_shows_at_once(job: Path, arguments: tuple[str | Path, ...]) -> None:
    ended = run(*arguments, cwd=job)
    is_one_paragraph(ended, 2)
    assert f"{arguments[-1]} cannot be written" in ended.err
    assert not (job / "in.journal.jsonl").exists(), "nothing was begun"


@pytest.mark.parametrize("command", ["apply", "plan"])
def test_no_usable_temporary_folder(job: Path, command: str) -> None:
    dry = ("--dry-run",) if command == "apply" else ()
    ended = run(command, "in.jsonl", "--sandbox", *dry, cwd=job, before=without_room)
    is_one_paragraph(ended, 2)
    assert "no temporary file can be made" in ended.err
    assert "TMPDIR" in ended.err


@pytest.mark.parametrize("mode", [0o333, 0o000], ids=["cannot be synced", "cannot be entered"])
@pytest.mark.parametrize(("what", "code"), [("journal", 3), ("report", 2)])
def test_a_folder_that_is_closed_to_us(job: Path, mode: int, what: str, code: int) -> None:
    """No traceback, and no report that cannot be written when it is due."""
    closed, place = job / "closed", {"journal": "j.jsonl", "report": "r.csv"}
    closed.mkdir()
    closed.chmod(mode)
    place[what] = f"closed/{place[what]}"
    try:
        arguments = ("--journal", place["journal"], "--report", place["report"])
        ended = run("apply", "in.jsonl", "--sandbox", *arguments, cwd=job, before=as_anybody)
    finally:
        closed.chmod(0o700)
    is_one_paragraph(ended, code)
    assert f"{place[what]} cannot be written: Permission denied" in ended.err
    assert not list(closed.iterdir()) and not (job / "j.jsonl").exists()


VOLUME = """
import errno, fcntl, os
from batchpol import files
calls, sync, lock = [0], os.fdatasync, fcntl.flock
def fdatasync(fd):
    calls[0] += 1
    if calls[0] > {lasts}:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    sync(fd)
def flock(*asked):
    if {locks}:
        return lock(*asked)
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
os.fdatasync, fcntl.flock = fdatasync, flock
"""
"""A volume on the network that syncs so many times only, or that has no locks."""


def test_a_volume_that_fails_under_the_journal_ends_the_run_with_its_report(job: Path, aws: dict[str, str]) -> None:
    (job / "sitecustomize.py").write_text(VOLUME.format(lasts=8, locks=True))
    ended = run("apply", "in.jsonl", *FAST, cwd=job, env={**aws, "PYTHONPATH": str(job)})
    assert ended.code == 3, ended.err
    assert "in.journal.jsonl cannot be written: Input/output error" in ended.err
    found = Counter(row["status"] for row in rows(job / "in.report.csv"))
    assert found.total() == 20 and 0 < found["not_attempted"] < 20, found
    (job / "sitecustomize.py").unlink()
    assert run("apply", "in.jsonl", *FAST, cwd=job, env=aws).code == 0


def test_a_volume_without_locks_begins_no_journal(job: Path) -> None:
    (job / "sitecustomize.py").write_text(VOLUME.format(lasts=1000, locks=False))
    ended = run("apply", "in.jsonl", "--sandbox", "--no-share", cwd=job, env={"PYTHONPATH": str(job)})
    is_one_paragraph(ended, 2)
    assert "in.journal.jsonl cannot be locked: No locks available" in ended.err
    assert not (job / "in.report.csv").exists() and not (job / "in.journal.jsonl").exists()


def parts(folder: Path) -> list[Path]:
    return list(folder.glob(".found.jsonl.*.part"))


def test_what_a_kill_leaves_beside_a_place_is_gone_after_the_next_command(job: Path) -> None:
    command, records = ("validate", "-", "--report", "found.jsonl"), (job / "in.jsonl").read_bytes()

    def begun(number: int) -> subprocess.Popen[bytes]:
        process = start(*command, cwd=job, stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(records)
        process.stdin.flush()
        await_that(lambda: len(parts(job)) == number, process)
        return process

    killed, beside = begun(1), begun(2)
    kill(killed)
    assert len(parts(job)) == 2
    with (job / "in.jsonl").open("rb") as file:
        assert run(*command, cwd=job, stdin=file).code == 0
    assert len(parts(job)) == 1, "what another command is writing stays"
    assert finish(beside).code == 0
    assert not parts(job)


def test_the_look_at_a_place_leaves_nothing_there(job: Path, aws: dict[str, str]) -> None:
    assert run("apply", "in.jsonl", *FAST, "--report", "r.csv", cwd=job, env=aws).code == 0
    assert {it.name for it in job.iterdir()} == {"in.jsonl", "in.journal.jsonl", "r.csv"}
