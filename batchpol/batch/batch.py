"""One batch: who we are, first pass, question, lanes, report.

:meth:`Batch.run` is the whole of it in one straight line. It prints nothing, installs no signal handler and holds no
global state; whoever wants to know what happens passes an :class:`~batchpol.batch.observer.Observer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

import anyio.to_thread

from batchpol.batch.ending import end
from batchpol.batch.intake import AT_ONCE, Backlog, Intake, Records, checking, read_through, sharding
from batchpol.batch.lanes import Lanes
from batchpol.batch.observer import Observer, Preview, Result
from batchpol.batch.options import Options
from batchpol.batch.preflight import check_accounts, look_up, prune
from batchpol.batch.resuming import begin, check_content, check_plan, open_journal, remember
from batchpol.batch.worker import LOOKED_AT, STOPPED, already_over, check_over, pins_of, stays_over
from batchpol.journal import Folder, Journal, Run, is_held
from batchpol.model import Target
from batchpol.model.errors import JournalError, JournalLocked
from batchpol.outputs import check_run
from batchpol.report import Summary
from batchpol.sending.caller import Here
from batchpol.sending.stopping import Stoppable, task_group
from batchpol.sending.targets import Targets
from batchpol.ses import UTC_NOW, Caller

UNKNOWN_DRAIN = 5.0
"""Seconds that an input is read for the report of a run that was stopped before AWS said who it is."""


class Batch(Stoppable):
    """One run of one batch; :meth:`run` once, :meth:`stop` from anywhere on its loop.

    Args:
        records: what to apply; read to its end before anything is sent.
        options: every choice of the run.
        observer: who wants to know.
        name: the input's name for people and for the journal.
        columns: the input's extra columns in their order.
        digest: gives the input's SHA-256 once it was read.
        sheet: how a report is to be written so that the program opens it that wrote the input.
        wall: the wall clock.
    """

    def __init__(
        self,
        records: Records,
        options: Options,
        *,
        observer: Observer | None = None,
        name: str = "",
        columns: Callable[[], tuple[str, ...]] = tuple,
        digest: Callable[[], str] = str,
        sheet: str = "",
        wall: Callable[[], datetime] = UTC_NOW,
    ) -> None:
        super().__init__()
        self._records, self.options, self._observer = records, options, observer or Observer()
        self._name, self._columns, self._digest, self._wall = name, columns, digest, wall
        self._sheet = sheet
        self._begun = time.monotonic()
        self._yes = not self._observer.asks

    async def run(self, targets: Targets) -> Result:
        """Apply the batch to targets that are open, and stay so.

        Raises:
            UsageError, InputError: configuration or input unusable; nothing was sent.
            JournalError: the journal cannot be used.
        """
        if (seconds := self.options.patience.max_duration) is None:
            return await self._run_in_turn(targets)
        async with task_group(Exception) as tasks:
            tasks.start_soon(self._bound, seconds)
            result = await self._run_in_turn(targets)
            tasks.cancel_scope.cancel()
        return result

    async def _run_in_turn(self, targets: Targets) -> Result:
        """Run the whole input, or a shard, for which another worker that has it is waited for."""
        folder, told = self.options.folder, ""
        while folder is not None:
            folder.make()
            over = await anyio.to_thread.run_sync(already_over, self.options)
            if over is not None:
                await read_through(self._records)
                check_over(self.options, self._digest())
                self._observer.noted_of_run(f"shard {self.options.keeping.shard} was finished already")
                return over
            if folder.is_stopped:
                self.stop(STOPPED, 3)
            try:
                if (result := await self._run(targets)) is not None:
                    return result
            except JournalLocked as error:
                if str(error) != told:
                    told = str(error)
                    self._observer.noted_of_run(f"{told}; waiting until it is free")
                with self._stoppable(0):
                    await self._free(folder)
        result = await self._run(targets)
        assert result is not None  # a whole run is begun by whoever asks
        return result

    async def _free(self, folder: Folder) -> None:
        """Return when the shard's journal may be free, or all workers are to stop; it is not read for that."""
        path = self.options.keeping.journal
        while True:
            await anyio.sleep(LOOKED_AT)
            if path is None or folder.is_stopped or not path.exists():
                return
            if not await anyio.to_thread.run_sync(is_held, path):
                return

    async def _run(self, targets: Targets) -> Result | None:
        """One start; None if another worker brought the shard to its end meanwhile."""
        options = self.options
        inputs = {"the input": self._name, "the template": options.reading.policy_template}
        check_run(inputs, options.keeping.journal, options.keeping.reports)
        here = failure = None
        with self._stoppable(0):
            here = await targets.here()
        if here is None:
            return await self._never_begun(targets)
        if options.sandbox:
            here = replace(here, endpoint="")  # it has another port each time, so that none is written down
        check_plan(options, here, self._name)
        check = checking(options, here.target)
        if options.folder is not None:
            options.folder.check(pins_of(options, here, self._name))
        with open_journal(options, here, self._name) as journal:
            if journal.history.is_over and stays_over(options):
                return None
            run = self._begin(journal, here, targets)
            intake = Intake(options, check, journal, run, sharding(options, here.target))
            with self._stoppable(0):
                await intake.take_all(self._records, lambda: self.stopped is None)
            lanes, backlogs = Lanes(self, targets, journal, options, self._observer, self._wall), None
            async with lanes.watched():
                conduct, attempts = options.conduct, options.patience.max_attempts
                if conduct.prune:
                    with self._stoppable(0):
                        await prune(intake, targets, conduct.prune_prefix, attempts, self._observer, lanes.fence)
                if self.stopped is None:  # an input that was read half says nothing of what is to be sent
                    backlogs = self._close(intake, journal, here)
                    check_accounts(targets, backlogs, journal, at=self._now())
                    preview = Preview.of(intake, backlogs, here, targets.period, [*here.notes, *journal.notes])
                    await self._ask(preview, backlogs, journal, targets, lanes.fence)
            if backlogs is not None and self.stopped is None:
                failure = await self._send(lanes, backlogs)
            result = await self._end(journal, run, failure=failure, few=intake.records <= AT_ONCE)
            await self._observer.ended(journal)
            return result

    def _begin(self, journal: Journal, here: Here, targets: Targets) -> Run:
        """The run's header, and what the targets are to know of earlier runs."""
        options, earlier = self.options, journal.history
        run = begin(
            journal, options, here, targets.period, self._name, self._columns(), sheet=self._sheet, at=self._now()
        )
        self._observer.begun(run)
        if earlier.run is not None:
            ended = earlier.end.at if earlier.end and options.folder is None else None  # else another clock's time
            targets.heed(ended, self._wall())
        remember(journal, targets)
        return run

    def _close(self, intake: Intake, journal: Journal, here: Here) -> dict[Target, Backlog]:
        """End the first pass, provided that the input is what the journal and the folder are about."""
        options, digest = self.options, self._digest()
        if options.unnamed:
            check_content(journal, digest, at=self._now())
        if options.folder is not None and not options.conduct.dry_run:
            options.folder.pin(pins_of(options, here, self._name, digest))
        return intake.close(digest)

    async def _never_begun(self, targets: Targets) -> Result:
        """The end of a run that was stopped before AWS said who it is: its report has a row for every record, too.

        In a journal of earlier runs they are as those left them; without one, or where none of those had read its input
        to the end, the input is read, for a moment.
        """
        options, path = self.options, self.options.keeping.journal
        reason, code = self.stopped or ("stopped", 3)
        early, self._yes = (f"{reason} before anything was sent", code), False
        known = path if path is not None and path.is_file() and not options.keeping.fresh else None
        if not options.keeping.reports:
            return Result(Summary(), code, early[0], (), None)
        here = Here(Caller("", ""), targets.region, "")
        with Journal.temporary() if known is None else Journal.copied(known) as journal:
            run = begin(
                journal, options, here, targets.period, self._name, self._columns(), sheet=self._sheet, at=self._now()
            )
            section = journal.section()
            if section is None or section.planned is None:
                intake = Intake(options, checking(options, here.target), journal, run)
                with self._stoppable(UNKNOWN_DRAIN):
                    await intake.take_all(self._records, lambda: True)
            return await self._end(journal, run, early=early)

    async def _ask(
        self,
        preview: Preview,
        backlogs: dict[Target, Backlog],
        journal: Journal,
        targets: Targets,
        fence: Callable[[], None],
    ) -> None:
        """Show what is about to be sent, and ask; the run is stopped if nothing may be."""
        options = self.options
        if self._observer.asks and options.conduct.ownership:  # without a question the lanes look them up
            with self._stoppable(0):
                attempts = options.patience.max_attempts
                await look_up(preview, backlogs, journal, targets, attempts, self._observer, fence)
        if self.stopped is None:
            with self._stoppable(0), self._untimed():
                self._yes = await self._observer.planned(preview, journal)
        if self.stopped is None:
            if options.checks.strict and preview.rejected:
                self.stop("some records are rejected and `strict` sends nothing then", 2)
            elif options.conduct.dry_run:
                self.stop("dry run", 1 if preview.rejected else 0)
            elif not self._yes:
                self.stop("not confirmed", 2)

    async def _send(self, lanes: Lanes, backlogs: dict[Target, Backlog]) -> JournalError | None:
        """Bring every change to an outcome, or stop; returns why the journal could not be written any more, if so."""
        with self._stoppable(self.options.drain, lanes.halt):
            return await lanes.send(backlogs)
        return None

    async def _end(
        self,
        journal: Journal,
        run: Run,
        *,
        failure: JournalError | None = None,
        early: tuple[str, int] | None = None,
        few: bool = False,
    ) -> Result:
        """Write down how it ended, and the reports; off the loop, unless the records are few and no file is kept."""
        why, at, begun = early or self.early, self._now(), self._begun
        finish = partial(
            end,
            journal,
            run,
            self.options,
            agreed=self._yes,
            early=why,
            failure=failure,
            at=at,
            begun=begun,
            advise=self._observer.next_steps,
        )
        if few and journal.path is None and not self.options.keeping.reports:
            return finish()
        return await anyio.to_thread.run_sync(finish)

    def _now(self) -> str:
        return self._wall().isoformat(timespec="milliseconds")
