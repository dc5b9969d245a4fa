"""How a run ends: why, with which exit code, written down; then every report and the result, read off the journal."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from batchpol.batch.observer import Result
from batchpol.batch.options import Options
from batchpol.journal import FINISHED, End, Journal, Run, Section
from batchpol.model import Status
from batchpol.model.errors import BatchpolError, JournalError
from batchpol.report import Summary, write_plan, write_plan_page, write_report
from batchpol.rewriting.saved import steps

BAD = frozenset({Status.REJECTED, Status.FAILED, Status.UNKNOWN})
"""Statuses that make the exit code 1."""

Why = tuple[str, int]
"""A reason, and the exit code for it."""


def end(
    journal: Journal,
    run: Run,
    options: Options,
    *,
    agreed: bool,
    early: Why | None,
    failure: JournalError | None,
    at: str,
    begun: float,
    advise: Callable[[Result], Sequence[tuple[str, str]]],
) -> Result:
    """Write down the end, then every report, whatever way the run ended.

    Args:
        run: its header.
        agreed: whether nobody had to be asked, or somebody said yes; otherwise a report that is there stays.
        early: why it ended before its time, if it did.
        failure: why the journal cannot be written any more, if so.
        at: the time in ISO 8601.
        begun: the monotonic clock's time in seconds when it began.
        advise: what to do next, for people, once it is known how it ended.

    Raises:
        JournalAltered: so much of the journal was lost meanwhile that nothing can be reported.
    """
    failure = _altered(journal) or failure
    section = journal.section()
    reason, code = _why(section, early, options.reading.limit)
    failure = failure or _write_down(End(at=at, reason=reason, exit_code=code), journal)
    if failure is not None:
        reason, code = failure.in_full, 3
    if section is not None and section.run.run_id == run.run_id:  # or else it is an earlier run's
        section.end = End(at=at, reason=reason, exit_code=code)
    outcomes = journal.outcomes(section)
    if len(outcomes) <= options.outcomes:
        outcomes = list(outcomes)
    summary = Summary.of(outcomes, seconds=time.monotonic() - begun)
    result = Result(summary, code, reason, (), journal.path, outcomes)
    for path in options.keeping.reports:
        if not agreed and os.path.lexists(path):
            continue
        try:
            _write_report(path, journal, section, plan=options.conduct.plan, next_steps=advise(result))
            result.reports += (path,)
        except BatchpolError as error:
            result.reason, result.exit_code = error.in_full, code if code > 1 else 3
    if options.save is not None and result.reason == FINISHED:
        journal.copy_to(options.save)
    return result


def _why(section: Section | None, early: Why | None, limit: int | None) -> Why:
    counts = section.counts() if section is not None else {}
    reason, code = early or (FINISHED, 0)
    if early is None and counts.keys() & BAD:
        code = 1
    if reason == FINISHED and limit is not None and Status.NOT_ATTEMPTED in counts:
        reason = f"`limit={limit}` was reached"
        code = max(code, 3)
    return reason, code


def _altered(journal: Journal) -> JournalError | None:
    """What is wrong with the file, which says more than what a reader met in it."""
    try:
        journal.check()
    except JournalError as error:
        return error
    return None


def _write_down(end: End, journal: Journal) -> JournalError | None:
    try:
        journal.append(end)
        journal.sync()
    except JournalError as error:
        return error
    return None


def _write_report(
    path: Path, journal: Journal, section: Section | None, *, plan: bool, next_steps: Sequence[tuple[str, str]]
) -> None:
    if plan and path.suffix.lower() == ".html":
        about = section.about() if section else {}
        write_plan_page(steps(journal.compared(), diffs=True), path, about=about, next_steps=next_steps)
    elif plan:
        write_plan(journal.outcomes(section), path)
    else:
        write_report(
            journal.outcomes(section),
            path,
            columns=section.columns if section else (),
            sheet=section.sheet if section else "",
            about=section.about() if section else None,
            sends=journal.sends(),
            runs=[it.as_json() for it in journal.runs()] if path.suffix == ".html" else (),
            next_steps=next_steps,
        )
