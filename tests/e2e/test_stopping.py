"""Signals: the first finishes what is under way, the second ends at once; the report is written either way."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from batchpol.testing import SandboxOptions, running_sandbox
from tests.e2e.command import (
    FAST,
    PATIENCE,
    Ended,
    arrived,
    await_that,
    finish,
    rows,
    run,
    save_table,
    start,
    tenants,
)


def read_until(text: str, process: subprocess.Popen[bytes]) -> None:
    """Read standard error up to a line with this text."""
    assert process.stderr is not None
    while text not in (line := process.stderr.readline().decode()):
        assert line, "it ended without saying so"


def test_the_first_signal_finishes_what_is_under_way_the_second_ends_at_once(tmp_path: Path) -> None:
    table = save_table(tmp_path / "five.csv", tenants(5))
    slow = SandboxOptions(latency_ms=600)
    # With latency the arrival is at the limit: the answer is under way for another 300 ms.
    cases = {
        "interrupt": (slow, signal.SIGINT, 130),
        "terminate": (slow, signal.SIGTERM, 143),
        "hang up": (slow, signal.SIGHUP, 143),
        "twice": (SandboxOptions(faults={"stall_after@PutIdentityPolicy": 1.0}), signal.SIGINT, 130),
    }
    with ExitStack() as stack:
        started = {}
        for name, (options, _, _) in cases.items():
            sandbox = stack.enter_context(running_sandbox(options))
            (tmp_path / name).mkdir()
            env = sandbox.environment()
            started[name] = sandbox, start("apply", table, "--yes", "--blind", cwd=tmp_path / name, env=env)
        for name, (_, number, _) in cases.items():
            sandbox, process = started[name]
            await_that(arrived(sandbox, "PutIdentityPolicy"), process)
            process.send_signal(number)
            read_until("once more to end at once", process)
        started["twice"][1].send_signal(signal.SIGINT)
        stopped = time.monotonic()
        for name, (_, _, code) in cases.items():
            sandbox, process = started[name]
            ended = finish(process)
            assert time.monotonic() - stopped < 8, "well before the time that a drain may take"
            assert ended.code == code, ended.err
            assert "run the same command again" in ended.err
            report = rows(tmp_path / name / "five.report.csv")
            sent = "unknown" if name == "twice" else "applied"
            assert {row["status"] for row in report} == {sent, "not_attempted"}, name
            attempted = [row for row in report if row["status"] == sent]
            assert len(attempted) == sum(it.operation == "PutIdentityPolicy" for it in sandbox.arrivals)


INTERRUPTED = """
import runpy, sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == MODULE:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
runpy.run_module("batchpol", run_name="__main__")
"""


@pytest.mark.parametrize(("module", "said"), [("typer", ""), ("batchpol.cli.validate", "interrupted\n")])
def test_an_interrupt_amid_the_imports_leaves_no_traceback(tmp_path: Path, module: str, said: str) -> None:
    line = [sys.executable, "-c", INTERRUPTED.replace("MODULE", repr(module)), "validate", "a.csv"]
    ended = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", said)


def test_a_silent_standard_input_can_be_interrupted(tmp_path: Path, aws: dict[str, str]) -> None:
    """Before as much came as shows what it is, and amid the records."""
    few, many = tmp_path / "few", tmp_path / "many"
    processes = {}
    for folder, count in ((few, 2), (many, 40)):
        folder.mkdir()
        process = start("apply", "-", "--format", "csv", "--yes", cwd=folder, env=aws, stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(save_table(folder / "records.csv", tenants(count)).read_bytes())
        process.stdin.flush()
        processes[folder] = process
    await_that((many / "stdin.journal.jsonl").exists, processes[many])
    for process in processes.values():
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert "interrupted" in finish(process).err
    assert {row["status"] for row in rows(many / "stdin.report.csv")} <= {"not_attempted"}
    assert [path.name for path in few.iterdir()] == ["records.csv"]


def test_stopped_while_it_asks_who_it_is_a_run_leaves_its_report(tmp_path: Path) -> None:
    """Nothing was sent, and every record has its row; a report that is there stays."""
    table = save_table(tmp_path / "two.csv", tenants(2))
    with running_sandbox(SandboxOptions(rate=0)) as sandbox:
        sandbox.change(faults={"stall_before@GetCallerIdentity": 1.0})

        def stopped() -> Ended:
            sandbox.arrivals.clear()
            process = start("apply", table, *FAST, cwd=tmp_path, env=sandbox.environment())
            await_that(arrived(sandbox, "GetCallerIdentity"), process)
            process.send_signal(signal.SIGTERM)
            return finish(process)

        ended = stopped()
        assert (ended.code, "terminated before anything was sent" in ended.err) == (143, True)
        found = rows(tmp_path / "two.report.csv")
        assert [(row["identity"], row["status"]) for row in found] == [
            (it["identity"], "not_attempted") for it in tenants(2)
        ]
        assert {it.name for it in tmp_path.iterdir()} == {"two.csv", "two.report.csv"}
        sandbox.change(faults={})
        assert run("apply", table, *FAST, cwd=tmp_path, env=sandbox.environment()).code == 0
        sandbox.change(faults={"stall_before@GetCallerIdentity": 1.0})
        report, journal = (tmp_path / "two.report.csv", tmp_path / "two.journal.jsonl")
        before = report.read_bytes(), journal.read_bytes()
        assert stopped().code == 143
        assert (report.read_bytes(), journal.read_bytes()) == before
        report.unlink()
        assert stopped().code == 143
        assert {row["status"] for row in rows(report)} == {"applied"}, "what the journal says of them"
        journal.write_bytes(before[1][: before[1].rindex(b'{"t":"record"')])  # of a run that was killed while it read
        report.unlink()
        assert stopped().code == 143
        assert [row["status"] for row in rows(report)] == ["not_attempted"] * 2
