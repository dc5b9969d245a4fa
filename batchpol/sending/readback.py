"""Reading back: a write counts only when what is there is what was asked for.

One identity a call, so several writes are looked at together. Reads may show the past for more than a minute (seen),
so what is not there yet is looked at again, less and less often, until a bound. A write that nobody answered is told
by the read at that bound alone: any before it may show what stood there earlier, be it the very same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

import anyio
from anyio.abc import TaskGroup

from batchpol.model import MAX_POLICIES, Action
from batchpol.model.errors import AccessRefused, NoAnswer, PolicyRefused, SesError
from batchpol.policy.comparison import Effect, effect
from batchpol.sending.contact import needing
from batchpol.sending.outcomes import Outcomes
from batchpol.sending.queue import Job
from batchpol.sending.reads import Reads

LONGEST_PAUSE = 15.0
"""Seconds between two looks at one identity at most."""


@dataclass(slots=True, eq=False)
class _Written:
    """A write that SES took and that was not seen yet. Times are loop times in seconds."""

    job: Job
    request_id: str
    deadline: float


@dataclass(slots=True, eq=False)
class _Identity:
    """Writes of one identity, and when it is looked at next."""

    due: float
    pause: float
    written: list[_Written] = field(default_factory=list)


@dataclass(slots=True)
class ReadBack:
    """Reads back what was written to one target: either what SES took, or what it never answered.

    Args:
        answered: which of the two. What was not is given up at once when the lane halts.
        outcomes: given to a write that is there as it was asked for, or is not, or cannot be looked for.
        stale: seconds after a write during which reads may still show what was before it.
        settle: seconds after a write before it is looked for; those that follow meanwhile are looked for with it.
    """

    reads: Reads
    outcomes: Outcomes
    stale: float
    settle: float
    answered: bool
    _waiting: dict[str, _Identity] = field(default_factory=dict)

    def add(self, job: Job, request_id: str, tasks: TaskGroup) -> None:
        """Look for this write, beside what else there is to do; its outcome comes with that."""
        begins, now, pause = not self._waiting, anyio.current_time(), self.settle if self.answered else self.stale
        if begins and not self.answered:
            text = f"line {job.change.line} was sent and not answered: what is there is read in {pause:g} s, when reads"
            self.reads.contact.observer.noted(self.reads.contact.target, f"{text} cannot be older; others likewise")
        identity = self._waiting.setdefault(job.change.key_identity, _Identity(0.0, pause))
        identity.due = max(identity.due, now + pause)
        identity.written.append(_Written(job, request_id, now + self.stale))
        if begins:
            tasks.start_soon(self.run)

    async def run(self) -> None:
        """Look until nothing is left to look for."""
        while self._waiting:
            key, identity = min(self._waiting.items(), key=lambda item: item[1].due)
            pause = identity.due - anyio.current_time()
            if self.reads.contact.halt.called and not self.answered:  # as long as that nobody waits who asked to stop
                for it in identity.written:
                    await self.outcomes.given_up(it.job)
                del self._waiting[key]
            elif pause > 0:
                # No longer than that: a write that comes meanwhile may be due earlier.
                await anyio.sleep(min(pause, self.settle or pause))
            else:
                await self._look(key, identity)

    async def _look(self, key: str, identity: _Identity) -> None:
        """One look at the oldest writes of an identity; what is not there yet goes behind the others."""
        looked_for, later = identity.written[:MAX_POLICIES], identity.written[MAX_POLICIES:]
        identity.written = later
        change = looked_for[0].job.change
        error: SesError | None = None
        asked = anyio.current_time()
        present: dict[str, str] = {}
        try:
            with needing("ses:GetIdentityPolicies, or run without `verify`"):
                present = await self.reads.policies(change.identity, [it.job.change.policy_name for it in looked_for])
        except SesError as caught:
            error = caught
        left = [it for it in looked_for if not await self._judged(it, present, error, asked)]
        identity.written += left
        if not identity.written:
            del self._waiting[key]
        elif left:
            now, identity.pause = anyio.current_time(), min(identity.pause * 2, LONGEST_PAUSE)
            first = min(it.deadline for it in identity.written)
            identity.due = max(now, min(now + identity.pause, first))

    async def _judged(self, it: _Written, present: dict[str, str], error: SesError | None, asked: float) -> bool:
        """Whether the fate of a write is known after this look: seen, given up, or not to be looked for at all.

        ``asked`` is when the look began, in loop time.
        """
        change, over = it.job.change, asked >= it.deadline
        there = present.get(change.policy_name)
        shown = error is None and effect(change.action, change.document, there) is Effect.UNCHANGED
        if shown and (self.answered or over):
            await self.outcomes.applied(it.job, it.request_id)
        elif isinstance(error, AccessRefused | PolicyRefused) or over:
            wanted = change.document if change.action is Action.PUT else None
            await self.outcomes.not_seen(
                it.job, it.request_id, error or it.job.last_error or _not_as_asked(wanted, there)
            )
            if isinstance(error, AccessRefused):
                self.reads.contact.halt.call(error)
        else:
            return False
        return True


def _not_as_asked(asked: str | None, there: str | None) -> SesError:
    text = f"written, but read back something else: asked for {_named(asked)}, there is {_named(there)}"
    return NoAnswer(text, code="NotAsAsked")


def _named(document: str | None) -> str:
    return "nothing" if document is None else f"SHA-256 {sha256(document.encode()).hexdigest()}"
