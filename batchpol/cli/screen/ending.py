"""What people see when a run is over: did it work, what did not, and the command to type commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from batchpol.batch.observer import Result
from batchpol.cli.screen import commands, log
from batchpol.cli.screen.commands import NextStep
from batchpol.cli.screen.streams import settle
from batchpol.cli.screen.terminal import said, tell, write
from batchpol.cli.spelling import spelled
from batchpol.journal import FINISHED, Run
from batchpol.model import Status, visible
from batchpol.report import summary_json, summary_text

DRY_RUN = "dry run"
"""The reason that :mod:`batchpol.batch.batch` gives for having sent nothing because nothing was to be sent."""

_FREE = frozenset({Status.REJECTED, Status.DUPLICATE, Status.NOT_ATTEMPTED})
"""Statuses of records that were never sent."""


def print_result(result: Result, run: Run | None, *, as_json: bool) -> None:
    """The summary on standard output, what to do on standard error; a reader that went away changes nothing.

    Args:
        run: the header of the run, which knows the command; None if it never began.
    """
    steps = next_steps(result, run)
    summary = summary_json(result.summary) | _ending(result) | {"next": [step.as_json() for step in steps]}
    write(spelled(json.dumps(summary) if as_json else summary_text(result.summary)))
    settle()
    if log.is_wanted():
        level = "info" if result.exit_code == 0 else "error" if result.exit_code > 1 else "warning"
        counts = {status.value: count for status, count in result.summary.counts.items()}
        log.event(
            "run_ended",
            level,
            counts=counts,
            **_ending(result),
            seconds=result.summary.seconds,
            next=[*map(str, steps)],
        )
        return
    if sys.stderr.isatty():
        tell("")
    for line in [*verdict(result), *(f"report: {visible(str(path))}" for path in result.reports), *map(str, steps)]:
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


def next_steps(result: Result, run: Run | None) -> list[NextStep]:
    """What to do now, each with the command to type; the most urgent comes last, where people look first."""
    if run is None:
        return []
    if result.reason == DRY_RUN:
        valid, command = result.summary.counts.get(Status.NOT_ATTEMPTED, 0), commands.again(run, None)
        return [NextStep(f"to carry out the {valid:,} that are valid", command)] if valid else []
    if run.sandbox:
        gone = [NextStep("the embedded SES is gone with all it had; the same command starts over", [])]
        return [*_mends(result, run), *(gone if result.summary.can_go_on else [])]
    return [*_mends(result, run), *_retry(result, run), *_way_back(result, run), *_way_on(result, run)]


def _mends(result: Result, run: Run) -> Iterable[NextStep]:
    """What to do about records that the same command would not send again."""
    bad = [status.value for status in (Status.REJECTED, Status.FAILED) if status in result.summary.counts]
    if bad and result.journal:
        yield commands.how_to_mend(f"what is {' or '.join(bad)}", run, result.journal, result.summary.counts)


def _retry(result: Result, run: Run) -> Iterable[NextStep]:
    refused = any(cause.status is Status.FAILED for cause in result.summary.causes)
    if refused and not result.summary.can_go_on and (command := commands.retry(run, result.journal)):
        yield NextStep("to send again what SES refused", command)


def _way_back(result: Result, run: Run) -> Iterable[NextStep]:
    """How to restore what was there; a run that read nothing kept nothing."""
    if Status.APPLIED in result.summary.counts and result.journal and run.options.get("compare", True):
        yield NextStep("to take back what this run did", commands.undo(result.journal))


def _way_on(result: Result, run: Run) -> Iterable[NextStep]:
    if result.journal and result.exit_code in (1, 3, 130, 143) and result.summary.can_go_on:
        command = commands.again(run, result.journal)
        whole = commands.unlimited(command)
        if whole != command:
            yield NextStep("to go on with as many again, run the same command; with all that are left", whole)
            return
        kept = f"what went through is in {visible(str(result.journal))}"
        yield NextStep(f"to go on, run the same command again ({kept})", command)
