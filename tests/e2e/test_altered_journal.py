"""Somebody else's hands on the journal while a run writes it: noticed at once, and nothing is claimed beyond it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from batchpol.testing import SandboxOptions, running_sandbox
from tests.e2e.command import FAST, arrived, await_that, finish, rows, run, save_table, start, tenants

PUT = "PutIdentityPolicy"
SLOW = ("--yes", "--blind", "--rate", "0.05")
"""Twenty seconds from one request to the next, in which nothing is written."""
QUICK = ("--yes", "--blind")


def replaced(journal: Path) -> None:
    copy = journal.with_name("copy")
    copy.write_bytes(journal.read_bytes())
    copy.replace(journal)


def appended(journal: Path) -> None:
    with journal.open("a") as file:
        file.write("a note\nof somebody's\n")


def cut(journal: Path) -> None:
    """Cut off where the last outcomes stand."""
    os.truncate(journal, journal.read_bytes().index(b'{"t":"intent"'))


HANDS: dict[str, tuple[tuple[str, ...], Callable[[Path], object], str]] = {
    "removed": (SLOW, Path.unlink, "was removed or replaced"),
    "renamed": (SLOW, lambda journal: journal.rename(journal.with_name("elsewhere")), "move it back"),
    "replaced": (QUICK, replaced, "was removed or replaced"),
    "appended": (QUICK, appended, "was altered ("),
    "cut": (QUICK, cut, "was altered ("),
    "emptied": (QUICK, lambda journal: os.truncate(journal, 0), "was altered beyond reading"),
}
"""What the run is like, what is done to its journal, and what is said of that."""


def test_a_journal_that_others_touch_ends_the_run_within_a_second_with_what_is_known(tmp_path: Path) -> None:
    table = save_table(tmp_path / "many.csv", tenants(40))
    with ExitStack() as stack:
        started = {}
        for name, (how, _, _) in HANDS.items():
            folder = tmp_path / name
            folder.mkdir()
            sandbox = stack.enter_context(running_sandbox(SandboxOptions(rate=0)))
            started[name] = sandbox, start("apply", table, *how, cwd=folder, env=sandbox.environment())
        for name, (how, touch, said) in HANDS.items():
            sandbox, process = started[name]
            journal = tmp_path / name / "many.journal.jsonl"
            await_that(arrived(sandbox, PUT, 1 if how == SLOW else 3), process)
            await_that(lambda it=journal: b'"t":"outcome"' in it.read_bytes(), process)
            touch(journal)
            touched = time.monotonic()
            ended = finish(process)
            assert time.monotonic() - touched < 6, "well before the next request, and the machine may be slow"
            assert ended.code == 3, ended.err
            assert said in ended.err and "while the run went on" in ended.err and "nothing was sent" not in ended.err
            sent = sum(it.operation == PUT for it in sandbox.arrivals)
            assert sent < 20
            if name == "emptied":
                assert list(journal.parent.iterdir()) == [journal], "no report that knows nothing"
                continue
            report = rows(tmp_path / name / "many.report.csv")
            assert len(report) == 40
            assert {row["status"] for row in report[:sent]} <= {"applied", "unknown"}, "none that was sent is denied"
            if name == "cut":
                assert {row["status"] for row in report} == {"unknown"}
                assert "lines of the journal are lost" in report[-1]["message"]
            else:
                assert "applied" in {row["status"] for row in report}
                assert {row["status"] for row in report[sent:]} == {"not_attempted"}
                assert "while the run went on" in report[-1]["message"]
        for name in ("removed", "cut", "emptied"):
            env = started[name][0].environment()
            again = run("apply", table, *FAST, "--blind", cwd=tmp_path / name, env=env)
            assert again.code == 0, again.err
