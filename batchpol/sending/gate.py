"""The gate: what every attempt passes, so that SES is asked no more than once a second.

SES's limit holds at its door, not at ours: a request that the network delays makes its successor arrive early.
What we know after an answer is the *latest* moment at which the request can have arrived, so the next one leaves
no earlier than a period after that moment::

    next departure >= departure + period + (round trip - smallest round trip seen lately)

On top of that pacing stands one ``AsyncLimiter(1, period)``: whatever the pacing believes, no more than one
attempt a period leaves. A gate belongs to one target and one operation; :meth:`Gate.join` makes two gates one.

Waiting asks the running loop's clock only, in seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf, log

import anyio
from aiolimiter import AsyncLimiter

from batchpol.model.settings import PERIOD

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


EVIDENCE = 2
"""Refusals right after a request of another kind that make the operations of a target share one gate."""


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
    """When the next attempt may leave; shared by gates that share one quota."""

    base: float
    limiter: AsyncLimiter
    period: float
    due: float = 0.0
    turn: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(1))
    trips: RoundTrips = field(default_factory=RoundTrips)
    under_way: dict[int, float] = field(default_factory=dict)
    news: anyio.Event = field(default_factory=anyio.Event)
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=5))
    taken_in_a_row: int = 0
    last_left: float = float("-inf")

    def departed(self, passage: int, now: float) -> None:
        self.under_way[passage] = self.last_left = now
        # Where a round trip takes longer than a period, the next one leaves before the answer to this one.
        guard = self.trips.guard(self.base) if self.trips.floor() >= self.period else 0.0
        self.due = max(self.due, now + self.period + MARGIN + guard)

    def returned(self, passage: int, now: float, *, answered: bool) -> None:
        """Account for the end of one attempt; only an answer says something about the round trip."""
        left = self.under_way.pop(passage, None)
        if left is not None and answered:
            self.trips.add(now - left)
            late = self.trips.excess(now - left, cap=self.base)
            self.due = max(self.due, left + self.period + late + MARGIN)
        self.news.set()
        self.news = anyio.Event()

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

    def taken(self) -> None:
        """Count an attempt that SES did not refuse; enough of them in a row narrow a widened period by a step."""
        self.recent.append(False)
        self.taken_in_a_row += 1
        if self.taken_in_a_row >= CLEAR_AIR:
            self.taken_in_a_row = 0
            self.period = max(self.base, self.period / NARROW)


class Passage:
    """One attempt on its way through a gate: approach, admit, departed, then exactly one of the endings."""

    __slots__ = ("_gate", "_holds_turn", "_pace")

    def __init__(self, gate: Gate, pace: Pace) -> None:
        self._gate, self._pace, self._holds_turn = gate, pace, True

    async def admit(self) -> None:
        """Wait for the last stretch and pass the limiter; nothing but signing may follow before the wire."""
        pace = self._pace
        while (wait := pace.due - anyio.current_time()) > 0:
            await anyio.sleep(wait)
        await pace.limiter.acquire()

    def departed(self) -> None:
        """The request is being handed to the network now."""
        self._pace.departed(id(self), anyio.current_time())
        self._give_up_turn()

    def ended(self, *, answered: bool = True, refused: bool = False) -> None:
        """The attempt is over: ``answered`` says a response came, ``refused`` that it said too fast.

        Safe to call for a passage that never departed, and more than once.
        """
        if id(self) in self._pace.under_way:
            self._pace.returned(id(self), anyio.current_time(), answered=answered)
            if answered:
                self._gate._count(self._pace, refused=refused)
        self._give_up_turn()

    def _give_up_turn(self) -> None:
        if self._holds_turn:
            self._holds_turn = False
            self._pace.turn.release()


class Gate:
    """The rate limiter of one target and operation.

    Args:
        period: seconds between two attempts (1 unless the account's quota is known to differ).
        route: what all gates of this operation in one Region have seen so far; a new one unless given.
    """

    def __init__(self, period: float = PERIOD, *, route: Route | None = None) -> None:
        self.route = route or Route()
        limiter, trips = AsyncLimiter(1, period), RoundTrips(self.route)
        self._pace = Pace(base=period, limiter=limiter, period=period, trips=trips)

    @property
    def widened(self) -> bool:
        """Whether the period is longer than the base just now, since others use the quota."""
        return self._pace.period > self._pace.base

    @property
    def period(self) -> float:
        """Seconds between two attempts as of now: the base, or more while others use the quota."""
        return self._pace.period

    @property
    def last_departure(self) -> float:
        """Loop time at which the last attempt left, in seconds; minus infinity before the first."""
        return self._pace.last_left

    def hold(self, until: float) -> None:
        """Let nothing leave before this loop time, in seconds."""
        self._pace.due = max(self._pace.due, until)

    def join(self, other: Gate) -> None:
        """Share ``other``'s pace from the next attempt on: the two operations have one quota."""
        mine, theirs = self._pace, other._pace
        if mine is theirs:
            return
        theirs.due = max(theirs.due, mine.due)
        theirs.last_left = max(theirs.last_left, mine.last_left)
        theirs.period = theirs.base
        theirs.recent.clear()
        self._pace = theirs

    async def approach(self, lead: float = 0.0) -> Passage:
        """Wait, in order of asking, until ``lead`` seconds before the next attempt may leave.

        What comes between this and :meth:`Passage.admit` (the journal's intent, say) costs no time as long as it
        takes less than ``lead`` seconds. The passage holds the turn until it departed or ended.
        """
        while True:
            pace = self._pace
            await pace.turn.acquire()
            if pace is self._pace:  # joined to another while it waited: queue there
                break
            pace.turn.release()
        try:
            await self._await_due(pace, lead)
        except BaseException:
            pace.turn.release()
            raise
        return Passage(self, pace)

    async def _await_due(self, pace: Pace, lead: float) -> None:
        while (wait := pace.due - lead - anyio.current_time()) > 0:
            await anyio.sleep(wait)
        while (wait := pace.overdue_until(anyio.current_time()) - anyio.current_time()) > 0:
            with anyio.move_on_after(wait):
                await pace.news.wait()
            while (rest := pace.due - lead - anyio.current_time()) > 0:
                await anyio.sleep(rest)

    def _count(self, pace: Pace, *, refused: bool) -> None:
        if refused:
            pace.refused()
        else:
            pace.taken()


@dataclass(slots=True)
class Gates:
    """The gates of one target, one an operation: writing (puts and deletes together), reading policies, listing
    their names, looking identities up, and listing identities."""

    writes: Gate
    reads: Gate
    lists: Gate
    look_ups: Gate
    identities: Gate
    evidence: int = 0
    joined: bool = False

    @classmethod
    def at(cls, period: float = PERIOD, *, shared: bool = False, like: Gates | None = None) -> Gates:
        """Gates of ``period`` seconds.

        ``shared`` if all operations have one quota. ``like`` are gates of another target in the same Region: what
        they know of the way there is shared.
        """
        routes = [gate.route for gate in like._all()] if like else [Route() for _ in range(5)]
        writes, reads, lists, look_ups, identities = (Gate(period, route=route) for route in routes)
        gates = cls(writes, reads, lists, look_ups, identities)
        if shared:
            gates.join()
        return gates

    def join(self) -> None:
        """Make one quota of all of them."""
        for gate in self._all():
            gate.join(self.writes)
        self.joined = True

    def hold(self, until: float) -> None:
        """Let nothing leave before this loop time, in seconds: somebody before us asked for something just now."""
        for gate in self._all():
            gate.hold(until)

    def refused(self, by: Gate, departure: float) -> bool:
        """Weigh a refusal of an attempt that left at ``departure`` (loop time); true when it joined the gates.

        A refusal right after a request of another kind speaks for one quota for both.
        """
        others = (gate for gate in self._all() if gate is not by)
        recently = any(departure - by.period < other.last_departure <= departure for other in others)
        if self.joined or not recently:
            return False
        self.evidence += 1
        if self.evidence >= EVIDENCE:
            self.join()
        return self.joined

    def _all(self) -> tuple[Gate, ...]:
        return self.writes, self.reads, self.lists, self.look_ups, self.identities
