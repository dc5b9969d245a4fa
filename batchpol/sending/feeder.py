"""The feeder of a lane: reads and compares what is next, and puts into the queue what is to be written.

Identities are looked up 100 at a time and policies read one identity a call, through gates of their own, so that
what is read is ready when its turn to be written comes. What needs no write, or may have none, gets its outcome here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from batchpol.model import MAX_POLICIES, Action, Status
from batchpol.model.errors import AccessRefused, NoAnswer, PolicyRefused, SesError, Throttled, Unreachable
from batchpol.model.settings import Conduct
from batchpol.policy.comparison import Effect, changed_paths, matches, well_formed
from batchpol.sending.contact import Whose, needing
from batchpol.sending.halt import Halt
from batchpol.sending.lately import Lately
from batchpol.sending.outcomes import Outcomes
from batchpol.sending.queue import Job, Queue
from batchpol.sending.reads import Reads
from batchpol.sending.windows import Windows

READ_AHEAD = 4
"""Changes that wait for their turn when the next identity is read: enough to hide a round trip and one that fails,
few enough that what was read is a few seconds old when it is replaced."""

AGAIN, LONGEST_PAUSE = 5.0, 30.0
"""Seconds after which what a read left in doubt is read again: at first, and at most."""

CHANGED = PolicyRefused("somebody changed this policy since; it was left as it is", code="Changed")
BAD_IF_MATCH = PolicyRefused(
    "if_match is neither absent nor digests as batchpol undo writes them; the policy was left as it is",
    code="BadIfMatch",
)
TOO_MANY = PolicyRefused(
    f"the identity has {MAX_POLICIES} policies by then, and SES takes no more", code="TooManyPolicies"
)


@dataclass(slots=True)
class _Occupied:
    """The policy names of one identity as they would be after the changes planned so far; None before they are read."""

    identity: str
    names: set[str] | None = None
    _gone: set[str] = field(default_factory=set)

    def takes(self, job: Job) -> bool:
        """Account for one more change; False if it adds a policy where there is no room for it."""
        name = job.change.policy_name
        if job.change.action is Action.DELETE:
            self._gone.add(name)
        if self.names is not None:
            self.names -= self._gone
            if job.effect is Effect.CREATE:
                if len(self.names) >= MAX_POLICIES:
                    return False
                self.names.add(name)
        return True


@dataclass(slots=True, eq=False)
class Feeder:
    """Feeds the queue of one lane.

    Args:
        reads: of the lane's target.
        queue: fed with what is to be written.
        outcomes: of what is not.
        windows: what is looked up together.
        lately: what was written by ourselves, and outweighs what is read.
        wall: the wall clock.
    """

    reads: Reads
    queue: Queue
    outcomes: Outcomes
    conduct: Conduct
    windows: Windows
    lately: Lately
    wall: Callable[[], datetime]
    _halt: Halt = field(init=False)
    _begun: float = field(init=False)
    _doubtful: list[Job] = field(init=False, default_factory=list)
    _occupied: _Occupied | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._halt, self._begun = self.reads.contact.halt, self.wall().timestamp()

    async def run(self, jobs: AsyncIterator[Job | None]) -> None:
        """Feed the queue, in the order of the jobs, until there are no more or nothing new is begun.

        None among them says that there are no more just now: what came is looked up then, and not waited with.
        """
        unread: list[Job] = []
        async for window in self.windows.of(jobs):
            if not (await self._catch_up(unread) if window is None else await self._line_up(window, unread)):
                return
        if not await self._line_up(unread, None):
            return
        for job in self.outcomes.prunes.left_over():
            await self.queue.put(job)
        if await self._read_doubtful_again():
            self.queue.fed()

    async def _line_up(self, window: list[Job], unread: list[Job] | None) -> bool:
        """Put the jobs of a window into the queue, unless they need no write; False once it is closed.

        They keep their order. What one identity has in the window is read at once, when the first of it is next.
        """
        groups, due = _by_identity(window, MAX_POLICIES if self.conduct.reads else 1), set[Job]()
        for job in window:
            if job in groups:
                group = self.outcomes.prunes.lined_up(await self._due(groups[job], unread))
                if self.conduct.prune:  # what makes room goes with what it makes room for
                    if not await self._put(group):
                        return False
                else:
                    due.update(group)
            if job in due and not await self._put([job]):
                return False
        return not self._halt.called

    async def _put(self, jobs: Iterable[Job]) -> bool:
        for job in jobs:
            if not job.recalled and not await self.queue.put(job):
                return False
        return not self._halt.called

    async def _due(self, group: list[Job], unread: list[Job] | None) -> list[Job]:
        """Those of the jobs of one identity that need a write.

        What cannot be read is put into ``unread``: SES may be down, and be up again when the others are through.
        """
        jobs = [job for job in group if not job.recalled]
        if not jobs or not (self.conduct.reads or any(job.change.if_match for job in jobs)):
            return jobs
        await self.queue.room(READ_AHEAD)
        try:
            return await self._compared(jobs)
        except SesError as error:
            if isinstance(error, AccessRefused) and not self._is_its_own(error, jobs, unread):
                self._halt.call(error)
            elif not self._halt.called:
                await self._unreadable(jobs, error, unread)
        return []

    async def _catch_up(self, unread: list[Job]) -> bool:
        """In a pause: read what could not be read before, and let what is in doubt have its turn later."""
        again, unread[:] = unread[:], []
        going = await self._line_up(again, None)
        for job in self._doubtful:
            job.read_at = 0.0  # so that it is read again
            self.queue.defer(job, AGAIN)
        self._doubtful.clear()
        return going

    async def _read_doubtful_again(self) -> bool:
        """Read again what a read left in doubt, until none is left; False once nothing new is begun."""
        if self._doubtful and not self.conduct.plan:
            text = f"{len(self._doubtful):,} to be read again: SES does not show yet what was written lately"
            self.reads.contact.observer.noted(self.reads.contact.target, text)
        pause = AGAIN
        while self._doubtful:
            if not await self._halt.sleep(pause):
                return False
            pause = min(2 * pause, LONGEST_PAUSE)
            doubtful, self._doubtful = self._doubtful, []
            if not await self._line_up(doubtful, None):
                return False
        return not self._halt.called

    def _is_its_own(self, error: AccessRefused, group: list[Job], unread: list[Job] | None) -> bool:
        """Whether what the caller may not read is this identity's alone, or may be: then others are read first."""
        contact = self.reads.contact
        whose = contact.whose(error, contact.gates.reads, group[0].change.key_identity)
        return whose is Whose.RECORD or (whose is Whose.NOT_KNOWN and unread is not None)

    async def _unreadable(self, group: list[Job], error: SesError, unread: list[Job] | None) -> None:
        if unread is not None and not isinstance(error, PolicyRefused):
            unread += group
            return
        for job in group:
            await self.outcomes.unreadable(job, error)

    # -- what is there -----------------------------------------------------------------------------------------

    async def _compared(self, jobs: list[Job]) -> list[Job]:
        """The jobs that still need a write, each with its before-image; the others get their outcomes here.

        What the read leaves in doubt is kept, to be read again later. Raises SesError where what is there cannot be
        read.
        """
        await self._compare(jobs)
        if self.conduct.plan:
            await self._settle_planned(jobs)
            return []
        remaining = []
        for job in jobs:
            if self._is_doubtful(job):
                self._doubtful.append(job)
            elif (kept := _kept(job, self.conduct)) is None:
                remaining.append(job)
            else:
                await self.outcomes.settle(job, *kept)
        return remaining

    def _is_doubtful(self, job: Job) -> bool:
        """Whether what was read may be the past.

        What we wrote ourselves lately outweighs it, and so does what a record says must be there: until reads cannot
        be stale any more, nothing is concluded from a read that disagrees with either.
        """
        assert job.read_at is not None
        change = job.change
        since = job.read_at - self.conduct.staleness
        wrote = self.lately.of(change, since)
        if wrote is not None:
            if wrote.is_shown(job.present):
                return wrote.is_open(since)
            same = wrote.is_shown(change.document if change.action is Action.PUT else None)
            return wrote.sure or not same or _kept(job, self.conduct) is not None  # else it is just sent once more
        if not change.if_match or matches(change.if_match, job.present) or not well_formed(change.if_match):
            return False
        return job.read_at - self._begun < self.conduct.staleness

    async def compared_again(self, job: Job) -> bool:
        """Whether a job that waited for long is to be written still, to what is there by now.

        One of which an attempt may have taken effect is done if what it asks for is there, unless that may have stood
        there before: then it is sent once more.

        Raises:
            Unreachable: what is there cannot be read; the write was certainly not sent.
            SesError: SES does not let us read.
        """
        meant = job.effect
        try:
            await self._compare([job])
        except (NoAnswer, Throttled) as error:
            if self._halt.called:
                self.queue.again(job)
                return False
            raise Unreachable(str(error), code=error.code, request_id=error.request_id) from error
        if self._is_doubtful(job):
            job.read_at = 0.0  # nothing is sent on the strength of it
            self.queue.defer(job, AGAIN)
            return False
        kept = _kept(job, self.conduct)
        if kept is None:
            return True
        if not job.unsure:
            await self.outcomes.settle(job, *kept)
        elif job.effect is Effect.UNCHANGED:
            job.effect = meant
            if self._may_be_older(job):
                return True
            await self.outcomes.applied(job, "")
        else:
            await self.outcomes.given_up(job)
        self.queue.settled(job)
        return False

    def _may_be_older(self, job: Job) -> bool:
        """Whether what was read may be what was there before the attempts of a job."""
        assert job.read_at is not None
        return self.lately.of(job.change, job.read_at - self.conduct.staleness) is not None

    async def _compare(self, jobs: Sequence[Job]) -> None:
        """Read what is there and what each of the jobs, all of one identity, would do to it. Raises SesError."""
        identity, names = jobs[0].change.identity, [job.change.policy_name for job in jobs]
        without = ", or run with `compare=False`" if self.conduct.only_compares else ""
        at = self.wall().timestamp()

        def departed() -> None:
            nonlocal at
            at = self.wall().timestamp()

        with needing(f"ses:GetIdentityPolicies{without}"):
            present = await self._halt.unless(self.reads.policies(identity, names, departed))
        for job in jobs:
            job.compare(present.get(job.change.policy_name), at)

    # -- where nothing is written ------------------------------------------------------------------------------

    async def _settle_planned(self, jobs: list[Job]) -> None:
        """What the changes of one identity would do, and which of them would come to nothing, and why."""
        for job in jobs:
            wrote = self.lately.of(job.change, self.wall().timestamp() - self.conduct.staleness)
            if wrote is not None and wrote.sure:
                job.compare(wrote.document, wrote.at)
        crowded = await self._crowded(jobs)
        for job in jobs:
            kept = _kept(job, self.conduct) or ((Status.FAILED, TOO_MANY) if job in crowded else _would_change(job))
            await self.outcomes.planned(job, *kept)

    async def _crowded(self, jobs: list[Job]) -> list[Job]:
        """The jobs that would add a policy to an identity which has as many as it can have by then."""
        identity = jobs[0].change.key_identity
        if self._occupied is None or self._occupied.identity != identity:
            self._occupied = _Occupied(identity)
        if self._occupied.names is None and any(job.effect is Effect.CREATE for job in jobs):
            with needing("ses:ListIdentityPolicies"):
                self._occupied.names = set(await self._halt.unless(self.reads.names(jobs[0].change.identity)))
        return [job for job in jobs if not self._occupied.takes(job)]


