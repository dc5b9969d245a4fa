"""The lane: the worker of one target.

For one change the order is, as consecutive calls: wait near the gate, journal the intent, pass the gate and send,
journal the outcome. The intent is made durable in the last :data:`LEAD` seconds of the wait, so that nothing but
signing lies between the gate and the wire and the fsync costs no time.

A lane knows its gates, the journal's entries, and how often to try again; files, arguments and other lanes it does
not know. A record's failure is an outcome; what stops the lane is :attr:`Lane.stopped`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from batchpol.errors import AccessRefused, NoAnswer, PolicyRefused, SesError, Throttled, Unreachable
from batchpol.identity import UNVERIFIED
from batchpol.journal import Before, Entry, Intent, outcome_entry
from batchpol.model import MAX_POLICIES, Action, Change, Outcome, Status, Target
from batchpol.policy.comparison import Effect, changed_paths, matches, well_formed
from batchpol.sending.commit import GroupCommit
from batchpol.sending.conduct import Conduct, Patience
from batchpol.sending.gate import Gate, Gates, Passage
from batchpol.sending.queue import Job, Queue
from batchpol.sending.readback import ReadBack
from batchpol.sending.reads import Ownership, Reads, owners, tell_gate
from batchpol.ses import EXPIRED, IDENTITIES_AT_ONCE, Attempt, Ses

Answer = TypeVar("Answer")

LEAD = 0.05
"""Seconds before its turn at which a change's intent is written down: longer than an fsync, short enough that a
kill in between leaves next to nothing unknown that was not sent."""

READ_AHEAD = 4
"""Changes that wait for their turn when the next identity is read: enough to hide a round trip and one that fails,
few enough that what was read is a few seconds old when it is replaced."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized"})
"""The caller is known, and may not do this."""

_UNVERIFIED = UNVERIFIED.at("identity", "the identity is not verified in this account and Region")
UNVERIFIED_REFUSED = PolicyRefused(_UNVERIFIED.message, code=UNVERIFIED.code)

