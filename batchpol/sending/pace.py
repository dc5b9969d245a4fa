"""The pace of a gate: when the next attempt may leave, by what came back of those before it.

SES's limit holds at its door, not at ours: a request that the network delays makes its successor arrive early.
What we know after an answer is the *latest* moment at which the request can have arrived, so the next one leaves
no earlier than a period after that moment::

    next departure >= departure + period + (round trip - smallest round trip seen lately)

Waiting asks the running loop's clock only, in seconds.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf, log

import anyio
from aiolimiter import AsyncLimiter

from batchpol.sending.meetings import IN_A_ROUND, LEEWAY, Meetings
from batchpol.sending.news import News
from batchpol.sending.sharing import Turns

MARGIN = 0.002
"""Seconds added to every period: timers and clocks are not exact to the microsecond, and a refusal costs 1 s."""

FIRST_GUARD = 0.02
"""Seconds of prudence after the very first attempt, and 1/n³ of it after the nth: one sample of the round trip says
nothing about how much of it was delay."""

MEMORY = 30
"""Round trips remembered for the smallest one: few enough to follow a change of route in half a minute."""

FRAME = 4.1
"""Periods in which two who share a quota both have a turn: two requests in a row each, and room for what is late."""

ASK_AGAIN = 8
"""Turns after which it is tried again whether the quota is still shared."""

OFTEN = 6.0
"""Periods within which two refusals, with requests taken between them, are no bad luck: somebody sends as often. Of
two whose writes wait for reads, which take turns, neither is refused twice in a row."""

WORTH = 1 / 1000
"""Share of a run's time that may be spent waiting for meetings, on top of :data:`SPARE`."""

SPARE = 0.04
"""Seconds that may be spent so at the beginning."""

RAREST = 2
"""Meetings, at most, from one attempt to the next of one who is always refused."""


class Step(Enum):
    """What an attempt is to those who use the same quota."""

    ALONE = auto()
    MEETING = auto()
    """Still alone, and let a meeting go by before it."""
    KNOCK = auto()
    """Refused from the start, or all the time: asks to be let in, at meetings."""
    FIRST = auto()
    SECOND = auto()
    ASK = auto()
    """In the middle of another one's turn: what SES takes there shows that nobody has it any more."""


@dataclass(slots=True)
class Route:
    """All round trips of one operation to one Region, of whichever target: how many, their sum and the smallest."""

    count: int = 0
    total: float = 0.0
    smallest: float = inf


@dataclass(slots=True)
class RoundTrips:
    """The round trips seen lately, in seconds, and what they say about how late a request may have arrived.

    Until a gate has a :data:`MEMORY` of its own, what all gates saw on its route stands in for it: hundreds of lanes
    start at once, and that is when a first round trip is long and says least.
    """

    route: Route = field(default_factory=Route)
    seen: deque[float] = field(default_factory=lambda: deque(maxlen=MEMORY))

    def add(self, round_trip: float) -> None:
        self.seen.append(round_trip)
        self.route.count += 1
        self.route.total += round_trip
        self.route.smallest = min(self.route.smallest, round_trip)

    def floor(self) -> float:
        """Smallest round trip that this route is believed to allow, in seconds; 0 before any was seen.

        The smallest of n samples lies above the true smallest by about (mean - smallest) / n where delays are
        exponential; twice that is taken off, since being wrong costs a refusal, that is a second. More is taken off
        while there are few: they may all have been late, or all alike.
        """
        if not self.route.count:
            return 0.0
        smallest, mean, count = self._summary()
        return smallest - (2 + 8 / count) * (mean - smallest) / count - FIRST_GUARD / count**3

    def half(self) -> float:
        """Seconds that a request takes to arrive at best, so far as is known."""
        return self._summary()[0] / 2 if self.route.count else 0.0

    def uncertain(self) -> bool:
        """Whether requests are delayed by more than a meeting allows for."""
        smallest, mean, _ = self._summary()
        return mean - smallest > LEEWAY

    def guard(self, cost: float) -> float:
        """Seconds to leave between two requests, over the period, when nothing says how late the first one is.

        Where delays are exponential with mean m, the second overtakes a guard of g with probability exp(-g/m) / 2;
        with a refusal that costs ``cost`` seconds, m log(cost / 2m) is the guard that wastes least.
        """
        smallest, mean, _ = self._summary()
        delay = mean - smallest
        return delay * log(cost / (2 * delay)) if 0 < 2 * delay < cost else 0.0

    def _summary(self) -> tuple[float, float, int]:
        """Smallest and mean round trip in seconds, and of how many; there must have been one."""
        if len(self.seen) < MEMORY:
            return self.route.smallest, self.route.total / self.route.count, self.route.count
        return min(self.seen), sum(self.seen) / MEMORY, MEMORY

    def excess(self, round_trip: float, cap: float) -> float:
        """How much later than at best, in seconds, a request with this round trip may have arrived."""
        return min(max(0.0, round_trip - self.floor()), cap)


