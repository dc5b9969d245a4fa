"""The lane: the worker of one target.

For one change the order is, as consecutive calls of :meth:`Lane._attempt`: wait near the gate, journal the intent,
pass the gate and send, journal the outcome. The intent is made durable in the last :data:`LEAD` seconds of the wait,
so that nothing but signing lies between the gate and the wire and the fsync costs no time.

A lane knows its target's contact, the journal's entries and a run's conduct; files, arguments and other lanes it does
not know. A record's failure is an outcome; what stops the lane is :attr:`Lane.stopped`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import anyio
from anyio.abc import TaskGroup

from batchpol.journal import Before, Entry, Intent
from batchpol.model import Action, Status
from batchpol.model.errors import AccessRefused, NoAnswer, PolicyRefused, SesError, Unreachable
from batchpol.model.settings import Conduct
from batchpol.sending.commit import GroupCommit
from batchpol.sending.contact import DENIED_FOR_ALL, Contact, Whose
from batchpol.sending.feeder import Feeder
from batchpol.sending.gate import Passage
from batchpol.sending.lately import Lately
from batchpol.sending.observer import Attempted, LaneObserver
from batchpol.sending.outcomes import Outcomes
from batchpol.sending.ownership import Ownership
from batchpol.sending.prunes import PAUSE, PUT_BACK, WITHHELD, Prunes, Turn
from batchpol.sending.queue import Job, Queue
from batchpol.sending.readback import ReadBack
from batchpol.sending.reads import Reads
from batchpol.sending.windows import Windows
from batchpol.ses import UTC_NOW, Attempt, Ses

LEAD = 0.05
"""Seconds before its turn at which a change's intent is written down: longer than an fsync, short enough that a
kill in between leaves next to nothing unknown that was not sent."""


FRESH = 30.0
"""Seconds of wall time for which what was read is believed: a quota that others took, or a machine that slept, may
have kept a change waiting for much longer."""

COMPARED_AGAIN = 3
"""Times that one turn is put off for that: many others at the gate may keep us from it for as long each time."""


@dataclass(slots=True, eq=False)
class _Turn:
    """A job whose turn it is: its passage through the gate, and the SES that it is sent through.

    ``asked`` is when its wait at the gate began, ``left`` when the request did, in loop time; ``due_at`` when it was
    found to be due, in seconds since 1970.
    """

    job: Job
    passage: Passage
    ses: Ses
    asked: float
    left: float = 0.0
    due_at: float = 0.0

    async def admit(self, wall: Callable[[], datetime]) -> None:
        """Pass the gate. Raises Unreachable where the machine slept since it was due: what is there is read again."""
        await self.passage.admit()
        if self.job.read_at is not None and wall().timestamp() - self.due_at > FRESH:
            text = "this machine slept before the request left: what is there is read again"
            raise Unreachable(text, code="Overslept")

    def over(self, contact: Contact, request_id: str, error: SesError | None) -> Attempted:
        """Note how long the attempt took and what came of it; returns what there is to tell of it."""
        job, waited = self.job, self.left - self.asked
        job.duration_ms = round((anyio.current_time() - self.left) * 1000, 3)
        contact.answered(contact.gates.writes, self.passage, error)
        return Attempted(job.change, job.attempts, waited, True, job.duration_ms, request_id, error)


@dataclass(slots=True, eq=False)
class Lane:
    """The worker of one target.

    Args:
        contact: with the target.
        commit: makes journal entries durable.
        observer: told of every attempt at a write and of every outcome once it is durable.
        ownership: what is known already of the identities.
        lately: what was written by ourselves to this target, which outweighs what is read.
        wall: the wall clock.
    """

    contact: Contact
    commit: GroupCommit[Entry]
    observer: LaneObserver = field(default_factory=LaneObserver)
    conduct: Conduct = field(default_factory=Conduct)
    ownership: Ownership = field(default_factory=Ownership)
    lately: Lately = field(default_factory=Lately)
    wall: Callable[[], datetime] = UTC_NOW
    _queue: Queue = field(init=False)
    _outcomes: Outcomes = field(init=False)
    _feeder: Feeder = field(init=False)
    _taken: ReadBack = field(init=False)
    _unanswered: ReadBack = field(init=False)
    _tasks: TaskGroup = field(init=False)

    def __post_init__(self) -> None:
        contact, reads = self.contact, Reads(self.contact)
        self._queue = Queue(contact.halt, ahead=64, at_once=contact.patience.in_flight)
        self._outcomes = Outcomes(self.commit, self.observer, Prunes(wanted=self.conduct.prune))
        windows = Windows(reads, self._queue, self._outcomes, self.conduct, self.ownership)
        self._feeder = Feeder(reads, self._queue, self._outcomes, self.conduct, windows, self.lately, self.wall)
        settle = 1.5 * contact.gates.writes.period  # so that the identity's next write is looked for with this one
        looked_for = reads, self._outcomes, self.conduct.staleness, settle
        self._taken, self._unanswered = (ReadBack(*looked_for, answered=it) for it in (True, False))

    @property
    def stopped(self) -> SesError | None:
        """Why the lane stopped before its records were through, if nobody just asked for it."""
        return self.contact.halt.reason

    def stop(self) -> None:
        """Let nothing leave any more; what is under way is finished."""
        self.contact.halt.call()

    async def run(self, jobs: AsyncIterator[Job | None]) -> None:
        """Bring every job to an outcome, or stop; returns when nothing is under way any more.

        None among the jobs says that there are no more just now (:meth:`Feeder.run`).
        """
        await self.contact.warm(2 if self.conduct.reads else 1)
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._feeder.run, jobs)
            self._tasks.start_soon(self._attempt)
        for job in self._queue.left_over():
            await self._end_unanswered(job)
        for deletion in self._outcomes.prunes.held:  # nothing is left to take it back with
            await self._outcomes.applied(deletion, "")

    # -- one attempt -------------------------------------------------------------------------------------------

    async def _attempt(self) -> None:
        """One attempt at the change that is next; the one after it begins as soon as it may wait near the gate."""
        if not await self._queue.ready():
            return
        turn = await self._wait_near_the_gate()
        self._tasks.start_soon(self._attempt)
        if turn is None:
            return
        try:
            if await self._still_due(turn) and self._queue.begins(turn.job):
                await self._journal_intent(turn)
                request_id = await self._send(turn)
                await self._journal_outcome(turn, request_id)
        except SesError as error:
            await self._not_applied(turn, error)
        finally:
            turn.passage.ended(answered=False)

    async def _wait_near_the_gate(self) -> _Turn | None:
        """The job that is next, shortly before it may leave; None if there is none by then."""
        asked = anyio.current_time()
        passage = await self.contact.gates.writes.approach(LEAD)
        job = self._queue.take()
        if job is None:
            passage.ended()
            return None
        return _Turn(job, passage, self.contact.ses, asked)

    async def _still_due(self, turn: _Turn) -> bool:
        """Whether the job is to be sent: what was read too long ago is compared once more, and a deletion of what the
        input does not have waits for what it has."""
        job = turn.job
        match self._outcomes.prunes.turn(job.change):
            case Turn.WITHHELD:
                sent = self.lately.of(job.change, 0.0) is not None
                await (self._outcomes.sent_before if sent else self._outcomes.withheld)(job, WITHHELD)
                self._queue.settled(job)
                return False
            case Turn.WAIT:
                self._queue.defer(job, PAUSE)
                return False
        waited = job.deferrals > 0
        for _ in range(COMPARED_AGAIN):
            if job.read_at is None or not (waited or self.wall().timestamp() - job.read_at > FRESH):
                break
            waited = False
            turn.passage.ended()  # where reads and writes share one quota, the read needs this turn
            if not await self._feeder.compared_again(job):
                await self._outcomes.end_room(job, self._queue)
                return False
            turn.passage = await self.contact.gates.writes.approach(LEAD)
            if self.contact.halt.called:
                self._queue.again(job)
                return False
        turn.due_at = self.wall().timestamp()
        return True

    async def _journal_intent(self, turn: _Turn) -> None:
        """Write down, durably, that the request is about to leave, and what it replaces where that was read."""
        job = turn.job
        await turn.ses.ready()
        job.attempts += 1
        number = job.change.number
        entries: list[Entry] = [Intent(n=number, attempt=job.attempts, at=self._now())]
        if job.read_at is not None and not job.has_image:
            entries.insert(0, Before(n=number, policy=job.present))
            job.has_image = True
        await self.commit.add(*entries)

    async def _send(self, turn: _Turn) -> str:
        """Pass the gate and send one request; returns its id, and leaves its times on the job."""
        job, change = turn.job, turn.job.change
        turn.left = anyio.current_time()

        def departed() -> None:
            turn.left = anyio.current_time()
            job.first_sent = job.first_sent or turn.left
            job.sent_wall = self._now()
            turn.passage.departed()
            self.observer.attempted(self.contact.target, Attempted(change, job.attempts, turn.left - turn.asked))

        attempt = Attempt(partial(turn.admit, self.wall), departed)
        try:
            if change.action is Action.PUT:
                request_id = await turn.ses.put(change.identity, change.policy_name, change.document, attempt)
            else:
                request_id = await turn.ses.delete(change.identity, change.policy_name, attempt)
        except SesError as error:
            self.observer.attempted(self.contact.target, turn.over(self.contact, error.request_id, error))
            raise
        self.observer.attempted(self.contact.target, turn.over(self.contact, request_id, None))
        return request_id

    async def _journal_outcome(self, turn: _Turn, request_id: str) -> None:
        """Write down, durably, that SES took it; where writes are read back, as soon as it was."""
        job = turn.job
        self.lately.add(job.change, self.wall().timestamp(), sure=True)
        if job.takes_back is not None:
            await self._outcomes.withheld(job.takes_back, PUT_BACK)
        elif job.change.makes_room:
            self._outcomes.prunes.held.append(job)  # its outcome hangs on the put that it makes room for
        elif self.conduct.verify:
            self._taken.add(job, request_id, self._tasks)
        else:
            await self._outcomes.applied(job, request_id)
        await self._outcomes.end_room(job, self._queue, taken=True)
        self._queue.settled(job)

    # -- what did not succeed ----------------------------------------------------------------------------------

    async def _not_applied(self, turn: _Turn, error: SesError) -> None:
        job = turn.job
        job.last_error = error
        if isinstance(error, NoAnswer) and not isinstance(error, Unreachable):
            job.unsure = True
            self.lately.add(job.change, self.wall().timestamp(), sure=False)
        if isinstance(error, AccessRefused):
            await self._access_refused(turn, error)
        elif isinstance(error, PolicyRefused):
            await self._refused(job, error)
        elif self._hopeless(job, error):
            await self._end_unanswered(job)
            self._queue.settled(job)
        else:
            self._queue.again(job, give_way=isinstance(error, NoAnswer) and job.attempts % 3 == 0)
            self.contact.check_outage(error, max(self.contact.last_write, job.begun))

    async def _refused(self, job: Job, error: PolicyRefused) -> None:
        """SES's no is final, but for a principal that IAM may not show yet (it appears seconds to minutes later)."""
        deferrals = self.contact.patience.deferrals
        if _names_unseen_principal(error) and job.deferrals < len(deferrals) and job.room is None:
            self.observer.deferred(self.contact.target, job.change, deferrals[job.deferrals])
            self._queue.defer(job, deferrals[job.deferrals])
            job.deferrals += 1
            return
        if job.takes_back is not None:
            await self._outcomes.applied(job.takes_back, "")
        elif job.unsure:
            await self._end_unanswered(job)
        else:
            await self._outcomes.refused(job, error)
        if not await self._outcomes.end_room(job, self._queue):
            self._queue.settled(job)

    async def _end_unanswered(self, job: Job) -> None:
        """End a job that was neither taken nor refused for certain; it is looked for where that can tell."""
        if job.takes_back is not None or job.change.makes_room:
            await self._outcomes.settle(job.takes_back or job, Status.UNKNOWN, job.last_error, retryable=True)
        elif job.unsure and (self.conduct.reads or self.conduct.verify) and not self.contact.halt.called:
            self._unanswered.add(job, "", self._tasks)
        else:
            await self._outcomes.given_up(job)
        if not self.contact.halt.called:
            await self._outcomes.end_room(job, self._queue, taken=True)

    async def _access_refused(self, turn: _Turn, error: AccessRefused) -> None:
        """Go on with fresh credentials if there are any. Denied for all stops the lane, denied for some is theirs."""
        job, contact = turn.job, self.contact
        if await contact.renewed(error, turn.ses):
            self._queue.again(job)
            return
        whose = contact.whose(error, contact.gates.writes, job.change.key_identity)
        if whose is Whose.NOT_KNOWN and not self._queue.nothing_else:
            self._queue.defer(job, 2 * DENIED_FOR_ALL * contact.gates.writes.period)  # others answer first
        elif whose is Whose.RECORD:
            await self._outcomes.denied(job, error)
            if not await self._outcomes.end_room(job, self._queue):
                self._queue.settled(job)
        else:
            contact.halt.call(error)  # first: while the outcome is written down the next one could leave
            await self._outcomes.not_its_fault(job, error)

    def _hopeless(self, job: Job, error: SesError) -> bool:
        """True when trying again makes no sense for this record: tried often, while SES took others since.

        Where it is the only one left, what SES itself says (5xx, too fast) is about this record. About all of several
        it is an outage, as silence is.
        """
        if job.attempts < self.contact.attempts(error):
            return False
        return self.contact.last_write > job.first_sent or (self._queue.one_left and error.http_status > 0)

    def _now(self) -> str:
        return self.wall().isoformat(timespec="milliseconds")


def _names_unseen_principal(error: PolicyRefused) -> bool:
    """SES's words for a principal that does not exist, or not yet (hashicorp/terraform-provider-aws #22549)."""
    return error.code == "InvalidPolicy" and "principal" in str(error).lower()
