"""What people see of a run: the plan before the start, progress, the summary."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import anyio
import anyio.to_thread
import typer

from batchpol.cli.progress import is_wanted, show_bar
from batchpol.cli.terminal import duration, tell, visible, write
from batchpol.model import Outcome, Severity, Status, Target
from batchpol.report import summary_json, summary_text
from batchpol.run import Observer, Preview, Result
from batchpol.validation import Verdict

EVERY = 30.0
"""Seconds between two lines of progress where the output is no terminal."""

SHOWN = 5
"""Rejected records shown before the question; the report has them all."""


def ask(preview: Preview) -> bool:
    """Ask on the terminal before the first write, and apart from it before anything is pruned."""
    question = f"Delete {preview.pruned:,} policies that the input does not have?"
    if preview.pruned and not typer.confirm(question, default=False, err=True):
        return False
    return typer.confirm(f"Send {preview.to_send:,} requests?", default=False, err=True)


class Screen(Observer):
    """Shows a run on standard error; the observer of :class:`~batchpol.run.Batch`.

    Args:
        quiet: no progress and no plan; errors all the same.
        confirm: asks before the first write, or None to go on unasked.
    """

    def __init__(self, *, quiet: bool, confirm: Callable[[Preview], bool] | None) -> None:
        self._quiet, self._confirm, self.asks = quiet, confirm, confirm is not None
        self._counts: dict[Status, int] = {}
        self._total = 0
        self._seconds = 0.0
        self._started = time.monotonic()
        self._begun = anyio.Event()

    def say(self, text: str) -> None:
        if not self._quiet:
            tell(text)

    def notes(self, notes: list[str]) -> None:
        for note in notes:
            self.say(f"note: {visible(note)}")

    async def planned(self, preview: Preview) -> bool:
        self.notes(preview.notes)
        if not self._quiet or self._confirm:
            for line in _plan(preview):
                tell(line)
        agreed = True
        if self._confirm is not None and preview.to_send:
            agreed = await anyio.to_thread.run_sync(self._confirm, preview, abandon_on_cancel=True)
        self._total, self._seconds = preview.to_send, preview.seconds
        self._started = time.monotonic()
        self._begun.set()
        return agreed

    def settled(self, outcome: Outcome) -> None:
        self._counts[outcome.status] = self._counts.get(outcome.status, 0) + 1
        if outcome.status in (Status.FAILED, Status.UNKNOWN):
            what = f"{outcome.identity} {outcome.policy_name}: {outcome.error_code}: {outcome.message}"
            tell(f"line {outcome.line}: {outcome.status}: {visible(what)}")

    def noted(self, target: Target, text: str) -> None:
        tell(f"{target}: {visible(text)}")

    async def show_progress(self) -> None:
        """A bar on a terminal, else a line now and then; runs until cancelled."""
        await self._begun.wait()
        if self._quiet or not self._total:
            return
        if is_wanted():
            await show_bar(self._total, self._done, self._words)
        while True:
            await anyio.sleep(EVERY)
            self.say(f"{self._done():,} of {self._total:,}: {self._words()}")

    def _done(self) -> int:
        return sum(self._counts.values())

    def _words(self) -> str:
        counts = [f"{count:,} {status.replace('_', ' ')}" for status, count in self._counts.items()]
        left = max(0.0, self._seconds - (time.monotonic() - self._started))
        return ", ".join([*counts, f"about {duration(left)} left"])


def _plan(preview: Preview) -> list[str]:
    where = f" at {preview.endpoint}" if preview.endpoint else ""
    rejected, duplicates = preview.verdicts[Verdict.REJECTED], preview.verdicts[Verdict.DUPLICATE]
    lines = [
        f"account {preview.caller.account}, caller {visible(preview.caller.arn)}, Region {preview.region}{where}",
        f"{preview.records:,} records: {preview.to_send:,} to send, {rejected:,} rejected, {duplicates:,} duplicate"
        + (f", {preview.warnings:,} with warnings" if preview.warnings else ""),
    ]
    if preview.resumed.done or preview.resumed.again or preview.resumed.refused:
        lines.append(
            f"going on from the journal: {preview.resumed.done:,} done before and not sent again, "
            f"{preview.resumed.again:,} to be sent again, {preview.resumed.refused:,} refused by SES before"
        )
    for checked in preview.first_rejected[:SHOWN]:
        first = next(finding for finding in checked.findings if finding.severity is Severity.ERROR)
        lines.append(f"  line {checked.record.line}: rejected: {visible(first.text)} [{first.code}]")
    if rejected > SHOWN:
        lines.append(f"  ... and {rejected - SHOWN:,} more; the report has them all")
    if preview.pruned:
        lines.append(f"prune: {preview.pruned:,} policies that the input does not have will be deleted")
    for identity in preview.unverified[:SHOWN]:
        lines.append(f"  not verified: {visible(identity)}")
    if len(preview.unverified) > SHOWN:
        lines.append(f"  ... and {len(preview.unverified) - SHOWN:,} more that are not verified")
    if len(preview.targets) > 1:
        lines += [f"  {target}: {count:,}" for target, count in list(preview.targets.items())[:20]]
    if preview.to_send:
        lines.append(f"time: about {duration(preview.seconds)}, one request every {preview.period:g} s for each target")
    return lines


def print_result(result: Result, output: str) -> None:
    """The summary on standard output; a reader that went away changes nothing about the run."""
    if output == "json":
        text = json.dumps(summary_json(result.summary) | _ending(result))
    else:
        text = summary_text(result.summary)
    write(text)
    for line in _last_words(result):
        tell(line)


def _ending(result: Result) -> dict[str, object]:
    return {
        "exit_code": result.exit_code,
        "reason": result.reason,
        "reports": [str(path) for path in result.reports],
        "journal": str(result.journal) if result.journal else None,
    }


def _last_words(result: Result) -> list[str]:
    lines = [f"report: {visible(str(path))}" for path in result.reports]
    if result.reason != "finished":
        lines.append(f"the run ended early: {visible(result.reason)}")
    if result.journal and result.exit_code in (1, 3, 130, 143) and result.summary.can_go_on:
        but = " without --fresh" if "--fresh" in sys.argv else ""
        lines.append(
            f"to go on, run the same command again{but}; what went through is in {visible(str(result.journal))}"
        )
    return lines
