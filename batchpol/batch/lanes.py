"""All lanes of a run at once: each enters its target and may stop alone; what they tell is written down together."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from batchpol.batch.intake import Backlog
from batchpol.batch.observer import Observer
from batchpol.batch.options import Options
from batchpol.batch.worker import STOPPED
from batchpol.journal import LANE_STOPPED, Entry, Journal, Note, Tail
from batchpol.model import Change, Outcome, Status, Target
from batchpol.model.errors import JournalError, SesError
from batchpol.model.settings import Patience
from batchpol.sending.commit import GroupCommit
from batchpol.sending.gate import unfenced
from batchpol.sending.lane import Lane
from batchpol.sending.observer import LaneObserver, LaneObservers
from batchpol.sending.queue import Job
from batchpol.sending.stopping import Stoppable, task_group
from batchpol.sending.targets import ENTER_EVERY, Targets

BEAT = 1.5
"""Seconds without a sync after which a worker writes something, to know that its shard is still its own."""

WATCH_EVERY = 1.0
"""Seconds from one look at whether the journal is still there, and as it was left, to the next."""

SHARED_WATCH_EVERY = 0.25
"""The same where other workers can have the journal: as long goes on who lost it where locks do nothing."""


STS_RATE = 400.0
"""Roles that all workers of a batch together assume in a second. STS takes 600 requests a second of an account in a
Region (IAM User Guide, "IAM and AWS STS quotas"), which others ask, too."""


class Lanes:
    """The lanes of one run.

    Args:
        run: begins nothing once it was stopped, and is stopped where too many records failed.
        targets: what the lanes enter.
        journal: what they write into; None where nothing is kept.
        options: every choice of the run.
        observer: who wants to know.
        wall: the wall clock.
        also: who else is told what the lanes do.

    Attributes:
        commit: makes what is written down durable.
    """

    def __init__(
        self,
        run: Stoppable,
        targets: Targets,
        journal: Journal | None,
        options: Options,
        observer: Observer,
        wall: Callable[[], datetime],
        also: LaneObserver | None = None,
    ) -> None:
        self._run, self._targets, self._journal = run, targets, journal
        self._options, self._observer, self._wall = options, observer, wall
        on_disk = journal is not None and journal.path is not None
        self.commit = GroupCommit[Entry](self._write, None if on_disk else self._keep)
        self._lanes: dict[AsyncIterator[Job | None], Lane] = {}
        self._told = LaneObservers(observer, _Tally(run, options.patience, observer), *filter(None, [also]))

    async def send(self, backlogs: Mapping[Target, Backlog]) -> JournalError | None:
        """Bring every change to an outcome, or stop; returns why the journal could not be written any more, if so."""
        try:
            async with self.watched(), task_group(Exception) as lanes:
                async for target in self.entering(backlogs):
                    lanes.start_soon(self.run, target, self._jobs(backlogs[target]))
        except JournalError as error:
            return error
        return None

    async def entering(self, targets: Iterable[Target]) -> AsyncIterator[Target]:
        """Each target when it is its turn to enter, one after another, until the run is stopped.

        Workers that assume a role in each account keep the rate of all of them to what STS takes; those that begin
        together take turns.
        """
        shard, asked = self._options.keeping.shard, set[str]()
        roles = 0.0
        if shard is not None and self._options.connection.role_arn is not None:
            roles = shard.count / STS_RATE
            await anyio.sleep(roles * (shard.number - 1) / shard.count)
        for target in targets:
            if asked:
                await anyio.sleep(max(ENTER_EVERY, 0.0 if target.account in asked else roles))
            if self._run.stopped is not None:
                return
            asked.add(target.account)
            yield target

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Tasks that end with the block, and with the journal: what it raises comes out. A shard counts as the run's
        own from here on, and whoever had it before has a period to notice. A journal without a file needs none."""
        if self._journal is None or self._journal.path is None:
            yield
            return
        tail = self._shared
        async with task_group(Exception) as tasks:
            if tail is not None:
                taken = tail.confirmed is None and self._journal is not None and self._journal.history.run is not None
                await anyio.to_thread.run_sync(tail.own)
                if taken:
                    self._targets.heed(None, self._wall(), more=SHARED_WATCH_EVERY)
            tasks.start_soon(self.watch)
            yield
            tasks.cancel_scope.cancel()

    @property
    def _shared(self) -> Tail | None:
        """The end of the journal where other workers can have it, too."""
        journal = self._journal if self._options.folder is not None else None
        return journal.tail if journal is not None and journal.path is not None else None

    @property
    def fence(self) -> Callable[[], None]:
        """What every attempt of the run is to ask before it leaves."""
        return self._shared.check_owned if self._shared is not None else unfenced

    def halt(self) -> None:
        """Let nothing leave any more; what is under way is finished."""
        for lane in self._lanes.values():
            lane.stop()

    def halted(self, jobs: AsyncIterator[Job | None]) -> bool:
        """Whether the lane of these jobs is ending, so that what is asked for now is for another one."""
        lane = self._lanes.get(jobs)
        return lane is not None and lane.contact.halt.called

    async def watch(self) -> None:
        """Look after the journal when nothing is written to it, too, and whether all workers are to stop; for ever.

        Raises what the journal raises.
        """
        folder = self._options.folder
        while self._journal is not None and self._journal.path is not None:
            await anyio.sleep(WATCH_EVERY if folder is None else SHARED_WATCH_EVERY)
            await anyio.to_thread.run_sync(self._journal.check)
            if self._journal.tail.unconfirmed > BEAT:
                await self.commit.add(Note(kind="beat", at=self._wall().isoformat(timespec="milliseconds"), text=""))
            if folder is not None and await anyio.to_thread.run_sync(lambda: folder.is_stopped):
                self._run.stop(STOPPED, 3)

    async def run(self, target: Target, jobs: AsyncIterator[Job | None]) -> SesError | None:
        """Run one lane until its jobs are through, or it is stopped; returns what stopped it alone."""
        try:
            lane = await self._enter(target)
        except SesError as error:
            await self._stopped(target, error)
            return error
        if lane is None or self._run.stopped is not None:
            return None
        self._lanes[jobs] = lane
        self._observer.lane_started(lane.contact)
        with lane.contact.gates.fenced(self.fence):
            await lane.run(jobs)
        del self._lanes[jobs]
        if lane.stopped is not None:
            await self._stopped(target, lane.stopped)
        else:
            self._observer.lane_ended(target, None)
        return lane.stopped

    async def _jobs(self, backlog: Backlog) -> AsyncIterator[Job]:
        assert self._journal is not None  # it is where the backlog stands
        for change in backlog.changes(self._journal):
            yield Job(change)

    async def _enter(self, target: Target) -> Lane | None:
        """A lane of this target; None if the run was stopped before its turn to enter. Raises SesError."""
        async with self._targets.entering:
            if self._run.stopped is not None:
                return None
            contact = await self._targets.contact(target, self._options.patience, self._observer)
        ownership, lately = self._targets.ownership(target), self._targets.lately(target)
        return Lane(contact, self.commit, self._told, self._options.conduct, ownership, lately, self._wall)

    async def _stopped(self, target: Target, error: SesError) -> None:
        """Write down and tell that no more leaves for a target, and why."""
        text = error.in_full
        data = {"account": target.account, "region": target.region, "error_code": error.code}
        at = self._wall().isoformat(timespec="milliseconds")
        await self.commit.add(Note(kind=LANE_STOPPED, text=text, at=at, data=data))
        self._observer.noted(target, f"stopped: {text}")
        self._observer.lane_ended(target, error)
        self._run.ended_alone(f"{target} stopped: {text}")

    def write_down(self, entry: Entry, tasks: TaskGroup) -> anyio.Event:
        """Have it written down before all that comes later, by one of ``tasks``; the event says that it was tried.

        Whoever asks for it can be cancelled meanwhile, by asyncio itself, which would tear it out of a write that is
        everybody's.
        """
        over = anyio.Event()

        async def write() -> None:
            try:
                await self.commit.add(entry)
            finally:
                over.set()

        if self._journal is None:
            over.set()
        else:
            tasks.start_soon(write)
        return over

    async def _write(self, entries: list[Entry]) -> None:
        """Append and make durable, on a thread."""
        await anyio.to_thread.run_sync(_durably, self._journal, entries)

    def _keep(self, entries: Sequence[Entry]) -> None:
        """Append where nothing is made durable, if there is a journal at all."""
        if self._journal is not None:
            self._journal.append(*entries)


