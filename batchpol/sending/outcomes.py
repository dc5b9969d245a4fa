"""The outcomes of a lane, made in one place: which fate a change has after what happened to it, and its row."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchpol.identity import UNVERIFIED
from batchpol.journal import Before, Entry, OutcomeEntry
from batchpol.model import Outcome, Status
from batchpol.model.errors import PolicyRefused, SesError
from batchpol.policy.comparison import Effect
from batchpol.sending.commit import GroupCommit
from batchpol.sending.observer import LaneObserver
from batchpol.sending.prunes import Prunes, taking_back
from batchpol.sending.queue import Job, Queue

_UNVERIFIED = UNVERIFIED.at("identity", "the identity is not verified in this account and Region")
_UNVERIFIED_REFUSED = PolicyRefused(_UNVERIFIED.message, code=UNVERIFIED.code)


@dataclass(slots=True)
class Outcomes:
    """Writes outcomes down, durably, then tells of them."""

    commit: GroupCommit[Entry]
    observer: LaneObserver
    prunes: Prunes = field(default_factory=Prunes)
    """Told of every outcome: what it withholds hangs on them."""

    async def applied(self, job: Job, request_id: str) -> None:
        """SES took it, and it was read back if that was asked for."""
        await self.settle(job, Status.APPLIED, request_id=request_id)

    async def refused(self, job: Job, error: PolicyRefused) -> None:
        """SES's answer is no, and will be."""
        await self.settle(job, Status.FAILED, error)

    async def given_up(self, job: Job) -> None:
        """It was neither taken nor refused; what came back last is the reason given."""
        await self.settle(job, Status.UNKNOWN if job.unsure else Status.FAILED, job.last_error, retryable=True)

    async def not_its_fault(self, job: Job, error: SesError) -> None:
        """The lane stops at it for a reason that is not the record's."""
        await self.settle(job, Status.UNKNOWN if job.unsure else Status.NOT_ATTEMPTED, error, retryable=True)

    async def denied(self, job: Job, error: SesError) -> None:
        """The caller may not do this to the identity, though to others; that may be allowed some time."""
        await self.settle(job, Status.FAILED, error, retryable=True)

    async def not_seen(self, job: Job, request_id: str, error: SesError) -> None:
        """SES took it, and it was not read back."""
        await self.settle(job, Status.UNKNOWN, error, request_id=request_id, retryable=True)

    async def unreadable(self, job: Job, error: SesError) -> None:
        """What is there could not be read, so that nothing was sent."""
        await self.settle(job, Status.FAILED, error, retryable=not isinstance(error, PolicyRefused))

    async def withheld(self, job: Job, why: PolicyRefused) -> None:
        """It was to be pruned, and may still be needed."""
        await self.settle(job, Status.NOT_ATTEMPTED, why)

    async def sent_before(self, job: Job, why: PolicyRefused) -> None:
        """It is not sent any more, and an earlier run that sent it may have been obeyed."""
        job.unsure, job.attempts, job.last_error = True, max(job.attempts, 1), why
        await self.given_up(job)

    async def unverified(self, job: Job) -> None:
        """Its identity is not verified, and must be."""
        await self.settle(job, Status.REJECTED, _UNVERIFIED_REFUSED)

    async def planned(self, job: Job, status: Status, error: SesError | None) -> None:
        """Nothing is written; it is told first what the change would do to the document that is there."""
        assert job.effect is not None
        self.observer.compared(job.change, job.effect, job.present)
        there = (
            ()
            if job.present is None or job.effect is Effect.UNCHANGED
            else (Before(n=job.change.number, policy=job.present),)
        )
        await self.settle(job, status, error, before=there)

    async def end_room(self, job: Job, queue: Queue, *, taken: bool = False) -> bool:
        """End the deletion that made room for this job, once the job has its outcome or was taken.

        Returns:
            Whether the deletion is being taken back, in the job's place.
        """
        deletion, held = job.room, self.prunes.held
        if deletion is None or deletion not in held or not (taken or job.status):
            return False
        held.remove(deletion)
        if taken or job.status is not Status.FAILED or deletion.present is None:
            await self.applied(deletion, "")
            return False
        queue.instead(job, taking_back(deletion))
        return True

    async def settle(
        self,
        job: Job,
        status: Status,
        error: SesError | None = None,
        *,
        request_id: str = "",
        retryable: bool = False,
        before: tuple[Entry, ...] = (),
    ) -> None:
        """Write an outcome down, after what goes ``before`` it, then tell of it. Raises what the journal raises."""
        outcome = outcome_of(job, status, error, request_id=request_id, retryable=retryable)
        await self.commit.add(*before, OutcomeEntry.of(outcome))
        job.status = status
        self.prunes.settled(job.change, status)
        self.observer.settled(outcome)


def outcome_of(
    job: Job, status: Status, error: SesError | None, *, request_id: str = "", retryable: bool = False
) -> Outcome:
    """The row of a job that ends so."""
    change = job.change
    return Outcome(
        number=change.number,
        line=change.line,
        identity=change.identity,
        policy_name=change.policy_name,
        status=status,
        region=change.target.region,
        account=change.target.account,
        action=change.action.value,
        error_code=error.code if error else "",
        message=str(error) if error else "",
        attempts=job.attempts,
        request_id=request_id or (error.request_id if error else ""),
        started_at=job.sent_wall,
        duration_ms=job.duration_ms,
        sha256=change.sha256,
        retryable=retryable,
        effect=job.effect.value if job.effect else "",
        findings=() if job.verified else (_UNVERIFIED,),
    )
