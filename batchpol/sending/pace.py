"""The pace of a gate: when the next attempt may leave, by what came back of those before it.

SES's limit holds at its door, not at ours: a request that the network delays makes its successor arrive early.
What we know after an answer is the *latest* moment at which the request can have arrived, so the next one leaves
no earlier than a period after that moment::

    next departure >= departure + period + (round trip - smallest round trip seen lately)

Waiting asks the running loop's clock only, in seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf, log

import anyio
from aiolimiter import AsyncLimiter

from batchpol.sending.news import News
from batchpol.sending.sharing import Turns

MARGIN = 0.002
"""Seconds added to every period: timers and clocks are not exact to the microsecond, and a refusal costs 1 s."""

FIRST_GUARD = 0.02
"""Seconds of prudence after the very first attempt, shared out over the next ones as 1/n: one sample of the
round trip says nothing about how much of it was delay."""

MEMORY = 30
"""Round trips remembered for the smallest one: few enough to follow a change of route in half a minute."""

WIDEN, NARROW, WIDEST = 1.5, 1.25, 4.0
"""Factors by which the period grows when others use the quota and shrinks again, and its bound in seconds."""

CLEAR_AIR = 3
"""Attempts in a row that SES took before a widened period is narrowed by one step."""


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
        exponential; twice that is taken off, since being wrong costs a refusal, that is a second.
        """
        if not self.route.count:
            return 0.0
        smallest, mean, count = self._summary()
        return smallest - (2 * (mean - smallest) + FIRST_GUARD) / count

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
    period: float = field(init=False)
    limiter: AsyncLimiter = field(init=False)
    due: float = 0.0
    turn: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(1))
    under_way: dict[int, float] = field(default_factory=dict)
    news: News = field(default_factory=News)
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=5))
    taken_in_a_row: int = 0

    def __post_init__(self) -> None:
        self.period, self.limiter = self.base, AsyncLimiter(1, self.base)

    def departed(self, passage: int, now: float) -> None:
        self.under_way[passage] = now
        # Where a round trip takes longer than a period, the next one leaves before the answer to this one.
        guard = self.trips.guard(self.base) if self.trips.floor() >= self.period else 0.0
        guard = max(0.0, guard - self.tolerance)
        self.due = max(self.due, now + self.period + MARGIN + guard)
        if self.turns is not None:
            self.turns.left(-guard)

    def returned(self, passage: int, now: float, *, answered: bool) -> float:
        """Account for the end of one attempt; gives the latest moment at which it can have arrived, in loop time.

        Only an answer says how long a round trip takes. A loss that is noticed says as well when it was over.
        """
        left = self.under_way.pop(passage)
        if answered:
            self.trips.add(now - left)
        late = self.trips.excess(now - left, cap=self.base)
        too_late = max(0.0, late - self.tolerance)
        self.due = max(self.due, left + self.period + too_late + MARGIN)
        if self.turns is not None:
            self.turns.left(now - left - too_late)
        self.news.tell()
        return left + late

    def overdue_until(self, now: float) -> float:
        """Until when to wait for an answer that is late, in loop time; ``now`` or less if there is none.

        A request whose answer is overdue may not have arrived yet, so that the next could come too close to it.
        Waiting longer than one period is never worth it: a refusal costs no more.
        """
        if not self.under_way or self.trips.floor() >= self.period:
            return now  # round trips of over a period are this route's normal state: several are under way at once
        return max(self.under_way.values()) + self.period + self.base

    def refused(self) -> None:
        """Count a refusal, and widen the period when they repeat.

        One refusal is an unlucky delay. Two in a row, or three in five, mean that somebody else uses the quota.
        """
        in_a_row = bool(self.recent) and self.recent[-1]
        self.taken_in_a_row = 0
        self.recent.append(True)
        if in_a_row or sum(self.recent) >= 3:
            self.recent.clear()
            self.period = min(max(WIDEST, self.base), self.period * WIDEN)

    def settle(self) -> None:
        """Forget what was refused: it is known what it came from."""
        self.period = self.base
        self.recent.clear()

    def taken(self) -> None:
        """Count an attempt that SES did not refuse; enough of them in a row narrow a widened period by a step."""
        self.recent.append(False)
        self.taken_in_a_row += 1
        if self.taken_in_a_row >= CLEAR_AIR:
            self.taken_in_a_row = 0
            self.period = max(self.base, self.period / NARROW)
