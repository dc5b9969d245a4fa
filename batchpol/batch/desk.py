"""The desk: takes records one by one, for as long as a service lives, and brings each to its outcome.

Its lanes are those of a batch, one a target, each fed as records come. What it writes down is a section like a batch's
in which records come after the plan, too: each when it is asked for, then its intent and its outcome.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from heapq import heappop, heappush
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from msgspec.structs import replace as changed

from batchpol.batch.intake import checking, entry_of
from batchpol.batch.lanes import Lanes
from batchpol.batch.observer import Observer
from batchpol.batch.options import Options
from batchpol.batch.resuming import RECALLED, remember, take_up
from batchpol.journal import FINISHED, End, Journal, OutcomeEntry, RecordEntry
from batchpol.model import UNDONE, Finding, Outcome, Record, Status, Target, if_match_of
from batchpol.model.errors import BatchpolError, JournalError, PolicyRefused, QueueFull, SesError
from batchpol.sending.observer import LaneObserver
from batchpol.sending.outcomes import outcome_of
from batchpol.sending.queue import Job
from batchpol.sending.stopping import Stoppable, task_group
from batchpol.sending.targets import Targets
from batchpol.ses import IDENTITIES_AT_ONCE, UTC_NOW
from batchpol.source import as_record
from batchpol.validation import Checked

CLOSED = PolicyRefused("the client was closed before its turn", code="Closed")

_Policy = tuple[Target, str, str]
"""Target, canonical identity and policy name: where two changes must keep their order."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits for its turn or is under way: how many changes, and the least time they take, in seconds."""

    count: int
    seconds: float


@dataclass(slots=True, eq=False)
class _Asked:
    """A change that somebody asked for, or several did at once, and what it came to."""

    job: Job
    record: Record
    findings: tuple[Finding, ...]
    feed: _Feed | None = None
    callers: int = 0
    outcome: Outcome | None = None
    over: anyio.Event = field(default_factory=anyio.Event)

    @property
    def policy(self) -> _Policy:
        change = self.job.change
        return change.target, change.key_identity, change.policy_name

    def does(self, other: Job) -> bool:
        """Whether it comes to the same as another change of this policy."""
        ours, theirs = self.job.change, other.change
        return (ours.action, ours.document, ours.if_match) == (theirs.action, theirs.document, theirs.if_match)


