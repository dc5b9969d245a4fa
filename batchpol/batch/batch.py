"""One batch: who we are, first pass, lanes, stop, report.

:meth:`Batch.run` is the whole of it in one straight line. It prints nothing, installs no signal handler and holds no
global state; whoever wants to know what happens passes an :class:`Observer`.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from batchpol.batch.intake import Backlog, Intake, changes
from batchpol.batch.observer import Observer, Preview, Result
from batchpol.batch.options import Options
from batchpol.batch.preflight import check_certain, prunable, unverified
from batchpol.errors import (
    BatchpolError,
    JournalError,
    JournalMismatch,
    JournalUnwritable,
    SesError,
    UsageError,
)
from batchpol.journal import FINISHED, FORMAT, LANE_STOPPED, End, Entry, History, Journal, Note, Run, Section, set_aside
from batchpol.model import Change, Outcome, Record, Status, Target
from batchpol.report import Summary, check_report, write_plan, write_report
from batchpol.sending.caller import Here
from batchpol.sending.commit import GroupCommit
from batchpol.sending.lane import Lane
from batchpol.sending.targets import Targets
from batchpol.source import RULES as SOURCE_RULES
from batchpol.stopping import Stoppable
from batchpol.validation import Checker, Verdict
from batchpol.version import __version__

AT_ONCE = 100
"""Records checked on the event loop before others have their turn: some milliseconds' worth."""

READING = 0.5
"""Seconds that a first pass cut short is given to finish the record in hand; an input that is silent has none."""

ENTER_EVERY = 0.005
"""Seconds from one lane's entering to the next one's at least. Assuming a role costs more processor time than sending,
and hundreds that enter at once leave none to the lanes that send already: the first requests of these came a second
apart from their turn. One at a time it goes slower by itself where the processor is busy, and the lanes' requests
are spread over the period."""

BAD = frozenset({Status.REJECTED, Status.FAILED, Status.UNKNOWN})
"""Statuses that make the exit code 1."""