class _Tally(LaneObserver):
    """Counts the outcomes of all lanes, and stops the run where too many records failed."""

    def __init__(self, run: Stoppable, patience: Patience, observer: LaneObserver) -> None:
        self._run, self._patience, self._observer = run, patience, observer
        self._counts: Counter[Status] = Counter()
        self._deferred: set[int] = set()

    def deferred(self, target: Target, change: Change, seconds: float) -> None:
        """A first refusal counts until it is known better: whoever stops at failures does not wait for minutes."""
        if not self._deferred:
            text = f"SES does not see a principal yet: line {change.line} is tried again in {seconds:g} s"
            self._observer.noted(target, f"{text}, as are others like it")
        self._deferred.add(change.number)
        self._judge()

    def settled(self, outcome: Outcome) -> None:
        self._deferred.discard(outcome.number)
        self._counts[outcome.status] += 1
        self._judge()

    def _judge(self) -> None:
        failed = self._counts[Status.FAILED] + self._counts[Status.UNKNOWN] + len(self._deferred)
        total = self._counts.total() + len(self._deferred)
        if self._patience.is_over(failed, total):
            self._run.stop(f"{failed} of {total} records failed, more than `max_failures` allows", 3)


def _durably(journal: Journal | None, entries: list[Entry]) -> None:
    assert journal is not None  # there is a disk to wait for
    journal.append(*entries)
    journal.sync()
