"""One batch: who we are, first pass, question, lanes, report.

:meth:`Batch.run` is the whole of it in one straight line. It prints nothing, installs no signal handler and holds no
global state; whoever wants to know what happens passes an :class:`~batchpol.batch.observer.Observer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import anyio.to_thread

from batchpol.batch.ending import end, never_begun
from batchpol.batch.intake import Backlog, Intake, Records, checking
from batchpol.batch.lanes import Lanes
from batchpol.batch.observer import Observer, Preview, Result
from batchpol.batch.options import Options
from batchpol.batch.preflight import check_accounts, look_up, prune
from batchpol.batch.resuming import begin, open_journal, remember
from batchpol.errors import JournalError
from batchpol.journal import Journal
from batchpol.model import Target
from batchpol.outputs import check_run
from batchpol.sending.targets import Targets
from batchpol.stopping import Stoppable


class Batch(Stoppable):
    """One run of one batch; :meth:`run` once, :meth:`stop` from anywhere on its loop.

    Args:
        records: what to apply; read to its end before anything is sent.
        options: every choice of the run.
        observer: who wants to know.
        name: the input's name for people and for the journal.
        columns: the input's extra columns in their order.
        digest: gives the input's SHA-256 once it was read.
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
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._records, self.options, self._observer = records, options, observer or Observer()
        self._name, self._columns, self._digest, self._wall = name, columns, digest, wall
        self._begun = time.monotonic()

    async def run(self, targets: Targets) -> Result:
        """Apply the batch to targets that are open, and stay so.

        Raises:
            UsageError, InputError: configuration or input unusable; nothing was sent.
            JournalError: the journal cannot be used.
        """
        options = self.options
        inputs = {"the input": self._name, "the template": options.reading.policy_template}
        check_run(inputs, options.keeping.journal, options.keeping.reports)
        here = failure = None
        with self._stoppable(0):
            here = await targets.here()
        if here is None:
            return never_begun(self.stopped)
        if options.sandbox:
            here = replace(here, endpoint="")  # it has another port each time, so that none is written down
        check = checking(options, here.target)
        with open_journal(options, here) as journal:
            run = begin(journal, options, here, targets.period, self._name, self._columns(), at=self._now())
            self._observer.begun(run)
            targets.heed(journal.history.last_sent, self._wall())
            remember(journal, targets)
            intake = Intake(options, check, journal)
            with self._stoppable(0):
                await intake.take_all(self._records, lambda: self.stopped is None)
            if options.conduct.prune:
                with self._stoppable(0):
                    await prune(intake, targets, options.conduct.prune_prefix, options.patience.max_attempts)
            if self.stopped is None:  # an input that was read half says nothing of what is to be sent
                backlogs = intake.close(self._digest())
                check_accounts(targets, backlogs, journal, at=self._now())
                preview = Preview.of(intake, backlogs, here, targets.period, [*here.notes, *journal.notes])
                if await self._agreed(preview, backlogs, journal, targets):
                    failure = await self._send(backlogs, journal, targets)
            finish = partial(
                end, journal, run, options, early=self.early, failure=failure, at=self._now(), begun=self._begun
            )
            result = await anyio.to_thread.run_sync(finish)
            await self._observer.ended(journal)
            return result

    async def _agreed(
        self, preview: Preview, backlogs: dict[Target, Backlog], journal: Journal, targets: Targets
    ) -> bool:
        """Show what is about to be sent, and ask; False if nothing may be."""
        options, agreed = self.options, False
        with self._stoppable(0):
            if self._observer.asks and options.conduct.ownership:  # without a question the lanes look them up
                await look_up(preview, backlogs, journal, targets, options.patience.max_attempts)
            agreed = await self._observer.planned(preview, journal)
        if self.stopped is None:
            if options.checks.strict and preview.rejected:
                self.stop("some records are rejected and `strict` sends nothing then", 2)
            elif options.conduct.dry_run:
                self.stop("dry run", 1 if preview.rejected else 0)
            elif not agreed:
                self.stop("not confirmed", 2)
        return self.stopped is None

    async def _send(self, backlogs: dict[Target, Backlog], journal: Journal, targets: Targets) -> JournalError | None:
        """Bring every change to an outcome, or stop; returns why the journal could not be written any more, if so."""
        lanes = Lanes(self, targets, journal, self.options, self._observer, self._wall)
        with self._stoppable(self.options.drain, lanes.halt):
            return await lanes.send(backlogs)
        return None

    def _now(self) -> str:
        return self._wall().isoformat(timespec="milliseconds")