Records = Iterable[Record] | AsyncIterable[Record]


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
        self._name, self._columns, self._digest = name, columns, digest
        self._wall = wall
        self._lanes: dict[Target, Lane] = {}
        self._sent: Counter[Status] = Counter()
        self._lanes_stopped: list[str] = []
        self._failure: JournalError | None = None
        self._notes: list[str] = []
        self._begun = time.monotonic()
        self._run_id = uuid.uuid4().hex
        self._endpoint = ""
        self.journal: Journal | None = None

    # -- the straight line -------------------------------------------------------------------------------------

    async def run(self, targets: Targets) -> Result:
        """Apply the batch to targets that are open, and stay so.

        Raises:
            UsageError, InputError: configuration or input unusable; nothing was sent.
            JournalError: the journal cannot be used, or could not be written any more.
        """
        check_places(self._name, self.options.journal, self.options.reports)
        here = None
        with self._stoppable(0):
            here = await targets.here()
        if here is None:
            return self._never_begun()
        if not self.options.sandbox:  # an embedded SES has another port each time, so that none is written down
            self._endpoint = here.endpoint
            self._notes += here.notes
        checker = self._checker(here.target)
        with self._open_journal(here) as journal:
            self.journal = journal
            self._begin(journal, here, anew=self._looks_anew(journal.history))
            targets.heed(journal.history.last_sent, self._wall())
            intake = self._intake(checker, journal, here.target)
            with self._stoppable(0):
                await self._read(intake)
            if self.options.prune is not None:
                with self._stoppable(0):
                    await self._find_prunes(targets, intake)
            if self._stopped is None:  # an input that was read half says nothing of what is to be sent
                backlogs = intake.close(self._digest())
                if await self._agreed(targets, intake, backlogs, here):
                    with self._stoppable(self.options.drain):
                        await self._send(targets, backlogs)
            result = await anyio.to_thread.run_sync(self._finish, journal)
            await self._observer.ended()
            return result

    def _halt(self) -> None:
        for lane in self._lanes.values():
            lane.stop()

    def _never_begun(self) -> Result:
        """The result of a run that was stopped before it read anything."""
        reason, code = self._stopped or ("stopped", 3)
        return Result(Summary(), code, f"{reason} before anything was sent", (), None)

    # -- before the first request ------------------------------------------------------------------------------

    def _open_journal(self, here: Here) -> Journal:
        """The journal to write and what earlier runs left in it; a dry run reads it and leaves it alone."""
        path = self.options.journal
        if path is None:
            return Journal.temporary()
        if path.exists() or path.is_symlink():
            if self.options.fresh:
                if not self.options.dry_run:
                    self._notes.append(f"the earlier journal is now {set_aside(path)}")
            elif (found := self._resume(path, here)) is not None:
                return found
        if self.options.dry_run:
            return Journal.temporary()
        return Journal.create(path)

    def _resume(self, path: Path, here: Here) -> Journal | None:
        journal = Journal.copied(path) if self.options.dry_run else Journal.resume(path)
        try:
            before = journal.history.run
            if before is not None and before.sandbox:
                journal.close()
                if not self.options.dry_run:
                    aside = set_aside(path)
                    self._notes.append(f"the journal of an embedded SES that is gone was set aside as {aside}")
                return None
            self._check_same_place(before, here, path)
            self._notes.extend(journal.notes)
        except BaseException:
            journal.close()
            raise
        return journal

    def _check_same_place(self, before: Run | None, here: Here, path: Path) -> None:
        if before is None:
            return
        place = _place(here)
        there = {key: before.options.get(key, "") for key in place} | {"endpoint": before.endpoint}
        place["endpoint"] = self._endpoint
        if place != there or before.sandbox != self.options.sandbox:
            described = ", ".join(f"{key} {there[key] or '(none)'}" for key in place if place[key] != there[key])
            raise JournalMismatch(
                f"the journal {path} belongs to another place: {described or 'a real SES, not an embedded one'}",
                hint="name another file with --journal, or set this one aside with --fresh",
            )

    def _looks_anew(self, history: History) -> bool:
        """After a run that left nothing to go on with, all is compared with what is there by now.

        Without comparing nothing is: what was done would only be sent once more.
        """
        anew = history.is_over and self.options.conduct.compare
        if anew:
            history.forget()
            self._notes.append("the last run is over, everything done: this one compares anew with what is there")
        return anew

    def _begin(self, journal: Journal, here: Here, *, anew: bool) -> None:
        run = Run(
            format=FORMAT,
            run_id=self._run_id,
            at=self._now(),
            version=__version__,
            pid=os.getpid(),
            host=socket.gethostname(),
            input=self._name,
            sandbox=self.options.sandbox,
            endpoint=self._endpoint,
            options=_place(here)
            | {"caller": here.caller.arn, "period": self.options.period, "command": self.options.command},
            columns=self._columns(),
            anew=anew,
        )
        journal.append(run)
        self._observer.begun(run)

    def _default(self, target: Target) -> Target:
        """The target of records that name none; with several Regions every record has to say its own."""
        return Target(target.account, "") if len(self.options.regions) > 1 else target

    def _checker(self, target: Target) -> Checker:
        options = self.options
        return Checker(
            target=self._default(target),
            require_target=True,
            regions=frozenset(options.regions) if len(options.regions) > 1 else frozenset(),
            select=options.select,
            ignore=options.ignore,
            warnings_as_errors=options.warnings_as_errors,
            also=SOURCE_RULES,
        )

    def _intake(self, checker: Checker, journal: Journal, target: Target) -> Intake:
        template = self.options.template
        return Intake(
            checker,
            journal,
            journal.history,
            fill=template.filler(self._default(target)) if template else None,
            limit=self.options.limit,
            retry_failed=self.options.retry_failed,
            keep_names=self.options.prune is not None,
        )

    async def _read(self, intake: Intake) -> None:
        """The first pass, off the loop where the input is a blocking one."""
        if isinstance(self._records, AsyncIterable):
            async for record in self._records:
                if self._stopped is not None:
                    return
                intake.take(record)
                if intake.records % AT_ONCE == 0:
                    await anyio.lowlevel.checkpoint()
            return
        wanted, ended, records = True, threading.Event(), self._records

        def take_all() -> None:
            try:
                for record in records:
                    if not wanted:
                        return
                    intake.take(record)
            finally:
                ended.set()

        try:
            await anyio.to_thread.run_sync(take_all, abandon_on_cancel=True)
        finally:
            wanted = False
            if not ended.is_set():
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(ended.wait, READING)

    async def _agreed(
        self,
        targets: Targets,
        intake: Intake,
        backlogs: dict[Target, Backlog],
        here: Here,
    ) -> bool:
        """Show what is about to be sent, and ask; False if nothing may be."""
        assert self.journal is not None
        agreed = False
        if self._stopped is None:
            with self._stoppable(0):
                doubtful = await self._find_unverified(targets, backlogs, self.journal)
                preview = self._preview(intake, backlogs, here, doubtful)
                agreed = await self._observer.planned(preview)
        if self._stopped is None:
            rejected = intake.counts()[Verdict.REJECTED]
            if self.options.strict and rejected:
                self._stopped = ("some records are rejected and --strict sends nothing then", 2)
            elif self.options.dry_run:
                self._stopped = ("dry run", 1 if rejected else 0)
            elif not agreed:
                self._stopped = ("not confirmed", 2)
        return self._stopped is None

    def _preview(self, intake: Intake, backlogs: dict[Target, Backlog], here: Here, unverified: list[str]) -> Preview:
        return Preview(
            caller=here.caller,
            region=here.region,
            endpoint=self._endpoint,
            records=intake.records,
            verdicts=intake.counts(),
            warnings=intake.warnings,
            first_rejected=intake.first_rejected,
            resumed=intake.resumed,
            targets={target: len(backlog.offsets) for target, backlog in backlogs.items()},
            period=self.options.period,
            notes=self._notes,
            pruned=intake.pruned,
            unverified=unverified,
        )

    async def _find_prunes(self, targets: Targets, intake: Intake) -> None:
        """Have deleted what the input's identities have and the input has not."""
        check_certain(intake)
        for target, kept in intake.names.items():
            try:
                reads = await targets.reads(target, self.options.patience.max_attempts)
                found = await prunable(reads, kept, self.options.prune or "")
            except SesError as error:
                raise UsageError(f"what to prune could not be listed: {error}", hint=error.hint) from error
            for identity, name, first in found:
                intake.prune(target, identity, name, first=first)

    async def _find_unverified(self, targets: Targets, backlogs: dict[Target, Backlog], journal: Journal) -> list[str]:
        """Identities to be told of before the question, where there is one; without it the lanes look them up."""
        if not (self._observer.asks and self.options.conduct.ownership):
            return []
        found = []
        for target, backlog in backlogs.items():
            try:
                reads = await targets.reads(target, self.options.patience.max_attempts)
                names = (change.key_identity for change in changes(journal, backlog))
                found += await unverified(reads, targets.ownership(target), names)
            except SesError as error:
                self._notes.append(f"{target}: whether the identities are verified is not known: {error}")
        return found

    # -- sending -----------------------------------------------------------------------------------------------

    async def _send(self, targets: Targets, backlogs: dict[Target, Backlog]) -> None:
        """All lanes at once; each stops alone, a journal that cannot be written stops them all."""
        commit = GroupCommit(self._write)
        if self.options.max_duration is not None:
            limit = f"--max-duration of {self.options.max_duration:g} s is over"
        try:
            async with anyio.create_task_group() as tasks:
                timer = anyio.CancelScope()
                if self.options.max_duration is not None:
                    tasks.start_soon(self._stop_after, self.options.max_duration, limit, timer)
                async with anyio.create_task_group() as lanes:
                    for target, backlog in backlogs.items():
                        lanes.start_soon(self._lane, targets, target, backlog, commit)
                        if self._stopped is not None:
                            break
                        await anyio.sleep(ENTER_EVERY)
                timer.cancel()
        except* JournalError as errors:
            self._failure = _first(errors)

    async def _stop_after(self, seconds: float, reason: str, scope: anyio.CancelScope) -> None:
        with scope:
            await anyio.sleep(seconds)
            self.stop(reason, 3)

    async def _write(self, entries: list[Entry]) -> None:
        """Append and make durable; on a thread only where there is a disk to wait for."""
        assert self.journal is not None
        if self.journal.path is None:
            self.journal.append(*entries)
        else:
            await anyio.to_thread.run_sync(_durably, self.journal, entries)

    async def _lane(self, targets: Targets, target: Target, backlog: Backlog, commit: GroupCommit[Entry]) -> None:
        assert self.journal is not None
        try:
            async with targets.entering:
                if self._stopped is not None:
                    return
                ses = await targets.ses(target)
        except SesError as error:
            await self._lane_stopped(commit, target, error)
            return
        lane = Lane(
            target=target,
            ses=ses,
            gates=targets.gates(target),
            commit=commit,
            settled=self._settled,
            noted=self._observer.noted,
            attempted=self._observer.attempted,
            planned=self._observer.compared,
            renew=lambda old: targets.renew(target, old),
            wall=self._wall,
            patience=self.options.patience,
            conduct=self.options.conduct,
            ownership=targets.ownership(target),
        )
        if self._stopped is not None:
            return
        self._lanes[target] = lane
        self._observer.lane_started(lane)
        await lane.run(_async(changes(self.journal, backlog)))
        if lane.stopped is not None:
            await self._lane_stopped(commit, target, lane.stopped)
        else:
            self._observer.lane_ended(target, None)

    async def _lane_stopped(self, commit: GroupCommit[Entry], target: Target, error: SesError) -> None:
        text = f"{error}" + (f"; {error.hint}" if error.hint else "")
        data = {"account": target.account, "region": target.region, "error_code": error.code}
        await commit.add(Note(kind=LANE_STOPPED, text=text, at=self._now(), data=data))
        self._observer.noted(target, f"stopped: {text}")
        self._observer.lane_ended(target, error)
        self._lanes_stopped.append(f"{target} stopped: {text}")

    def _settled(self, outcome: Outcome) -> None:
        self._sent[outcome.status] += 1
        self._observer.settled(outcome)
        failed = self._sent[Status.FAILED] + self._sent[Status.UNKNOWN]
        if self.options.threshold.passed(failed, self._sent.total()):
            self.stop(f"{failed} of {self._sent.total()} records failed, more than --max-failures allows", 3)

    # -- the end -----------------------------------------------------------------------------------------------

    def _finish(self, journal: Journal) -> Result:
        """Write down the end, then every report from the journal, whatever way the run ended."""
        section = journal.section()
        reason, code = self._ending(section)
        end = End(at=self._now(), reason=reason, exit_code=code)
        try:
            if self._failure is None:
                journal.append(end)
                journal.sync()
                if section is not None and section.run.run_id == self._run_id:  # or else it is an earlier run's
                    section.end = end
        except JournalUnwritable as error:
            self._failure = error
        if self._failure is not None:
            reason, code = str(self._failure), 3
        written = []
        for path in self.options.reports:
            try:
                self._write_report(journal, section, path)
                written.append(path)
            except BatchpolError as error:
                reason, code = f"{error}; {error.hint}", code if code > 1 else 3
        summary = Summary.of(journal.outcomes(section), seconds=time.monotonic() - self._begun)
        return Result(summary, code, reason, tuple(written), journal.path)

    def _ending(self, section: Section | None) -> tuple[str, int]:
        """Why the run ends, and with which exit code."""
        counts = section.counts() if section is not None else {}
        reason, code = self._stopped or (FINISHED, 0)
        if self._stopped is None and self._lanes_stopped:
            first, *others = self._lanes_stopped
            reason, code = first + (f"; so did {len(others):,} other targets" if others else ""), 3
        if code == 0 and counts.keys() & BAD:
            code = 1
        if reason == FINISHED and self.options.limit is not None and Status.NOT_ATTEMPTED in counts:
            reason = f"--limit {self.options.limit} was reached"
        return reason, code

    def _write_report(self, journal: Journal, section: Section | None, path: Path) -> None:
        if self.options.conduct.plan:
            write_plan(journal.outcomes(section), path)
        else:
            write_report(
                journal.outcomes(section),
                path,
                columns=section.columns if section else (),
                about=section.about() if section else None,
                sends=journal.sends(),
            )

    def _now(self) -> str:
        return self._wall().isoformat(timespec="milliseconds")


def check_places(name: str, journal: Path | None, reports: tuple[Path, ...]) -> None:
    """Find out before anything happens that the files of a run are different ones and can be written.

    Raises:
        UsageError: one would overwrite another, or a report has no known format or no place.
    """
    taken = {Path(name).resolve(): "the input"}
    written = [(path, "a report") for path in reports]
    if journal is not None:
        written.insert(0, (journal, "the journal"))
    for path, what in written:
        other = taken.get(path.resolve())
        if other is not None:
            raise UsageError(f"{path} cannot be {what}: it is {other}", hint="name another file")
        taken[path.resolve()] = what
    for path in reports:
        check_report(path)
    if journal is not None and not journal.parent.is_dir():
        text = f"the journal {journal} would be in a folder that is not there"
        raise UsageError(text, hint=f"make {journal.parent} first")


def _place(here: Here) -> dict[str, str]:
    return {"account": here.caller.account, "region": here.region}


def _durably(journal: Journal, entries: list[Entry]) -> None:
    journal.append(*entries)
    journal.sync()


async def _async(items: Iterator[Change]) -> AsyncIterator[Change]:
    for item in items:
        yield item


def _first(errors: BaseExceptionGroup[Any]) -> Any:
    found: Any = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