def _kept(job: Job, conduct: Conduct) -> tuple[Status, SesError | None] | None:
    """The outcome of a job that needs or may have no write, or None when it is to be written."""
    wanted = job.change.if_match
    if job.effect is Effect.UNCHANGED:
        return Status.UNCHANGED, None
    if wanted and not matches(wanted, job.present):
        return Status.FAILED, CHANGED if well_formed(wanted) else BAD_IF_MATCH
    if conduct.no_clobber and job.effect is not Effect.CREATE:
        return Status.FAILED, PolicyRefused("there is a policy of this name; `no_clobber` keeps it", code="Exists")
    if conduct.only_existing and job.effect is Effect.CREATE:
        return Status.FAILED, PolicyRefused(
            "there is no policy of this name; `only_existing` creates none", code="Absent"
        )
    return None


def _would_change(job: Job) -> tuple[Status, SesError]:
    """The outcome of a job in a plan: not sent, and what it would change."""
    update = job.effect is Effect.UPDATE
    paths = changed_paths(job.present or "", job.change.document) if update else []
    return Status.NOT_ATTEMPTED, PolicyRefused("\n".join(paths), code="")


def _by_identity(window: list[Job], most: int) -> dict[Job, list[Job]]:
    """The jobs of a window by identity, at most ``most`` together, by the first of them."""
    groups: dict[Job, list[Job]] = {}
    latest: dict[str, list[Job]] = {}
    for job in window:
        group = latest.get(job.change.key_identity)
        if group is None or len(group) == most:
            groups[job] = latest[job.change.key_identity] = group = []
        group.append(job)
    return groups
