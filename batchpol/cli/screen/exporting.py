"""What people see of an export: who and where, what it costs before it is begun, progress, the end."""

from __future__ import annotations

import sys
import time

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from batchpol.cli.screen import commands
from batchpol.cli.screen.progress import is_wanted
from batchpol.cli.screen.standing import STALLED
from batchpol.cli.screen.terminal import duration, identities, is_coloured, policies, said, tell
from batchpol.exporting import Exported, ExportObserver, ExportOptions, Partial, TargetReader
from batchpol.journal import FINISHED
from batchpol.model import Target, visible
from batchpol.model.errors import SesError
from batchpol.sending.caller import Here

EVERY = 30.0
"""Seconds between two lines of progress where the output is no terminal."""

REDRAWN = 0.25
"""Seconds between two looks at the numbers."""

SHOWN = 20
"""Targets that are told of; the others are counted."""


class ExportScreen(ExportObserver):
    """Shows an export on standard error.

    Args:
        quiet: no progress and no costs; errors all the same.
    """

    def __init__(self, options: ExportOptions, *, quiet: bool) -> None:
        self._options, self._quiet = options, quiet
        self._readers: list[TargetReader] = []
        self._policies, self._moved = 0, time.monotonic()

    def say(self, text: str) -> None:
        if not self._quiet:
            tell(text)

    def begun(self, here: Here, targets: list[Target], partial: Partial) -> None:
        where = ", ".join(map(str, targets[:SHOWN])) + (f", {len(targets) - SHOWN:,} more" if targets[SHOWN:] else "")
        if len(targets) == 1 and targets[0].account == here.caller.account:
            where = f"Region {targets[0].region}"
        at = f" at {visible(here.endpoint)}" if here.endpoint else ""
        self.say(f"account {here.caller.account}, caller {visible(here.caller.arn)}, {where}{at}")
        for note in [*here.notes, *partial.notes]:
            self.say(f"note: {said(note)}")
        if len(partial):
            place = visible(str(partial.path))
            self.say(f"going on from {place}, begun {partial.begun}: {len(partial):,} identities read before")

    def listed(self, reader: TargetReader) -> None:
        """What is to be read of a target, and how long that takes."""
        self._moved = time.monotonic()
        self._readers.append(reader)
        if len(self._readers) <= SHOWN:
            self.say(f"{reader.target}: {_costs(reader, self._options.patience.period)}")

    def read(self, target: Target, identity: str, policies: int) -> None:
        self._policies += policies
        self._moved = time.monotonic()

    def unreadable(self, target: Target, identity: str, error: SesError) -> None:
        self._moved = time.monotonic()
        tell(f"{target}: not read: {visible(identity)}: {error.code}: {said(str(error))}")

    def noted(self, target: Target, text: str) -> None:
        tell(f"{target}: {said(text)}")

    def stopped(self, target: Target, text: str) -> None:
        tell(f"{target}: {said(text)}")

    def end(self, result: Exported) -> None:
        """The last lines: counts, what could not be read, how to go on."""
        output = self._options.output
        found = f"{policies(result.policies)} of {identities(result.identities - result.without)}"
        none = f"; {identities(result.without)} without" if result.without else ""
        if result.reason == FINISHED:
            place = f" to {visible(str(output))}" if output else ""
            self.say(f"exported {found}{place} in {duration(result.seconds)}{none}")
        else:
            tell(f"the export ended early: {said(result.reason)}")
            tell(f"read: {found}{none}")
        if result.unreadable:
            named = commands.typed(commands.only(name for _, name in result.unreadable[:5]))
            more = " ..." if len(result.unreadable) > 5 else ""
            tell(f"{identities(len(result.unreadable))} could not be read; for those alone: {named}{more}")
        if result.kept:
            tell(f"to go on, run the same command again; what was read is in {visible(str(result.kept))}")
        elif result.exit_code >= 3 and output is None:
            tell("with --output FILE the same command would go on where this one stopped")

    async def show_progress(self) -> None:
        """A bar on a terminal, else a line now and then; runs until cancelled."""
        if self._quiet or (self._options.output is None and sys.stdout.isatty()):
            return  # where the rows themselves are seen they show how far it is
        if is_wanted():
            await self._show_bar()
        while True:
            await anyio.sleep(EVERY)
            self.say(f"{self._done():,} of {identities(self._total())}: {self._words()}")

    async def _show_bar(self) -> None:
        columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
        console = Console(stderr=True, no_color=not is_coloured(sys.stderr))
        with Progress(
            *columns,
            console=console,
            transient=True,
            redirect_stdout=False,
        ) as bar:
            task = bar.add_task("", total=None)
            while True:
                if self._readers:  # before, nobody knows of how much
                    bar.update(task, total=self._total(), completed=self._done(), description=self._words())
                await anyio.sleep(REDRAWN)

    def _total(self) -> int:
        return sum(len(reader.identities) for reader in self._readers)

    def _done(self) -> int:
        return self._total() - sum(reader.left for reader in self._readers)

    def _words(self) -> str:
        quiet = time.monotonic() - self._moved - self._options.patience.period
        if any(reader.contact.silent for reader in self._readers if reader.left and reader.stopped is None):
            left = "SES does not answer"
        elif quiet > STALLED:
            left = f"nothing came back for {duration(quiet)}"
        else:
            left = f"about {duration(max((reader.seconds for reader in self._readers), default=0.0))} left"
        return f"{policies(self._policies)}, {left}"


def _costs(reader: TargetReader, period: float) -> str:
    count = len(reader.identities)
    known = count - reader.left
    words = identities(reader.present)
    if count != reader.present:
        words += f", {count:,} of them match"
    if known:
        words += f", {known:,} were read before"
    if not reader.left:
        return f"{words}; nothing to read"
    pace = "one a second" if period == 1 else f"one every {period:g} s"
    return f"{words}; {reader.left:,} to read, about {duration(reader.seconds)} at {pace}"
