"""What people see of a run: the plan before the start, progress, the outcomes that are bad."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import anyio

from batchpol.batch.observer import Observer, Preview, Result
from batchpol.cli.screen import log
from batchpol.cli.screen.ending import next_steps
from batchpol.cli.screen.events import Events
from batchpol.cli.screen.question import Confirm, agreed
from batchpol.cli.screen.standing import Row, Standing
from batchpol.cli.screen.terminal import duration, painted, place_lines, policies, said, tell
from batchpol.journal import Journal, Run
from batchpol.model import Outcome, Severity, Status, Target, visible
from batchpol.model.errors import SesError
from batchpol.sending.contact import Contact
from batchpol.sending.observer import Attempted

EVERY = 30.0
"""Seconds between two lines of progress where the output is no terminal."""

SHOWN = 5
"""Rejected records shown before the question; the report has them all."""


def observer_of(*, quiet: bool, progress: bool, confirm: Confirm | None, reported: bool) -> Screen | Events:
    """Who tells of a run: lines for people, or events where ``--log-format json`` asks for them."""
    if log.is_wanted():
        return Events(quiet=quiet, confirm=confirm)
    return Screen(quiet=quiet, progress=progress, confirm=confirm, reported=reported)


class Screen(Observer):
    """Shows a run on standard error; the observer of :class:`~batchpol.batch.batch.Batch`.

    Args:
        quiet: no progress and no plan; errors all the same.
        progress: redraw a picture where the terminal can; else, and without, a line now and then.
        confirm: asks before the first write, or None to go on unasked.
        reported: whether the run writes a report.
    """

    def __init__(self, *, quiet: bool, progress: bool, confirm: Confirm | None, reported: bool = True) -> None:
        self._reported = reported
        self.plans = False
        self._quiet, self._confirm, self.asks = quiet, confirm, confirm is not None
        self._drawn = progress and not quiet and sys.stderr.isatty()
        self._standing = Standing()
        self._agreed = anyio.Event()
        self._lined = False
        self.run: Run | None = None

    def say(self, text: str) -> None:
        if not self._quiet:
            tell(text)

    def notes(self, notes: list[str]) -> None:
        for note in notes:
            self.say(f"note: {said(note)}")

    def noted_of_run(self, text: str) -> None:
        tell(said(text))

    def next_steps(self, result: Result) -> Sequence[tuple[str, str]]:
        return [step.as_typed() for step in next_steps(result, self.run)]

    def begun(self, run: Run) -> None:
        self.run = run

    async def planned(self, preview: Preview, journal: Journal) -> bool:
        self.notes(preview.notes)
        if not self._quiet or self._confirm:
            for line in self.lines_of(preview):
                tell(line)
        if not await agreed(self._confirm, preview):
            return False
        rows = {target: Row(target, count) for target, count in preview.targets.items() if count}
        self._standing = Standing(rows, preview.period, began=time.monotonic(), plans=self.plans)
        self._agreed.set()
        return True

    def lines_of(self, preview: Preview) -> list[str]:
        """What the run is about to do."""
        return _plan(preview, reported=self._reported)

    def lane_started(self, contact: Contact) -> None:
        self._row(contact.target).contact = contact

    def lane_ended(self, target: Target, error: SesError | None) -> None:
        row = self._row(target)
        row.over, row.stopped, row.in_hand = True, error is not None, ""

    def attempted(self, target: Target, attempt: Attempted) -> None:
        if attempt.ended:
            self._row(target).moved = time.monotonic()
        else:
            change = attempt.change
            again = f" (attempt {attempt.number})" if attempt.number > 1 else ""
            self._row(target).in_hand = f"{change.line}: {change.identity} / {change.policy_name}{again}"

    def settled(self, outcome: Outcome) -> None:
        self.row_of(outcome).add(outcome)
        if outcome.status in (Status.FAILED, Status.UNKNOWN):
            tell(_bad(outcome))

    def noted(self, target: Target, text: str) -> None:
        tell(f"{target}: {said(text)}")

    async def show_progress(self) -> None:
        """The lanes on a terminal, else a line now and then; runs until cancelled."""
        if self._drawn:
            await self._draw()
        await self._agreed.wait()
        while self._standing.total and not self._quiet:
            await anyio.sleep(EVERY)
            self._lined = True
            self.say(self._standing.line())

    async def _draw(self) -> None:
        """The picture, provided that the terminal can redraw it; until cancelled."""
        from batchpol.cli.screen.progress import console, is_wanted, show

        await self._agreed.wait()
        if is_wanted() and self._standing.total:
            await show(self._standing, console())

    async def ended(self, journal: Journal) -> None:
        if self._lined:  # whoever followed the lines sees the last one too
            self.say(self._standing.line())

    def row_of(self, outcome: Outcome) -> Row:
        """The lane in which it came about."""
        return self._row(Target(outcome.account, outcome.region))

    def _row(self, target: Target) -> Row:
        self._standing.changed = True
        rows = self._standing.rows
        if target not in rows:
            rows[target] = Row(target, 0)
        return rows[target]


def _bad(outcome: Outcome) -> str:
    """What went wrong with one record, in one line."""
    where = f"line {outcome.line}" if outcome.line else "prune"
    what = f"{outcome.identity} / {outcome.policy_name}: {outcome.error_code}: {outcome.message}"
    return f"{where}: {painted(outcome.status.value, 'red')}: {said(what)}"


def to_do(preview: Preview) -> str:
    """What is to be sent, deletions first; where what is there is compared first, at most that."""
    most = "up to " if preview.compares and preview.to_send else ""
    deletes = f"{most}{preview.deletes:,} to delete, " if preview.deletes else ""
    return f"{deletes}{most if preview.writes else ''}{preview.writes:,} to write"


def _plan(preview: Preview, *, reported: bool) -> list[str]:
    noun = "record" if preview.records == 1 else "records"
    rejected, duplicates = preview.rejected, preview.duplicates
    lines = [
        *place_lines(preview),
        f"{preview.records:,} {noun}: {to_do(preview)}, {rejected:,} rejected, {duplicates:,} duplicate"
        + (f", {preview.warnings:,} with warnings" if preview.warnings else ""),
    ]
    if preview.resumed.done or preview.resumed.again or preview.resumed.refused:
        lines.append(
            f"going on from the journal: {preview.resumed.done:,} done before and not sent again, "
            f"{preview.resumed.again:,} to be sent again, {preview.resumed.refused:,} refused by SES before"
        )
    for checked in preview.first_rejected[:SHOWN]:
        first = next(finding for finding in checked.findings if finding.severity is Severity.ERROR)
        lines.append(f"  line {checked.record.line}: rejected: {said(first.text)} [{first.code}]")
    if rejected > SHOWN:
        where = "the report" if reported else "batchpol validate"
        lines.append(f"  ... and {rejected - SHOWN:,} more; {where} has them all")
    if preview.pruned:
        lines.append(f"prune: {policies(preview.pruned)} that the input does not have will be deleted")
    for identity in preview.unverified[:SHOWN]:
        lines.append(f"  not verified: {visible(identity)}")
    if len(preview.unverified) > SHOWN:
        lines.append(f"  ... and {len(preview.unverified) - SHOWN:,} more that are not verified")
    if preview.to_send:
        lines.append(f"time: about {duration(preview.seconds)}, one request every {preview.period:g} s for each target")
    return lines
