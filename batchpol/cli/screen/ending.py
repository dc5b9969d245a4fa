"""What people see when a run is over: did it work, what did not, and the command to type next."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable

from batchpol.batch.observer import Result
from batchpol.cli.screen import log
from batchpol.cli.screen.terminal import said, tell, write
from batchpol.cli.spelling import spelled
from batchpol.journal import FINISHED, Run
from batchpol.model import Status, visible
from batchpol.report import summary_json, summary_text

DRY_RUN = "dry run"
"""The reason that :mod:`batchpol.batch.batch` gives for having sent nothing because nothing was to be sent."""

_NOT_AGAIN = frozenset({"--fresh", "--retry-failed", "--dry-run"})
"""Options that a command to type next does not take over."""

_FREE = frozenset({Status.REJECTED, Status.DUPLICATE, Status.NOT_ATTEMPTED})
"""Statuses of records that were never sent."""


def print_result(result: Result, output: str, run: Run | None) -> None:
    """The summary on standard output, what to do on standard error; a reader that went away changes nothing.

    Args:
        output: ``text`` or ``json``.
        run: the header of the run, which knows the command; None if it never began.
    """
    summary = summary_json(result.summary) | _ending(result)
    write(spelled(json.dumps(summary) if output == "json" else summary_text(result.summary)))
    steps = [visible(line) for line in next_steps(result, run)]
    if log.is_wanted():
        level = "info" if result.exit_code == 0 else "error" if result.exit_code > 1 else "warning"
        counts = {status.value: count for status, count in result.summary.counts.items()}
        log.event("run_ended", level, counts=counts, **_ending(result), seconds=result.summary.seconds, next=steps)
        return
    if sys.stderr.isatty():
        tell("")
    for line in [*verdict(result), *(f"report: {visible(str(path))}" for path in result.reports), *steps]:
        tell(line)


def _ending(result: Result) -> dict[str, object]:
    return {
        "exit_code": result.exit_code,
        "reason": result.reason,
        "reports": [str(path) for path in result.reports],
        "journal": str(result.journal) if result.journal else None,
    }


def verdict(result: Result) -> list[str]:
    """Whether it worked, in a line; nothing where there were no records."""
    counts = result.summary.counts
    if result.reason == DRY_RUN:
        return ["dry run: nothing was sent"]
    if result.reason != FINISHED:
        sent = "" if counts.keys() - _FREE else "; nothing was sent"
        return [f"the run ended early: {said(result.reason)}{sent}"]
    bad = sum(counts.get(status, 0) for status in (Status.REJECTED, Status.FAILED, Status.UNKNOWN))
    if bad:
        return [f"over, but {bad:,} of {result.summary.records:,} records are not as asked"]
    return ["all went well: every record is as asked"] if counts else []


def next_steps(result: Result, run: Run | None) -> list[str]:
    """What to do now, each with the command to type; the most urgent comes last, where people look first."""
    if run is None:
        return []
    command = _command(run)
    if result.reason == DRY_RUN:
        valid = result.summary.counts.get(Status.NOT_ATTEMPTED, 0)
        return [f"to send the {valid:,} that are valid: {shlex.join(command)}"] if valid else []
    if run.sandbox:
        gone = ["the embedded SES is gone with all it had; the same command starts over"]
        return [*_mends(result, []), *(gone if result.summary.can_go_on else [])]
    return [*_mends(result, command), *_way_back(result, command), *_way_on(result, command)]


def _mends(result: Result, command: list[str]) -> Iterable[str]:
    """What to do about records that the same command would not send again."""
    counts, journal = result.summary.counts, result.journal
    refused = any(cause.status is Status.FAILED for cause in result.summary.causes)
    bad = [status.value for status in (Status.REJECTED, Status.FAILED) if status in counts]
    if bad and journal:
        report = shlex.join(["batchpol", "report", str(journal), "--only", ",".join(bad), "--report", "mend.csv"])
        yield f"to mend what is {' or '.join(bad)}, and then apply mend.csv: {report}"
    if refused and not result.summary.can_go_on and command:
        yield f"to send again what SES refused: {shlex.join([*command, '--retry-failed'])}"


def _way_back(result: Result, command: list[str]) -> Iterable[str]:
    """How to restore what was there; a run that read nothing kept nothing."""
    if Status.APPLIED in result.summary.counts and result.journal and "--blind" not in command:
        yield f"to take it back: {shlex.join(['batchpol', 'undo', str(result.journal), '-o', 'undo.jsonl'])}"


def _way_on(result: Result, command: list[str]) -> Iterable[str]:
    if result.journal and result.exit_code in (1, 3, 130, 143) and result.summary.can_go_on:
        typed = f": {shlex.join(command)}" if command else ""
        yield f"to go on, run the same command again (what went through is in {result.journal}){typed}"


def _command(run: Run) -> list[str]:
    """The command that was typed, without what is for once only."""
    given = run.options.get("command")
    words = [str(word) for word in given] if isinstance(given, list | tuple) else []
    return [word for word in words if word not in _NOT_AGAIN]
