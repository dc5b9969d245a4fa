"""The lane: the worker of one target (floor 3).

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

import anyio
from anyio.abc import TaskGroup

from batchpol.commit import GroupCommit
from batchpol.errors import AccessRefused, NoAnswer, PolicyRefused, SesError, Throttled, Unreachable
from batchpol.gate import PERIOD, Gate, Passage
from batchpol.journal import Before, Entry, Intent, outcome_entry
from batchpol.line import Job, Line
from batchpol.model import Action, Change, Outcome, Status, Target
from batchpol.comparison import Effect, effect
from batchpol.ses import EXPIRED, READS_AT_ONCE, Attempt, Ses

LEAD = 0.05
"""Seconds before its turn at which a change's intent is written down: longer than an fsync, short enough that a
kill in between leaves next to nothing unknown that was not sent."""

BUSY_PATIENCE = 10
"""How many times longer, or more often, a lane keeps trying where SES answers that it is too fast: the server is
there, and whoever uses the quota will be done some time."""

EVIDENCE = 2
"""Refusals right after a request of the lane's other kind that make it believe both share one quota."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How often to try again, and when to give up.

    ``max_attempts`` of one record (ten times as many where all that comes back is "too fast"), after which it is
    ``failed`` or ``unknown`` provided SES answers others. ``max_outage`` seconds without any answer stop the lane,
    resumable. ``in_flight`` is the bound on requests under way at once. ``max_deferrals`` is how often a record whose
    principal SES does not see yet goes to the end of the line.
    """

    max_attempts: int = 8
    max_outage: float = 120.0
    in_flight: int = 8
    max_deferrals: int = 2


@dataclass(frozen=True, slots=True)
class Conduct:
    """What a lane does besides writing: the choices of one run."""

    compare: bool = False
    no_clobber: bool = False
    only_existing: bool = False

    @property
    def reads(self) -> bool:
        return self.compare or self.no_clobber or self.only_existing


@dataclass(slots=True)
class Gates:
    """The gates of one lane: one for the writing operations, one for reading."""

    writes: Gate
    reads: Gate
    evidence: int = 0
    joined: bool = False

    @classmethod
    def at(cls, period: float = PERIOD, *, not_before: float = 0.0, shared: bool = False) -> Gates:
        """Gates of ``period`` seconds; ``shared`` if all operations have one quota."""
        gates = cls(Gate(period, not_before=not_before), Gate(period, not_before=not_before))
        if shared:
            gates.join()
        return gates

    def join(self) -> None:
        self.reads.join(self.writes)
        self.joined = True

    def refused(self, by: Gate, departure: float) -> bool:
        """Weigh a refusal of an attempt that left at ``departure``; true when it made the two gates one."""
        other = self.reads if by is self.writes else self.writes
        if self.joined or not departure - by.period < other.last_departure <= departure:
            return False
        self.evidence += 1
        if self.evidence >= EVIDENCE:
            self.join()
        return self.joined


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
        renew: gives SES with fresh credentials after they expired, or None when there are none.
        wall: the wall clock.
    """

    target: Target
    ses: Ses
    gates: Gates
    commit: GroupCommit[Entry]
    settled: Callable[[Outcome], None]
    noted: Callable[[Target, str], None]
    renew: Callable[[Ses], Awaitable[Ses | None]] | None = None
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    persistence: Persistence = field(default_factory=Persistence)
    conduct: Conduct = field(default_factory=Conduct)
    stopped: SesError | None = None
    """Why the lane stopped before its records were through, if it did."""
    _line: Line = field(init=False)
    _last_answer: float = field(init=False, default=0.0)
    _widened_told: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        ahead = 24 if self.conduct.reads else 64
        self._line = Line(ahead=ahead, at_once=self.persistence.in_flight)

    async def run(self, changes: AsyncIterator[Change]) -> None:
        """Bring every change to an outcome, or stop; returns when nothing is under way any more."""
        await self._warm()
        self._last_answer = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._feed, changes)
            await self._departures(tasks)
            self._line.close()
        for job in self._line.left_over():
            await self._leave(job)

    def stop(self, reason: SesError | None = None) -> None:
        """Let nothing leave any more; what is under way is finished."""
        self.stopped = self.stopped or reason
        self._line.close()

    async def _warm(self) -> None:
        """Open the connections before the first attempt: one that is opened by it arrives late."""
        async with anyio.create_task_group() as tasks:
            for _ in range(2 if self.conduct.reads else 1):
                tasks.start_soon(self.ses.warm)

    async def _departures(self, tasks: TaskGroup) -> None:
        while await self._line.ready():
            passage = await self.gates.writes.approach(LEAD)
            job = self._line.take()
            if job is None:
                passage.ended()
                continue
            tasks.start_soon(self._attempt, job, passage)

    # -- one attempt -------------------------------------------------------------------------------------------

    async def _attempt(self, job: Job, passage: Passage) -> None:
        """Gate, intent, send, outcome: the promise of the whole tool in four calls."""
        try:
            await self._intend(job)
            request_id = await self._send(job, passage)
        except SesError as error:
            await self._not_applied(job, error)
        else:
            await self._settle(job, Status.APPLIED, request_id=request_id)
            self._line.settled(job)
        finally:
            passage.ended(answered=False)

    async def _intend(self, job: Job) -> None:
        await self.ses.ready()
        job.attempts += 1
        number = job.change.number
        entries: list[Entry] = [Intent(n=number, attempt=job.attempts, at=self._now())]
        if job.was_read and job.attempts == 1:
            entries.insert(0, Before(n=number, policy=job.present))
        await self.commit.add(*entries)

    async def _send(self, job: Job, passage: Passage) -> str:
        """One request through the gate; returns its id, and leaves its times on the job."""
        change, left = job.change, anyio.current_time()

        def departed() -> None:
            nonlocal left
            left = anyio.current_time()
            job.first_sent = job.first_sent or left
            job.sent_wall = self._now()
            passage.departed()

        attempt = Attempt(passage.admit, departed)
        try:
            if change.action is Action.PUT:
                request_id = await self.ses.put(change.identity, change.policy_name, change.document, attempt)
            else:
                request_id = await self.ses.delete(change.identity, change.policy_name, attempt)
        except SesError as error:
            job.duration_ms = _ms_since(left)
            self._answered(self.gates.writes, passage, error, left)
            raise
        job.duration_ms = _ms_since(left)
        self._answered(self.gates.writes, passage, None, left)
        return request_id

    def _answered(self, gate: Gate, passage: Passage, error: SesError | None, left: float) -> None:
        """Tell the gate what came back, and people what that did to the pace."""
        refused = isinstance(error, Throttled)
        passage.ended(answered=error is None or error.http_status > 0, refused=refused)
        if not refused and not isinstance(error, NoAnswer):
            self._last_answer = anyio.current_time()
        if refused and self.gates.refused(gate, left):
            self.noted(self.target, "reads and writes share one quota here: they take turns from now on")
        if gate.widened and not self._widened_told:
            self._widened_told = True
            self.noted(self.target, "somebody else uses this quota: requests leave less often until that ends")

    # -- what did not succeed ----------------------------------------------------------------------------------

    async def _not_applied(self, job: Job, error: SesError) -> None:
        job.last_error = error
        if isinstance(error, AccessRefused):
            await self._access_refused(job, error)
        elif isinstance(error, PolicyRefused):
            await self._refused(job, error)
        elif self._hopeless(job):
            await self._leave(job)
        else:
            self._line.again(job, give_way=isinstance(error, NoAnswer) and job.attempts % 3 == 0)
            self._check_outage(error)

    async def _refused(self, job: Job, error: PolicyRefused) -> None:
        """SES's no is final, but for a principal that IAM may not show yet (it appears seconds to minutes later)."""
        if _names_unseen_principal(error) and job.deferrals < self.persistence.max_deferrals:
            job.deferrals += 1
            self._line.defer(job)
        else:
            await self._settle(job, Status.FAILED, error)
            self._line.settled(job)

    async def _access_refused(self, job: Job, error: AccessRefused) -> None:
        """Not this record's fault: go on with fresh credentials if there are any, else stop the lane."""
        fresh = await self.renew(self.ses) if self.renew and error.code in EXPIRED else None
        if fresh is not None:
            self.ses = fresh
            self._line.again(job)
        else:
            await self._settle(job, Status.NOT_ATTEMPTED, error, retryable=True)
            self.stop(error)

    async def _leave(self, job: Job) -> None:
        """End a job that was tried and neither taken nor refused, by what came back last."""
        error = job.last_error
        unsure = isinstance(error, NoAnswer) and not isinstance(error, Unreachable)
        await self._settle(job, Status.UNKNOWN if unsure else Status.FAILED, error, retryable=True)
        self._line.settled(job)

    def _hopeless(self, job: Job) -> bool:
        """True when trying again makes no sense for this record: tried often, while SES answered others since."""
        patience = BUSY_PATIENCE if isinstance(job.last_error, Throttled) else 1
        if job.attempts < self.persistence.max_attempts * patience:
            return False
        return self._line.nothing_else or self._last_answer > job.first_sent

    def _check_outage(self, error: SesError) -> None:
        silent = anyio.current_time() - self._last_answer
        patience = self.persistence.max_outage * (BUSY_PATIENCE if isinstance(error, Throttled) else 1)
        if silent > patience:
            self.stop(
                NoAnswer(
                    f"SES took nothing for {silent:.0f} s; the last answer: {error}",
                    code=error.code,
                    hint="see whether SES and the network are up, then run the same command again",
                )
            )

    # -- reading what is there ---------------------------------------------------------------------------------

    async def _feed(self, changes: AsyncIterator[Change]) -> None:
        """Put changes in line; with ``compare`` after reading what is there, one identity at a call."""
        async for group in _by_identity(changes, READS_AT_ONCE if self.conduct.reads else 1):
            if self._line.closed:
                return
            jobs = [Job(change) for change in group]
            if self.conduct.reads:
                jobs = await self._compared(jobs)
            for job in jobs:
                if not await self._line.put(job):
                    return
        self._line.fed()

    async def _compared(self, jobs: list[Job]) -> list[Job]:
        """The jobs that still need a write, each with its before-image; the others get their outcomes here."""
        try:
            present = await self._read(jobs[0].change.identity, [job.change.policy_name for job in jobs])
        except AccessRefused as error:
            error.hint = error.hint or "give the caller ses:GetIdentityPolicies, or run with --blind"
            self.stop(error)
            return []
        except SesError as error:
            for job in jobs:
                await self._settle(job, Status.FAILED, error, retryable=True)
            return []
        remaining = []
        for job in jobs:
            job.was_read, job.present = True, present.get(job.change.policy_name)
            if (kept := self._kept(job)) is None:
                remaining.append(job)
            else:
                await self._settle(job, *kept)
        return remaining

    def _kept(self, job: Job) -> tuple[Status, SesError | None] | None:
        """The outcome of a job that needs or may have no write, or None when it is to be written."""
        found = effect(job.change.action, job.change.document, job.present)
        if found is Effect.UNCHANGED:
            return Status.UNCHANGED, None
        if self.conduct.no_clobber and found is not Effect.CREATE:
            return Status.FAILED, _withheld("there is a policy of this name, and --no-clobber keeps it", "Exists")
        if self.conduct.only_existing and found is Effect.CREATE:
            return Status.FAILED, _withheld(
                "there is no policy of this name, and --only-existing creates none", "Absent"
            )
        return None

    async def _read(self, identity: str, names: list[str]) -> dict[str, str]:
        """Documents by name, through the read gate, tried again as often as a write would be."""
        tries = 0
        while True:
            tries += 1
            passage = await self.gates.reads.approach()
            left = anyio.current_time()
            try:
                found = await self.ses.policies(identity, names, Attempt(passage.admit, passage.departed))
            except (Throttled, NoAnswer) as error:
                self._answered(self.gates.reads, passage, error, left)
                if tries >= self.persistence.max_attempts:
                    raise
            except SesError as error:
                self._answered(self.gates.reads, passage, error, left)
                raise
            else:
                self._answered(self.gates.reads, passage, None, left)
                return found
            finally:
                passage.ended(answered=False)

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
        )
        await self.commit.add(outcome_entry(outcome))
        self.settled(outcome)

    def _now(self) -> str:
        return self.wall().isoformat(timespec="milliseconds")


async def _by_identity(changes: AsyncIterator[Change], most: int) -> AsyncIterator[list[Change]]:
    """Neighbouring changes of one identity together, at most ``most`` of them."""
    group: list[Change] = []
    async for change in changes:
        if group and (len(group) >= most or change.key_identity != group[0].key_identity):
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _names_unseen_principal(error: PolicyRefused) -> bool:
    """SES's words for a principal that does not exist, or not yet (hashicorp/terraform-provider-aws #22549)."""
    return error.code == "InvalidPolicy" and "principal" in str(error).lower()


def _withheld(message: str, code: str) -> SesError:
    return PolicyRefused(message, code=code)


def _ms_since(loop_time: float) -> float:
    return round((anyio.current_time() - loop_time) * 1000, 3)
