"""The windows of a feeder: jobs whose identities are looked up together, 100 a call, before they are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

from batchpol.model import MAX_POLICIES
from batchpol.model.errors import AccessRefused, SesError
from batchpol.model.settings import Conduct
from batchpol.sending.contact import needing
from batchpol.sending.halt import Halted
from batchpol.sending.outcomes import Outcomes
from batchpol.sending.ownership import Ownership, owners
from batchpol.sending.queue import Job, Queue
from batchpol.sending.reads import Reads
from batchpol.ses import IDENTITIES_AT_ONCE


@dataclass(slots=True, eq=False)
class Windows:
    """Takes the jobs of one lane in, and those out that may not be sent, since their identity is not verified.

    Args:
        reads: of the lane's target.
        queue: told where there are no more jobs just now.
        outcomes: of what may not be sent.
        ownership: what is known already of the identities.
    """

    reads: Reads
    queue: Queue
    outcomes: Outcomes
    conduct: Conduct
    ownership: Ownership
    _not_to_look_up: bool = field(init=False, default=False)

    async def of(self, jobs: AsyncIterator[Job | None]) -> AsyncIterator[list[Job] | None]:
        """The jobs that may be sent, by those that are looked up together; None where there are no more just now."""
        window: list[Job] = []
        names: set[str] = set()
        async for job in self._until_halted(jobs):
            if window and (job is None or self._is_full(window, names, job)):
                yield await self._allowed(window, names)
                window, names = [], set()
            if job is None:
                self.queue.paused = True
                yield None
            else:
                if self.queue.paused:
                    self.queue.paused = False
                    self.reads.contact.asked_again()
                self.outcomes.prunes.expect(job)
                window.append(job)
                names |= owners(job.change.key_identity)
        yield await self._allowed(window, names)

    async def _until_halted(self, jobs: AsyncIterator[Job | None]) -> AsyncIterator[Job | None]:
        """The jobs; after a pause the next one is not waited for once nothing new is begun."""
        with suppress(StopAsyncIteration, Halted):
            while True:
                coming = anext(jobs)
                yield await (self.reads.contact.halt.unless(coming) if self.queue.paused else coming)

    def _is_full(self, window: list[Job], names: set[str], job: Job) -> bool:
        """Whether a job is looked up, or read, with those after it and not with those before."""
        identity = job.change.key_identity
        if self.conduct.ownership:
            return len(names | owners(identity)) > IDENTITIES_AT_ONCE
        return not self.conduct.reads or len(window) == MAX_POLICIES or identity != window[0].change.key_identity

    async def _allowed(self, window: list[Job], names: set[str]) -> list[Job]:
        """The jobs of a window that are to be sent; that an identity is not verified is noted on its jobs."""
        halt = self.reads.contact.halt
        if not window or not self.conduct.ownership or self._not_to_look_up or halt.called:
            return window
        try:
            with needing("ses:GetIdentityVerificationAttributes, or run without `require_verified`"):
                await halt.unless(self.ownership.look_up(self.reads, names))
        except SesError as error:
            self._not_looked_up(error)
            return window
        for job in window:
            job.verified = self.ownership.verified(job.change.key_identity)
        self.ownership.forget(names)
        if not self.conduct.require_verified:
            return window
        for job in window:
            if not job.verified:
                await self.outcomes.unverified(job)
        return [job for job in window if job.verified]

    def _not_looked_up(self, error: SesError) -> None:
        """Go on where identities cannot be looked up, unless they must be verified."""
        contact = self.reads.contact
        if contact.halt.called:
            return
        if self.conduct.require_verified:
            contact.halt.call(error)
        else:
            self._not_to_look_up = isinstance(error, AccessRefused)
            text = f"whether the identities are verified could not be looked up: {error}"
            contact.observer.noted(contact.target, text)
