"""The queue of a lane, between what reads and compares its changes and what sends them: which goes next.

Four rules: what must be tried again goes before what was not tried yet; what is deferred goes as soon as its time has
come, also when nothing else is left to do; records of one identity keep their order (the next one waits until the one
before is settled or deferred); no more than a bounded number is unsettled at once, so that a server that is down does
not use up the whole input.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf

import anyio

from batchpol.model import Change, Status
from batchpol.model.errors import SesError
from batchpol.policy.comparison import Effect, effect
from batchpol.sending.halt import Halt
from batchpol.sending.news import News


@dataclass(slots=True, eq=False)
class Job:
    """A change on its way through a lane. Times are loop times in seconds."""

    change: Change
    attempts: int = 0
    deferrals: int = 0
    begun: float = 0.0
    first_sent: float = 0.0
    sent_wall: str = ""
    duration_ms: float | None = None
    present: str | None = None
    """The document that is there now, as read before the write; None when there is none or it was not read."""
    read_at: float | None = None
    """When that was read, in seconds since 1970; None when it was not."""
    effect: Effect | None = None
    """What the write does to it; None when it was not read."""
    has_image: bool = False
    """Whether ``present`` is in the journal as what the write replaces."""
    verified: bool = True
    """Whether the identity is verified, as far as that was looked up."""
    last_error: SesError | None = None
    status: Status | None = None
    """Its outcome, once it has one."""
    unsure: bool = False
    """Whether an attempt got no answer, so that the write may have taken effect whatever came back later."""

    recalled: bool = False
    """Whether whoever asked for it took it back; it is not begun then."""

    room: Job | None = None
    """The deletion that made room for this one, and is taken back if this one is refused."""
    takes_back: Job | None = None
    """The deletion that this one takes back."""

    def compare(self, present: str | None, at: float) -> None:
        """Take in what is there, read at ``at`` in seconds since 1970: something else, perhaps, than when it was read
        before. What an attempt may have done itself takes no image's place."""
        now = effect(self.change.action, self.change.document, present)
        ours = self.unsure and now is Effect.UNCHANGED
        self.has_image = self.has_image and (self.present == present or ours)
        self.read_at, self.present, self.effect = at, present, now


class Queue:
    """Jobs between the feeder and the gate.

    Args:
        halt: closes it: nothing is handed out any more, and whoever waits is told.
        ahead: jobs the feeder may put before it has to wait.
        at_once: jobs that may be taken and not settled at the same time.

    Attributes:
        paused: whether no fresh job is known of just now, though one may come.
    """

    def __init__(self, halt: Halt, *, ahead: int, at_once: int) -> None:
        self._halt, self._ahead, self._at_once = halt, ahead, at_once
        self._fresh: deque[Job] = deque()
        self._again: deque[Job] = deque()
        self._deferred: dict[Job, float] = {}
        self._busy: dict[str, Job] = {}
        self._fed = self.paused = False
        self._give_way = False
        self._news = News()
        halt.tell(self._news.tell)

    async def room(self, below: int) -> None:
        """Wait until fewer than ``below`` fresh jobs wait, or it is closed."""
        while len(self._fresh) >= below and not self._halt.called:
            await self._news.wait()

    async def put(self, job: Job) -> bool:
        """Add a fresh job, waiting for room; False once the queue is closed (the job was not taken)."""
        await self.room(self._ahead)
        if not self._halt.called:
            self._fresh.append(job)
            self._news.tell()
        return not self._halt.called

    def fed(self) -> None:
        """No fresh job will come any more."""
        self._fed = True
        self._news.tell()

    async def ready(self) -> bool:
        """Wait until :meth:`take` would give a job; False when the queue is finished or closed."""
        while not self._halt.called and self._candidate() is None:
            if self._fed and not (self._busy or self._fresh or self._deferred):
                return False
            if self._deferred:
                with anyio.CancelScope(deadline=self._next_time()):
                    await self._news.wait()
            else:
                await self._news.wait()
        return not self._halt.called

    def take(self) -> Job | None:
        """The job that goes next, or None if there is none just now; it counts as unsettled from here on."""
        if self._halt.called or (found := self._candidate()) is None:
            return None
        waiting, job = found
        if waiting is None:
            del self._deferred[job]
        else:
            waiting.remove(job)
        self._give_way = False
        self._busy[job.change.key_identity] = job
        self._news.tell()
        return job

    def begins(self, job: Job) -> bool:
        """Whether a taken job is sent now, from where on nobody can recall it; one that was recalled is over."""
        if job.recalled:
            self.settled(job)
        else:
            job.begun = job.begun or anyio.current_time()
        return not job.recalled

    def again(self, job: Job, *, give_way: bool = False) -> None:
        """Try a taken job again before any fresh one; with ``give_way`` one fresh job goes first."""
        self._again.append(job)
        self._give_way = give_way
        self._news.tell()

    def instead(self, job: Job, other: Job) -> None:
        """Send another job of the same identity in the place of a taken one, before anything else of it."""
        self._busy[job.change.key_identity] = other
        self.again(other)

    def defer(self, job: Job, seconds: float) -> None:
        """Try a taken job again in so many seconds; the next of its identity may go meanwhile."""
        self._deferred[job] = anyio.current_time() + seconds
        self.settled(job)

    def settled(self, job: Job) -> None:
        """A taken job is over: the next of its identity may go."""
        if self._busy.get(job.change.key_identity) is job:
            del self._busy[job.change.key_identity]
        self._news.tell()

    def left_over(self) -> list[Job]:
        """Jobs that were tried and have no outcome, once nothing is under way any more."""
        return [*self._again, *self._deferred]

    @property
    def nothing_else(self) -> bool:
        """True when no job is left that was not tried yet."""
        return (self._fed or self.paused) and not self._fresh

    @property
    def one_left(self) -> bool:
        """True when that is so and no more than one of the others is unsettled; what is deferred does not count."""
        return self.nothing_else and len(self._busy) <= 1

    def _candidate(self) -> tuple[deque[Job] | None, Job] | None:
        fresh = self._next_fresh()
        if self._again and not (self._give_way and fresh):
            return self._again, self._again[0]
        if self._deferred and len(self._busy) < self._at_once:
            now = anyio.current_time()
            for job, at in self._deferred.items():
                if at <= now and job.change.key_identity not in self._busy:
                    return None, job
        return None if fresh is None else (self._fresh, fresh)

    def _next_time(self) -> float:
        """When the next deferred job may go, in loop time; those that are due wait for another of their identity."""
        now = anyio.current_time()
        return min((at for at in self._deferred.values() if at > now), default=inf)

    def _next_fresh(self) -> Job | None:
        if len(self._busy) >= self._at_once:
            return None
        passed: set[str] = set()
        for job in self._fresh:
            key = job.change.key_identity
            if key not in self._busy and key not in passed:
                return job
            passed.add(key)
        return None
