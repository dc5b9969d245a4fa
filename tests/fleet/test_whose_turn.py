"""Whose turn a shard is, by the command: what a person sees where a machine, a volume or its locks fail."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from batchpol.testing import Sandbox
from tests.e2e.command import Ended, arrived, await_that, finish, nothing_left_running, save_lines, start, tenants
from tests.fleet.runs import UNLOCKED, handed_over

pytestmark = pytest.mark.long
PERIOD, RECORDS = 0.25, 40


def worker(
    folder: Path, sandbox: Sandbox, start_number: int, before: Callable[[], object] | None = None, **env: str
) -> subprocess.Popen[bytes]:
    save_lines(folder / "in.jsonl", tenants(RECORDS))
    paced = ("--yes", "--rate", f"{1 / PERIOD:g}", "--i-have-a-higher-quota", "--no-share")
    env = sandbox.environment() | {"AWS_ACCESS_KEY_ID": f"AKIA{start_number:016}"} | env
    return start("apply", "in.jsonl", "--shard", "1/1", "--journal", "run1", *paced, cwd=folder, env=env, before=before)


def checked(sandbox: Sandbox) -> None:
    """All is there, and nobody served the target beside another one."""
    assert [wrong for _, wrong in handed_over(list(sandbox.arrivals), PERIOD) if wrong] == []
    assert len(sandbox.store.policies) == RECORDS


def stopped(ended: Ended, *said: str) -> None:
    assert ended.code == 3, ended.err
    assert all(text in " ".join(ended.err.split()) for text in said), ended.err


def test_a_worker_that_stood_still_sends_nothing_more(tmp_path: Path, ses_sandbox: Sandbox) -> None:
    with nothing_left_running():
        frozen = worker(tmp_path, ses_sandbox, 1)
        await_that(arrived(ses_sandbox, "PutIdentityPolicy", 5), frozen)
        frozen.send_signal(signal.SIGSTOP)
        seen = len(ses_sandbox.arrivals) + 1
        time.sleep(6)
        waiting = worker(tmp_path, ses_sandbox, 2)
        frozen.send_signal(signal.SIGCONT)
        stopped(finish(frozen), "ownership last confirmed", "it waits if another one has its shard")
        assert len({it.access_key for it in list(ses_sandbox.arrivals)[:seen] if it.operation[:3] == "Put"}) == 1
        assert finish(waiting).code == 0
    checked(ses_sandbox)


def test_where_locks_do_nothing_one_worker_ends_and_says_why(tmp_path: Path, ses_sandbox: Sandbox) -> None:
    (tmp_path / "unlocked").mkdir()
    (tmp_path / "unlocked" / "sitecustomize.py").write_text(UNLOCKED)
    unlocked = {"PYTHONPATH": str(tmp_path / "unlocked")}
    with nothing_left_running():
        first = worker(tmp_path, ses_sandbox, 1, **unlocked)
        await_that(arrived(ses_sandbox, "PutIdentityPolicy", 5), first)
        ended = [finish(it) for it in (worker(tmp_path, ses_sandbox, 2, **unlocked), first)]
        altered = [it for it in ended if it.code]
        for it in altered:
            stopped(it, "was altered (", "another run where its volume knows no locks")
        assert altered
        assert finish(worker(tmp_path, ses_sandbox, 3, **unlocked)).code == 0
    checked(ses_sandbox)


def test_a_worker_that_cannot_write_ends_and_the_next_one_goes_on(tmp_path: Path, ses_sandbox: Sandbox) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, resource.RLIM_INFINITY))

    with nothing_left_running():
        # Python does not see that a module which it compiles was written half: the next process could not import it.
        cut_off = worker(tmp_path, ses_sandbox, 1, full, PYTHONDONTWRITEBYTECODE="1")
        await_that(arrived(ses_sandbox, "PutIdentityPolicy"), cut_off)
        waiting = worker(tmp_path, ses_sandbox, 2)
        stopped(finish(cut_off), "run1/shard-1-of-1.jsonl cannot be written")
        assert finish(waiting).code == 0
    checked(ses_sandbox)