class _Feed:
    """The jobs of one lane, in order of asking.

    Attributes:
        jobs: each as it comes; None where there are no more just now, and now and then where there are many.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Job]] = []
        self._news, self._ended = anyio.Event(), False
        self.jobs = self._jobs()

    def add(self, job: Job) -> None:
        heappush(self._waiting, (job.change.number, job))
        self._news.set()

    def end(self) -> None:
        """No more will be added."""
        self._ended = True
        self._news.set()

    async def _jobs(self) -> AsyncIterator[Job | None]:
        while not (self._ended and not self._waiting):
            for _ in range(min(len(self._waiting), IDENTITIES_AT_ONCE)):
                yield heappop(self._waiting)[1]
            yield None
            if not self._waiting:
                await self._news.wait()
                self._news = anyio.Event()


class Desk(Stoppable, LaneObserver):
    """Brings records to their outcomes as they are asked for; :meth:`open` it, then :meth:`run` beside those who ask.

    Two changes of one policy keep their order: the later one begins when the earlier one is over. The same change,
    asked for again while it waits or is under way, is sent once.

    Args:
        targets: what belongs to the targets; open, and shared with others.
        options: every choice.
        observer: who wants to know.
        most: how many changes may wait or be under way.
        wall: the wall clock.

    Attributes:
        ready: set once it serves, so that somebody may ask.
    """

    def __init__(
        self,
        targets: Targets,
        options: Options,
        observer: Observer,
        *,
        most: int,
        wall: Callable[[], datetime] = UTC_NOW,
    ) -> None:
        super().__init__()
        self._targets, self._options, self._most, self._wall = targets, options, most, wall
        self._make_lanes = partial(Lanes, self, targets, options=options, observer=observer, wall=wall, also=self)
        self._journal: Journal | None = None
        self._asked: dict[int, _Asked] = {}
        self._of: dict[_Policy, deque[_Asked]] = {}
        self._feeds: dict[Target, _Feed] = {}
        self._left: dict[_Policy, Record] = {}
        self._count = 0
        self._failure: BaseException | None = None
        self._closing, self.ready = anyio.Event(), anyio.Event()
        self._check: Callable[[Record], Checked]
        self._lanes: Lanes
        self._serving: TaskGroup

    @property
    def pending(self) -> Pending:
        """How much waits or is under way, and how long that takes at least: as long as the longest lane, in which reads
        may have to take turns with it."""
        jobs = [it.job for it in self._asked.values()]
        of_target = Counter(it.change.target for it in jobs)
        if self._options.conduct.reads and any(self._targets.gates(target).joined for target in of_target):
            unread = {(it.change.target, it.change.key_identity) for it in jobs if it.read_at is None}
            of_target.update(target for target, _ in unread if self._targets.gates(target).joined)
        seconds = (count * self._targets.gates(target).writes.period for target, count in of_target.items())
        return Pending(len(jobs), max(seconds, default=0.0))

    def unfinished(self) -> list[Record]:
        """What was asked for, here or of those who kept this journal before, and came to no end; see ``_left``."""
        return list(self._left.values())

    # -- from its opening to its end ---------------------------------------------------------------------------

    async def open(self) -> None:
        """Find out who we are, and take the journal up where one is kept.

        Raises:
            UsageError, SesError: as :meth:`Targets.here` does.
            JournalError: the journal cannot be used.
        """
        here = await self._targets.here()
        self._check = checking(self._options, here.target, alone=True)
        if self._options.keeping.journal is not None:
            taking = partial(take_up, self._options, here, self._targets.period, at=self._now())
            journal, undone = await _taken_up(taking)
            if (earlier := journal.history).run is not None:
                self._targets.heed(earlier.end.at if earlier.end else None, self._wall())
            remember(journal, self._targets)
            self._journal, self._count = journal, len(undone)
            for entry in undone:
                target = Target(entry.account, entry.region)
                self._left[target, entry.key, entry.policy_name] = entry.record()
        self._lanes = self._make_lanes(self._journal)

    async def run(self) -> None:
        """Serve those who ask, until it is closed and all they asked for is over, or it is stopped.

        Raises:
            JournalError: the journal cannot be written any more; whoever waits is told so, too.
        """
        try:
            async with task_group(JournalError) as tasks:
                tasks.start_soon(self._lanes.watch)
                with self._stoppable(self._options.drain, self._lanes.halt):
                    async with anyio.create_task_group() as self._serving:
                        self.ready.set()
                        await self._closing.wait()
                tasks.cancel_scope.cancel()
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._closing.set()
            left = list(self._asked.values())
            outcomes = self._given_up(left, CLOSED)
            if self._journal is not None:
                await anyio.to_thread.run_sync(partial(self._end_journal, self._journal, outcomes))
            for asked, outcome in zip(left, outcomes, strict=True):
                asked.outcome = None if self._failure else outcome
                asked.over.set()

    def close(self) -> None:
        """Take nothing more; :meth:`run` returns when all that was asked for is over."""
        self._closing.set()
        self._end_feeds()

    def _end_feeds(self) -> None:
        if self._closing.is_set() and not self._asked:
            for feed in self._feeds.values():
                feed.end()

    def _end_journal(self, journal: Journal, outcomes: Sequence[Outcome]) -> None:
        """Write down how it ended, unless the journal cannot be written any more, and let go of it."""
        with journal:
            if not isinstance(self._failure, JournalError):
                reason = f"closed: {len(self._left):,} not done" if self._left else FINISHED
                end = End(at=self._now(), reason=reason, exit_code=3 if self._left else 0)
                journal.append(*map(OutcomeEntry.of, outcomes), end)
                journal.sync()

    # -- one change --------------------------------------------------------------------------------------------

    async def ask(self, item: Record | Mapping[str, Any]) -> Outcome:
        """Bring one record to its outcome.

        Cancelling it takes a change out of the queue that waits there; one that is under way is finished.

        Raises:
            QueueFull: too much waits already.
            JournalError: it cannot be written down.
        """
        self._check_failed()
        template = self._options.template
        checked = self._check(as_record(item, self._count, name_required=template is None or template.name is None))
        if checked.change is None:
            checked.number, self._count = self._count, self._count + 1
            await self._lanes.write_down(entry_of(checked), self._serving).wait()
            self._check_failed()
            return _rejected(checked)
        checked.change.if_match = if_match_of(checked.record.extra)
        job = Job(checked.change)
        asked = _Asked(job, checked.record, checked.findings)
        before = self._of.get(asked.policy)
        if before is not None and before[-1].does(job):
            return changed(await self._awaited(before[-1]), extra=checked.record.extra)
        if len(self._asked) >= self._most:
            raise QueueFull(
                f"{self._most:,} changes wait already, as many as `max_pending` allows; they take "
                f"{self.pending.seconds:,.0f} s",
                hint="ask again later; the client says how much is pending",
            )
        job.change.number = checked.number = self._count
        self._count += 1
        self._asked[checked.number] = asked
        self._of.setdefault(asked.policy, deque()).append(asked)
        self._left.pop(asked.policy, None)
        self._lanes.write_down(entry_of(checked), self._serving)
        if before is None:
            self._begin(asked)
        return await self._awaited(asked)

    def _check_failed(self) -> None:
        if (failure := self._failure or self._lanes.commit.failure) is not None:
            raise failure

    async def _awaited(self, asked: _Asked) -> Outcome:
        """The outcome of a change, once it is there."""
        asked.callers += 1
        try:
            await asked.over.wait()
        except anyio.get_cancelled_exc_class():
            asked.callers -= 1
            if not (asked.callers or asked.job.begun or asked.job.recalled or asked.over.is_set()):
                self._recall(asked)
            raise
        if asked.outcome is None:
            raise self._failure or RuntimeError("the desk ended without a word")
        return asked.outcome

    def _recall(self, asked: _Asked) -> None:
        """Nobody waits any more for a change that waits: it is never sent."""
        asked.job.recalled = True
        self._leave(asked)
        asked.over.set()
        entry = OutcomeEntry.of(outcome_of(asked.job, Status.NOT_ATTEMPTED, RECALLED))
        self._lanes.write_down(entry, self._serving)

    def _begin(self, asked: _Asked) -> None:
        target = asked.job.change.target
        feed = self._feeds.get(target)
        if feed is None or self._lanes.halted(feed.jobs):
            feed = self._feeds[target] = _Feed()
            self._serving.start_soon(self._serve, target, feed)
        asked.feed = feed
        feed.add(asked.job)

    async def _serve(self, target: Target, feed: _Feed) -> None:
        """Run a lane until it is over; what it leaves is ended, and whoever asks next has a new one."""
        error = await self._lanes.run(target, feed.jobs)
        if self._feeds.get(target) is feed:
            del self._feeds[target]
        left = [later for it in self._asked.values() if it.feed is feed for later in self._of[it.policy]]
        outcomes = self._given_up(left, error or CLOSED)
        if outcomes:
            await self._lanes.commit.add(*map(OutcomeEntry.of, outcomes))
        for asked, outcome in zip(left, outcomes, strict=True):
            asked.outcome = outcome
            asked.over.set()

    def settled(self, outcome: Outcome) -> None:
        """A lane has brought a change to its outcome: whoever asked for it is told, and the next of its policy goes."""
        asked = self._asked.get(outcome.number)
        if asked is not None:
            self._leave(asked)
            if outcome.status in UNDONE:
                self._left[asked.policy] = asked.record
            asked.outcome = _told(asked, outcome)
            asked.over.set()

    def _given_up(self, left: Sequence[_Asked], why: SesError) -> list[Outcome]:
        """Take these out, with all that come after them; returns the outcomes that they have then."""
        for asked in left:
            asked.job.recalled = True
            del self._asked[asked.job.change.number]
            self._of.pop(asked.policy, None)
            self._left[asked.policy] = asked.record
        self._end_feeds()
        unsure = {True: Status.UNKNOWN, False: Status.NOT_ATTEMPTED}
        return [_told(it, outcome_of(it.job, unsure[bool(it.job.attempts)], why, retryable=True)) for it in left]

    def _leave(self, asked: _Asked) -> None:
        """A change is over: the next of its policy, if there is one, begins."""
        del self._asked[asked.job.change.number]
        line = self._of[asked.policy]
        first = line[0] is asked
        line.remove(asked)
        if not line:
            del self._of[asked.policy]
        elif first:
            self._begin(line[0])
        self._end_feeds()

    def _now(self) -> str:
        return self._wall().isoformat(timespec="milliseconds")


async def _taken_up(taking: Callable[[], tuple[Journal, list[RecordEntry]]]) -> tuple[Journal, list[RecordEntry]]:
    """What a thread takes up, which it lets go of where this is cancelled meanwhile, also by asyncio itself."""
    taken: list[tuple[Journal, list[RecordEntry]]] = []

    async def take() -> None:
        taken.append(await anyio.to_thread.run_sync(taking))

    try:
        async with task_group(BatchpolError) as tasks:  # which waits for the thread in any case
            tasks.start_soon(take)
    except BaseException:
        for journal, _ in taken:
            journal.close()
        raise
    return taken[0]


def _told(asked: _Asked, outcome: Outcome) -> Outcome:
    """An outcome as whoever asked has it: with all that was found, and what the record brought along."""
    outcome.findings = asked.findings + outcome.findings
    outcome.extra = asked.record.extra
    return outcome


def _rejected(checked: Checked) -> Outcome:
    record = checked.record
    return Outcome(
        number=checked.number,
        line=record.line,
        identity=record.identity,
        policy_name=record.policy_name,
        status=Status.REJECTED,
        region=record.region or "",
        account=record.account or "",
        action=record.action,
        findings=checked.findings,
        extra=record.extra,
    )