@dataclass(slots=True)
class Pace:
    """When the next attempt may leave; shared by gates that share one quota. Times are in seconds of the loop.

    ``turns`` are those that it takes among the processes of this machine, if it shares with them; ``tolerance`` is by
    how much SES is known to let requests come too early. On top of all that it believes stands the limiter, which every
    attempt passes right before it leaves.
    """

    base: float
    trips: RoundTrips
    turns: Turns | None = None
    tolerance: float = 0.0
    meetings: Meetings | None = None
    limiter: AsyncLimiter = field(init=False)
    due: float = 0.0
    turn: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(1, fast_acquire=True))
    under_way: dict[int, tuple[float, Step]] = field(default_factory=dict)
    news: News = field(default_factory=News)
    step: Step = Step.ALONE
    """What the next attempt is."""
    refused_in_a_row: int = 0
    _refused_since: float = -inf
    _taken_since: int = 0
    _ever_taken: bool = False
    _paid: float = -inf
    """Until when it has spent its share on meetings; minus infinity where the next one may cost what it will."""
    _wait: float = 0.0
    """Seconds by which the next attempt is later for a meeting."""
    _left: float = -inf
    _frame: float = 0.0
    """When our turn of this frame, or the next one's, begins."""
    _until_asked: int = 0
    _shift: float = 1.0
    _meetings: Meetings = field(init=False)

    def __post_init__(self) -> None:
        self.limiter = AsyncLimiter(1, self.base)
        self._meetings = self.meetings or Meetings(self.base)

    @property
    def period(self) -> float:
        """Seconds between two attempts on average, as of now."""
        if self.step in (Step.ALONE, Step.MEETING):
            return self.base
        return self._stride() * self._meetings.step if self.step is Step.KNOCK else FRAME / 2 * self.base

    @property
    def widened(self) -> bool:
        """Whether the period is longer than the base just now, since others use the quota."""
        return self.period > self.base

    def departed(self, passage: int, now: float) -> None:
        if self.step is Step.MEETING:
            self._paid = max(self._paid + self._wait / WORTH, now - SPARE / WORTH)
            if now - self.due > LEEWAY:  # it is missed: nothing was to be sent, or others had the processor or the turn
                self.step = Step.ALONE
        self.under_way[passage] = (now, self.step)
        # Where a round trip takes longer than a period, the next one leaves before the answer to this one.
        guard = self.trips.guard(self.base) if self.trips.floor() >= self.base else 0.0
        guard = max(0.0, guard - self.tolerance)
        self._left = now
        self.due = max(self.due, now + self.base + MARGIN + guard)
        self._follow(now)
        if self.turns is not None:
            self.turns.left(-guard)

    def _follow(self, now: float) -> None:
        """What comes after the attempt that leaves now, and when."""
        match self.step:
            case Step.ALONE | Step.MEETING:
                self.step = Step.ALONE
            case Step.KNOCK:
                self._knock()
            case Step.FIRST:
                if now - self._frame > self.base / 10:
                    self._frame = now  # there was nothing to send when its turn came
                self.step = Step.SECOND
            case Step.SECOND if self._until_asked <= 0:
                self._take(Step.ASK, self._frame + 0.75 * FRAME * self.base)
            case Step.SECOND | Step.ASK:
                self._until_asked -= self.step is Step.SECOND
                self._frame += FRAME * self.base
                self._take(Step.FIRST, self._frame)

    def _take(self, step: Step, at: float) -> None:
        self.step, self.due = step, max(self._left + self.base + MARGIN, at)

    def _stride(self) -> int:
        return min(RAREST, 1 << (max(0, self.refused_in_a_row - 1) // IN_A_ROUND))

    def _knock(self) -> None:
        if self.step is not Step.KNOCK:
            self.refused_in_a_row = 1  # what was refused before came at no meeting
        half, earliest = self.trips.half(), self._left + self.base + MARGIN
        at = self._meetings.after(earliest + half) + (self._stride() - 1) * self._meetings.step
        if self.refused_in_a_row > IN_A_ROUND + 1 and self.refused_in_a_row % 2:
            at += random.uniform(-4, 4) * LEEWAY  # noqa: S311  # clocks may not agree, or they do
        self._take(Step.KNOCK, at - half)

    def _share(self, frame: float, *, ask: bool) -> None:
        """Share the quota from now on, with the next turn at this loop time."""
        self.refused_in_a_row = 0
        self._frame, self._until_asked = frame, 0 if ask else ASK_AGAIN
        self._take(Step.FIRST, frame)

    def _meet(self) -> None:
        """Let a meeting go by before the next attempt, if one is close enough."""
        if self.meetings is None or self.step not in (Step.ALONE, Step.MEETING):
            return
        half = self.trips.half()
        late = LEEWAY if self._paid > -inf else MARGIN / 2  # the first time there is no time to spare before it
        at = self._meetings.after(self.due + half - late) + LEEWAY - half
        if at - self.due <= min(self._meetings.step - self.base + LEEWAY, (self.due - self._paid) * WORTH):
            self._wait = at - self.due + (self._wait if self.step is Step.MEETING else 0.0)
            self._take(Step.MEETING, at)
        else:
            self.step = Step.ALONE

    def returned(self, passage: int, now: float, *, answered: bool) -> float:
        """Account for the end of one attempt; gives the latest moment at which it can have arrived, in loop time.

        Only an answer says how long a round trip takes. A loss that is noticed says as well when it was over.
        """
        left, _ = self.under_way.pop(passage)
        if answered:
            self.trips.add(now - left)
        late = self.trips.excess(now - left, cap=self.base)
        too_late = max(0.0, late - self.tolerance)
        self.due = max(self.due, left + self.base + too_late + MARGIN)
        self._meet()
        if self.turns is not None:
            self.turns.left(now - left - too_late)
        self.news.tell()
        return left + late

    def overdue_until(self, now: float) -> float:
        """Until when to wait for an answer that is late, in loop time; ``now`` or less if there is none.

        A request whose answer is overdue may not have arrived yet, so that the next could come too close to it.
        Waiting longer than one period is never worth it: a refusal costs no more.
        """
        if not self.under_way or self.trips.floor() >= self.base:
            return now  # round trips of over a period are this route's normal state: several are under way at once
        return max(left for left, _ in self.under_way.values()) + 2 * self.base

    def refused(self, left: float, step: Step) -> None:
        """Take in that an attempt that left then was refused.

        One refusal is an unlucky delay. One at a meeting, two in a row, one of the very first attempt, or one now and
        again after some that were taken mean that somebody else uses the quota.
        """
        self.refused_in_a_row += 1
        taken, self._taken_since = self._taken_since, 0
        again = taken > 1 and left - self._refused_since < OFTEN * self.base and not self.trips.uncertain()
        if self.refused_in_a_row == 1:
            self._refused_since = left
        if step is Step.ALONE and taken and self._came_to_a_meeting(left):
            step = Step.MEETING
        match self.step:
            case Step.ALONE | Step.MEETING if step is Step.MEETING:  # the other one's turn has begun just then
                self._share(left - LEEWAY + FRAME / 2 * self.base, ask=self.trips.uncertain())
            case Step.ALONE | Step.MEETING if self.refused_in_a_row >= 2 and not self.trips.uncertain():
                self._knock()
            case Step.ALONE | Step.MEETING if self._ever_taken and self.refused_in_a_row >= 2:
                self._share(self._refused_since + FRAME / 2 * self.base, ask=True)
                self.refused_in_a_row = 1
            case Step.ALONE | Step.MEETING if again:
                self._share(left + self.base, ask=False)  # which is when it is tried again
            case Step.ALONE | Step.MEETING if self._ever_taken:
                pass
            case Step.ALONE | Step.MEETING | Step.KNOCK:
                self._knock()
            case _ if step is Step.ASK:
                self._until_asked, self.refused_in_a_row = ASK_AGAIN, 0
            case _ if self.refused_in_a_row >= 2:
                self._knock()
            case _ if step is Step.FIRST:
                self._make_way()

    def _came_to_a_meeting(self, left: float) -> bool:
        """Whether an attempt that left then came by chance when its host lets others in, but not as one who knocks."""
        arrived = left + self.trips.half()
        return self.meetings is not None and self._meetings.after(arrived - LEEWAY) <= arrived - MARGIN / 4

    def _make_way(self) -> None:
        """The other one's turn reaches into ours: a period later, and by half as much if that was too far."""
        if self._shift >= 1 and self.step is Step.SECOND:
            self._take(Step.FIRST, self._left)
            self._frame = self.due
        else:
            self._frame += self._shift * self.base
        self._shift /= 2

    def settle(self) -> None:
        """Forget what was refused: it is known what it came from."""
        self.step, self.refused_in_a_row = Step.ALONE, 0

    def taken(self, left: float, step: Step) -> None:
        """Take in that SES did not refuse an attempt that left then."""
        self.refused_in_a_row, self._ever_taken = 0, True
        self._taken_since += 1
        if self.step is Step.KNOCK:
            self._frame, self._until_asked = left, 0
            self._take(Step.SECOND, left)
        elif step is Step.FIRST:
            self._shift = min(1.0, self._shift * 1.3)
        elif step is Step.ASK:
            self._paid = left - SPARE / WORTH
            self._take(Step.ALONE, left)
