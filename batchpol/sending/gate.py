"""The gate: what every attempt passes, so that SES is asked no more than once a second.

A gate belongs to one target and one operation, and goes by a pace; gates that have one quota go by the same
(:mod:`batchpol.sending.gates`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import anyio

from batchpol.model.settings import PERIOD
from batchpol.sending.meetings import Meetings
from batchpol.sending.pace import Pace, RoundTrips, Route
from batchpol.sending.sharing import Turns

TICK = 0.001
"""Seconds that a wait takes at least. uvloop's clock goes by whole milliseconds: a shorter wait is over at once there,
and would be begun anew, dozens of times, until the clock goes on."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended that SES answered. Times are loop times in seconds.

    ``follows`` says that another gate of the target let something pass less than a period before it left;
    ``latest`` is when it can have arrived at the latest.
    """

    gate: Gate
    left: float
    latest: float
    refused: bool
    follows: bool


class Passage:
    """One attempt on its way through a gate: approach, admit, departed, then exactly one of the endings.

    It goes by the pace that its gate has now: where gates are joined or parted while it waits, so is it.
    """

    __slots__ = ("_follows", "_gate", "_left_by", "_turn")

    def __init__(self, gate: Gate) -> None:
        self._gate, self._follows = gate, False
        self._turn: Pace | None = None
        self._left_by: Pace | None = None

    async def approach(self, lead: float) -> None:
        """Take its turn and wait until ``lead`` seconds before it may leave."""
        try:
            await self._until(lambda pace: pace.due - lead - anyio.current_time())
            while (pace := await self._queued()).overdue_until(now := anyio.current_time()) > now:
                with anyio.move_on_after(pace.overdue_until(now) - now):
                    await pace.news.wait()
                await self._until(lambda pace: pace.due - lead - anyio.current_time())
            if lead:  # else it has its turn among processes as soon as it claims it, which is next
                await self._until(lambda pace: pace.turns.wait() - lead if pace.turns else 0.0)
        except BaseException:
            self._give_up_turn()
            raise

    async def admit(self) -> None:
        """Wait for the last stretch and pass the limiter; nothing but signing may follow before the wire."""

        def left(pace: Pace) -> float:
            seconds = pace.due - anyio.current_time()
            return pace.turns.wait(claim=True) if pace.turns and seconds <= 0 else seconds

        await (await self._until(left)).limiter.acquire()
        self._gate.fence()

    async def _until(self, left: Callable[[Pace], float]) -> Pace:
        """Wait as long as seconds are left by the pace of the gate as of then; gives the last one.

        Nobody sleeps while an answer is to come, since that says how long: to be woken twice costs more than the wait.
        """
        while (seconds := left(pace := await self._queued())) > 0:
            if pace.under_way:
                with anyio.move_on_after(max(TICK, seconds)):
                    await pace.news.wait()
            else:
                await anyio.sleep(max(TICK, seconds))
        return pace

    async def _queued(self) -> Pace:
        """The pace of the gate as of now, with this passage's turn there."""
        while (pace := self._gate.pace) is not self._turn:
            self._give_up_turn()
            await pace.turn.acquire()
            self._turn = pace
        return pace

    def departed(self) -> None:
        """The request is being handed to the network now."""
        now, self._left_by = anyio.current_time(), self._turn or self._gate.pace
        self._follows = self._gate.follows(now) or (self._left_by.turns is not None and self._left_by.turns.follows)
        self._gate.last_left = now
        self._left_by.departed(id(self), now)
        self._give_up_turn()

    def ended(self, *, answered: bool = True, refused: bool = False) -> None:
        """The attempt is over: ``answered`` says a response came, ``refused`` that it said too fast.

        Safe to call for a passage that never departed, and more than once.
        """
        pace, self._left_by = self._left_by, None
        if pace is not None:
            left, step = pace.under_way[id(self)]
            latest = pace.returned(id(self), anyio.current_time(), answered=answered)
            if answered:
                (pace.refused if refused else pace.taken)(left, step)
                self._gate.told(Ended(self._gate, left, latest, refused, self._follows))
        self._give_up_turn()

    def _give_up_turn(self) -> None:
        if self._turn is not None:
            if self._turn.turns is not None:
                self._turn.turns.give_back()
            self._turn.turn.release()
            self._turn = None


def unfenced() -> None:
    """What may leave whenever its turn comes."""


class Gate:
    """The rate limiter of one target and operation.

    Args:
        period: seconds between two attempts (1 unless the account's quota is known to differ).
        route: what all gates of this operation in one Region have seen so far; a new one unless given.
        turns: those of this operation among the processes of this machine, if it shares with them.
        tolerance: seconds by which SES is known to let requests come too early.
        meetings: when others elsewhere are let in, if they are.

    Attributes:
        pace: what it goes by: its own, or that of others with which it has one quota.
        others: the gates of the same target's other operations.
        told: told of every attempt that SES answered.
        fence: asked as the last thing before an attempt leaves; raises where it must not.
        last_left: loop time at which the last attempt left, in seconds; minus infinity before the first.
    """

    def __init__(
        self,
        period: float = PERIOD,
        *,
        route: Route | None = None,
        turns: Turns | None = None,
        tolerance: float = 0.0,
        meetings: Meetings | None = None,
    ) -> None:
        self.route = route or Route()
        self.pace = self._own = Pace(period, RoundTrips(self.route), turns, tolerance, meetings)
        self.others: Sequence[Gate] = ()
        self.told: Callable[[Ended], None] = lambda _: None
        self.fence: Callable[[], None] = unfenced
        self.last_left = -inf

    @property
    def period(self) -> float:
        """Seconds between two attempts as of now: the base, or more while others use the quota."""
        return self.pace.period

    def follows(self, now: float) -> bool:
        """Whether another operation's last attempt left less than a period before ``now``, in loop time."""
        return any(now - other.last_left < self.pace.base for other in self.others)

    def hold(self, until: float) -> None:
        """Let nothing leave before this loop time, in seconds."""
        self.pace.due = max(self.pace.due, until)

    def join(self, other: Gate) -> None:
        """Go by ``other``'s pace from the next departure on: the two operations have one quota."""
        mine, theirs = self.pace, other.pace
        theirs.due = max(theirs.due, mine.due)
        theirs.settle()
        if theirs.turns is not None and self._own.turns is not None:
            theirs.turns.quotas |= self._own.turns.quotas
        self.pace = theirs

    def part(self, after: float) -> None:
        """Go by a pace of its own again, ``after`` seconds later than what is next by the one that it leaves."""
        until = self.pace.due + after
        if self.pace.turns is not None and self._own.turns is not None:
            self.pace.turns.quotas -= self._own.turns.quotas
        self.pace = self._own
        self.hold(until)

    async def approach(self, lead: float = 0.0) -> Passage:
        """Wait, in order of asking, until ``lead`` seconds before the next attempt may leave.

        What comes between this and :meth:`Passage.admit` (the journal's intent, say) costs no time as long as it
        takes less than ``lead`` seconds. The passage holds the turn until it departed or ended.
        """
        passage = Passage(self)
        await passage.approach(lead)
        return passage