CHANGED = PolicyRefused("somebody changed this policy since; it was left as it is", code="Changed")
BAD_IF_MATCH = PolicyRefused(
    "if_match is neither absent nor digests as batchpol undo writes them; the policy was left as it is",
    code="BadIfMatch",
)
TOO_MANY = PolicyRefused(
    f"the identity has {MAX_POLICIES} policies by then, and SES takes no more", code="TooManyPolicies"
)


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt at a change: told when it leaves (``ended`` false), and again when it is over.

    ``number`` counts the change's attempts from 1, ``waited`` is the time at the gate in seconds, ``duration_ms`` the
    round trip. ``error`` None at the end means that SES took it.
    """

    change: Change
    number: int
    waited: float
    ended: bool = False
    duration_ms: float | None = None
    request_id: str = ""
    error: SesError | None = None


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
class Lane:
    """The worker of one target.

    Args:
        target: what the limit belongs to.
        ses: one attempt a call.
        gates: what every attempt passes.
        commit: makes journal entries durable.
        settled: told of every outcome once it is durable, and of nothing else.
        noted: told of what a person should know, once each (the period widened, gates joined …).
        attempted: told of every attempt at a write, when it leaves and when it is over.
        planned: told, where nothing is written, what each change would do to the document that is there.
        renew: gives SES with fresh credentials after they expired, or None when there are none.
        wall: the wall clock.
        ownership: what is known already of the identities.
    """

    target: Target
    ses: Ses
    gates: Gates
    commit: GroupCommit[Entry]
    settled: Callable[[Outcome], None]
    noted: Callable[[Target, str], None]
    attempted: Callable[[Target, Attempted], None] = lambda target, attempt: None
    planned: Callable[[Change, Effect, str | None], None] = lambda change, effect, present: None
    renew: Callable[[Ses], Awaitable[Ses | None]] | None = None
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    patience: Patience = field(default_factory=Patience)
    conduct: Conduct = field(default_factory=Conduct)
    ownership: Ownership = field(default_factory=Ownership)
    stopped: SesError | None = None
    """Why the lane stopped before its records were through, if it did."""
    throttled: int = 0
    """How many attempts, reads and writes, SES refused as too fast."""
    _queue: Queue = field(init=False)
    _reads: Reads = field(init=False)
    _last_answer: float = field(init=False, default=0.0)
    _last_write: float = field(init=False, default=0.0)
    _reading: anyio.CancelScope = field(init=False, default_factory=anyio.CancelScope)
    _widened_told: bool = field(init=False, default=False)
    _halted: bool = field(init=False, default=False)
    _not_to_look_up: bool = field(init=False, default=False)
    _occupied: _Occupied | None = field(init=False, default=None)
    _read_back: ReadBack = field(init=False)
    _tasks: TaskGroup = field(init=False)

    def __post_init__(self) -> None:
        self._reads = Reads(lambda: self.ses, self.gates, self._answered, self._read_again)
        self._queue = Queue(ahead=64, at_once=self.patience.in_flight)
        settle = 1.5 * self.gates.writes.period  # so that the next write of the identity is looked for with this one
        self._read_back = ReadBack(self._reads.policies, self._seen, self._unseen, self.conduct.stale, settle)

    async def run(self, changes: AsyncIterator[Change]) -> None:
        """Bring every change to an outcome, or stop; returns when nothing is under way any more."""
        await self._warm()
        self._last_answer = self._last_write = anyio.current_time()
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._feed, changes)
            await self._departures()
            self._queue.close()
        for job in self._queue.left_over():
            await self._leave(job)

    def stop(self, reason: SesError | None = None) -> None:
        """Let nothing leave any more; what is under way is finished."""
        self.stopped = self.stopped or reason
        self._halted = True
        self._queue.close()
        self._reading.cancel()

    async def _warm(self) -> None:
        """Open the connections before the first attempt: one that is opened by it arrives late."""
        async with anyio.create_task_group() as tasks:
            for _ in range(2 if self.conduct.reads else 1):
                tasks.start_soon(self.ses.warm)

    async def _departures(self) -> None:
        while await self._queue.ready():
            asked = anyio.current_time()
            passage = await self.gates.writes.approach(LEAD)
            job = self._queue.take()
            if job is None:
                passage.ended()
                continue
            job.asked = asked
            self._tasks.start_soon(self._attempt, job, passage)

    # -- one attempt -------------------------------------------------------------------------------------------

    async def _attempt(self, job: Job, passage: Passage) -> None:
        """Gate, intent, send, outcome: the promise of the whole tool in four calls."""
        ses = self.ses
        try:
            if job.deferrals and job.was_read and not job.unsure:
                passage.ended()  # where reads and writes share one quota, the read needs this turn
                if not await self._compared_again(job):
                    return
                passage = await self.gates.writes.approach(LEAD)
                if self._queue.closed:
                    self._queue.again(job)
                    return
            await self._intend(job, ses)
            request_id = await self._send(job, passage, ses)
        except SesError as error:
            await self._not_applied(job, error, ses)
        else:
            if self.conduct.verify:
                self._verify(job, request_id)
            else:
                await self._settle(job, Status.APPLIED, request_id=request_id)
            self._queue.settled(job)
        finally:
            passage.ended(answered=False)

    async def _intend(self, job: Job, ses: Ses) -> None:
        job.begun = job.begun or anyio.current_time()
        await ses.ready()
        job.attempts += 1
        number = job.change.number
        entries: list[Entry] = [Intent(n=number, attempt=job.attempts, at=self._now())]
        if job.was_read and not job.has_image:
            entries.insert(0, Before(n=number, policy=job.present))
            job.has_image = True
        await self.commit.add(*entries)

    async def _send(self, job: Job, passage: Passage, ses: Ses) -> str:
        """One request through the gate; returns its id, and leaves its times on the job."""
        change, left = job.change, anyio.current_time()

        def departed() -> None:
            nonlocal left
            left = anyio.current_time()
            job.first_sent = job.first_sent or left
            job.sent_wall = self._now()
            passage.departed()
            self.attempted(self.target, Attempted(change, job.attempts, left - job.asked))

        attempt = Attempt(passage.admit, departed)
        try:
            if change.action is Action.PUT:
                request_id = await ses.put(change.identity, change.policy_name, change.document, attempt)
            else:
                request_id = await ses.delete(change.identity, change.policy_name, attempt)
        except SesError as error:
            self._over(job, passage, left, error.request_id, error)
            raise
        self._over(job, passage, left, request_id, None)
        return request_id

    def _over(self, job: Job, passage: Passage, left: float, request_id: str, error: SesError | None) -> None:
        """Note how long an attempt took and what came of it, and tell of it."""
        job.duration_ms = _ms_since(left)
        self._answered(self.gates.writes, passage, error, left)
        self.attempted(
            self.target,
            Attempted(job.change, job.attempts, left - job.asked, True, job.duration_ms, request_id, error),
        )

    def _answered(self, gate: Gate, passage: Passage, error: SesError | None, left: float) -> None:
        """Tell the gate what came back, and people what that did to the pace."""
        refused = isinstance(error, Throttled)
        self.throttled += refused
        tell_gate(gate, passage, error, left)
        if not refused and not isinstance(error, NoAnswer):
            self._last_answer = anyio.current_time()
            if gate is self.gates.writes:
                self._last_write = self._last_answer
        if refused and self.gates.refused(gate, left):
            self.noted(self.target, "reads and writes share one quota here: they take turns from now on")
        if gate.widened and not self._widened_told:
            self._widened_told = True
            self.noted(self.target, "somebody else uses this quota: requests leave less often until that ends")

    # -- what did not succeed ----------------------------------------------------------------------------------

    async def _not_applied(self, job: Job, error: SesError, used: Ses) -> None:
        job.last_error = error
        job.unsure = job.unsure or (isinstance(error, NoAnswer) and not isinstance(error, Unreachable))
        if isinstance(error, AccessRefused):
            await self._access_refused(job, error, used)
        elif isinstance(error, PolicyRefused):
            await self._refused(job, error)
        elif self._hopeless(job):
            await self._leave(job)
        else:
            self._queue.again(job, give_way=isinstance(error, NoAnswer) and job.attempts % 3 == 0)
            self._check_outage(error, max(self._last_write, job.begun))

    async def _refused(self, job: Job, error: PolicyRefused) -> None:
        """SES's no is final, but for a principal that IAM may not show yet (it appears seconds to minutes later)."""
        if _names_unseen_principal(error) and job.deferrals < self.patience.max_deferrals:
            job.deferrals += 1
            self._queue.defer(job)
        else:
            await self._settle(job, Status.FAILED, error)
            self._queue.settled(job)

    async def _access_refused(self, job: Job, error: AccessRefused, used: Ses) -> None:
        """Not this record's fault: go on with fresh credentials if there are any, else stop the lane."""
        if await self._renewed(error, used):
            self._queue.again(job)
        else:
            self.stop(error)  # first: while the outcome is written down the next one could leave
            await self._settle(job, Status.UNKNOWN if job.unsure else Status.NOT_ATTEMPTED, error, retryable=True)

    async def _renewed(self, error: AccessRefused, used: Ses) -> bool:
        """Whether there are fresh credentials instead of those of ``used``; another attempt may have got them."""
        if error.code in EXPIRED and self.ses is used and self.renew is not None:
            self.ses = await self.renew(used) or self.ses
        return error.code in EXPIRED and self.ses is not used

    async def _leave(self, job: Job) -> None:
        """End a job that was tried and neither taken nor refused; what came back last is the reason given."""
        await self._settle(job, Status.UNKNOWN if job.unsure else Status.FAILED, job.last_error, retryable=True)
        self._queue.settled(job)

    def _hopeless(self, job: Job) -> bool:
        """True when trying again makes no sense for this record: tried often, while SES took others since.

        Where there are no others, what SES itself says (5xx, too fast) is about this record; silence is an outage.
        """
        error = job.last_error
        if error is None or job.attempts < self.patience.attempts(error):
            return False
        return self._last_write > job.first_sent or (self._queue.nothing_else and error.http_status > 0)

    def _check_outage(self, error: SesError, since: float) -> None:
        """Stop the lane if SES has been silent for too long; ``since`` is in loop time."""
        silent = anyio.current_time() - since
        if silent > self.patience.outage(error):
            self.stop(
                NoAnswer(
                    f"SES took nothing for {silent:.0f} s; the last answer: {error}",
                    code=error.code,
                    hint="see whether SES and the network are up, then run the same command again",
                )
            )

    # -- reading what is there ---------------------------------------------------------------------------------

    async def _feed(self, changes: AsyncIterator[Change]) -> None:
        """Put changes in the queue: looked up, compared with what is there, one identity at a time, as the run asks."""
        unread: list[list[Job]] = []
        async for group in _by_identity(self._owned(changes), MAX_POLICIES if self.conduct.reads else 1):
            if not await self._line_up(group, unread):
                return
        for group in unread:
            if not await self._line_up(group, None):
                return
        self._queue.fed()

    async def _line_up(self, group: list[Job], unread: list[list[Job]] | None) -> bool:
        """Put the changes of one identity in the queue, unless they need no write; False once it is closed.

        What cannot be read is put into ``unread``: SES may be down, and be up again when the others are through.
        """
        jobs = group
        if self.conduct.reads or any(job.change.if_match for job in group):
            await self._queue.room(READ_AHEAD)
            try:
                jobs = await self._compared(group)
            except SesError as error:
                jobs = []
                if isinstance(error, AccessRefused):
                    self.stop(self._told_of_reads(error))
                elif not self._queue.closed:
                    await self._unreadable(group, error, unread)
        for job in jobs:
            if not await self._queue.put(job):
                return False
        return not self._queue.closed

    async def _unreadable(self, group: list[Job], error: SesError, unread: list[list[Job]] | None) -> None:
        if unread is not None and not isinstance(error, PolicyRefused):
            unread.append(group)
            return
        for job in group:
            await self._settle(job, Status.FAILED, error, retryable=not isinstance(error, PolicyRefused))

    async def _owned(self, changes: AsyncIterator[Change]) -> AsyncIterator[Job]:
        """The changes as jobs, 100 identities at a time looked up; those that may not be sent are settled."""
        window: list[Job] = []
        names: set[str] = set()
        async for change in changes:
            if not self.conduct.ownership:
                yield Job(change)
                continue
            wanted = owners(change.key_identity)
            if len(names | wanted) > IDENTITIES_AT_ONCE:
                for allowed in await self._allowed(window, names):
                    yield allowed
                window, names = [], set()
            window.append(Job(change))
            names |= wanted
        for allowed in await self._allowed(window, names):
            yield allowed

    async def _allowed(self, window: list[Job], names: set[str]) -> list[Job]:
        """The jobs of a window that are to be sent; that an identity is not verified is noted on its jobs."""
        if not window or self._not_to_look_up or self._queue.closed:
            return window
        try:
            await self._while_open(self.ownership.look_up(self._reads, names))
        except SesError as error:
            return self._not_looked_up(window, error)
        for job in window:
            job.verified = self.ownership.verified(job.change.key_identity)
        self.ownership.forget(names)
        if not self.conduct.require_verified:
            return window
        for job in window:
            if not job.verified:
                await self._settle(job, Status.REJECTED, UNVERIFIED_REFUSED)
        return [job for job in window if job.verified]

    def _not_looked_up(self, window: list[Job], error: SesError) -> list[Job]:
        """What goes on where identities cannot be looked up: everything, or nothing if they must be verified."""
        if self.conduct.require_verified and not self._queue.closed:
            if error.code in DENIED:
                error.hint = "give the caller ses:GetIdentityVerificationAttributes, or run without --require-verified"
            self.stop(error)
        elif not self._queue.closed:
            self._not_to_look_up = isinstance(error, AccessRefused)
            self.noted(self.target, f"whether the identities are verified could not be looked up: {error}")
        return window

    async def _compared(self, jobs: list[Job]) -> list[Job]:
        """The jobs that still need a write, each with its before-image; the others get their outcomes here.

        Raises SesError where what is there cannot be read.
        """
        identity, names = jobs[0].change.identity, [job.change.policy_name for job in jobs]
        present = await self._while_open(self._reads.policies(identity, names))
        for job in jobs:
            job.compare(present.get(job.change.policy_name))
        if self.conduct.plan:
            await self._settle_planned(jobs)
            return []
        remaining = []
        for job in jobs:
            if (kept := self._kept(job)) is None:
                remaining.append(job)
            else:
                await self._settle(job, *kept)
        return remaining

    async def _compared_again(self, job: Job) -> bool:
        """Whether a job that waited for long is to be written still, to what is there by now.

        Only for one of which no attempt can have taken effect: else its own write would be taken for somebody's.
        """
        change = job.change
        try:
            present = await self._while_open(self._reads.policies(change.identity, [change.policy_name]))
        except (NoAnswer, Throttled) as error:
            if self._queue.closed:
                self._queue.again(job)
                return False
            # Of the read: the write was certainly not sent.
            raise Unreachable(str(error), code=error.code, request_id=error.request_id) from error
        job.compare(present.get(change.policy_name))
        kept = self._kept(job)
        if kept is not None:
            await self._settle(job, *kept)
            self._queue.settled(job)
        return kept is None

    async def _while_open(self, reading: Awaitable[Answer]) -> Answer:
        """What is read; a lane that is stopped waits for no more of it."""
        with anyio.CancelScope() as self._reading:
            if self._queue.closed:
                self._reading.cancel()
            return await reading
        raise Unreachable("the lane is stopped", code="Stopped")

    async def _read_again(self, error: SesError, tries: int, used: Ses) -> bool:
        """Whether to try once more to read: as often as a write, and in silence for as long as a lane bears that."""
        if isinstance(error, AccessRefused):
            return await self._renewed(error, used)
        if not isinstance(error, NoAnswer | Throttled):
            return False
        self._check_outage(error, self._last_answer)
        return not self._halted and (error.http_status == 0 or tries < self.patience.attempts(error))

    def _told_of_reads(self, error: AccessRefused) -> AccessRefused:
        """The error with the way out of it: what may be allowed, or done without."""
        if error.code in DENIED:
            only_compared = not (self.conduct.plan or self.conduct.no_clobber or self.conduct.only_existing)
            without = ", or run with --blind" if only_compared and self.conduct.compare else ""
            error.hint = f"give the caller ses:GetIdentityPolicies{without}"
        return error

    async def _settle_planned(self, jobs: list[Job]) -> None:
        """What the changes of one identity would do, and which of them would come to nothing, and why."""
        crowded = await self._crowded(jobs)
        for job in jobs:
            assert job.effect is not None
            self.planned(job.change, job.effect, job.present)
            kept = self._kept(job) or ((Status.FAILED, TOO_MANY) if job in crowded else None)
            if kept is None:
                update = job.effect is Effect.UPDATE
                paths = changed_paths(job.present or "", job.change.document) if update else []
                kept = Status.NOT_ATTEMPTED, PolicyRefused("\n".join(paths), code="")
            await self._settle(job, *kept)

    async def _crowded(self, jobs: list[Job]) -> list[Job]:
        """The jobs that would add a policy to an identity which has as many as it can have by then."""
        identity = jobs[0].change.key_identity
        if self._occupied is None or self._occupied.identity != identity:
            self._occupied = _Occupied(identity)
        if self._occupied.names is None and any(job.effect is Effect.CREATE for job in jobs):
            self._occupied.names = set(await self._while_open(self._reads.names(jobs[0].change.identity)))
        return [job for job in jobs if not self._occupied.takes(job)]

    def _kept(self, job: Job) -> tuple[Status, SesError | None] | None:
        """The outcome of a job that needs or may have no write, or None when it is to be written."""
        wanted, conduct = job.change.if_match, self.conduct
        if job.effect is Effect.UNCHANGED:
            return Status.UNCHANGED, None
        if wanted and not matches(wanted, job.present):
            return Status.FAILED, CHANGED if well_formed(wanted) else BAD_IF_MATCH
        if conduct.no_clobber and job.effect is not Effect.CREATE:
            return Status.FAILED, PolicyRefused("there is a policy of this name; --no-clobber keeps it", code="Exists")
        if conduct.only_existing and job.effect is Effect.CREATE:
            return Status.FAILED, PolicyRefused("no policy of this name; --only-existing creates none", code="Absent")
        return None

    # -- reading back ------------------------------------------------------------------------------------------

    def _verify(self, job: Job, request_id: str) -> None:
        """Have a write read back; its outcome comes with that."""
        if self._read_back.add(job, request_id):
            self._tasks.start_soon(self._read_back.run)

    async def _seen(self, job: Job, request_id: str) -> None:
        await self._settle(job, Status.APPLIED, request_id=request_id)

    async def _unseen(self, job: Job, request_id: str, error: SesError) -> None:
        await self._settle(job, Status.UNKNOWN, error, request_id=request_id, retryable=True)
        if isinstance(error, AccessRefused):
            if error.code in DENIED:
                error.hint = "give the caller ses:GetIdentityPolicies, or run without --verify"
            self.stop(error)

    # -- outcomes ----------------------------------------------------------------------------------------------

    async def _settle(
        self, job: Job, status: Status, error: SesError | None = None, *, request_id: str = "", retryable: bool = False
    ) -> None:
        """Write the outcome down, then count it."""
        change = job.change
        outcome = Outcome(
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
        await self.commit.add(outcome_entry(outcome))
        self.settled(outcome)

    def _now(self) -> str:
        return self.wall().isoformat(timespec="milliseconds")


async def _by_identity(jobs: AsyncIterator[Job], most: int) -> AsyncIterator[list[Job]]:
    """Neighbouring jobs of one identity together, at most ``most`` of them."""
    group: list[Job] = []
    async for job in jobs:
        if group and (len(group) >= most or job.change.key_identity != group[0].change.key_identity):
            yield group
            group = []
        group.append(job)
    if group:
        yield group


def _names_unseen_principal(error: PolicyRefused) -> bool:
    """SES's words for a principal that does not exist, or not yet (hashicorp/terraform-provider-aws #22549)."""
    return error.code == "InvalidPolicy" and "principal" in str(error).lower()


def _ms_since(loop_time: float) -> float:
    return round((anyio.current_time() - loop_time) * 1000, 3)
