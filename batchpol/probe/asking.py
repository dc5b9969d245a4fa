"""Asking SES as the questions want it: one request a second, or several at once, and what came of each, and when.

All operations pass one gate, so that nothing is refused as too fast except where a question wants to know just that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

import anyio

from batchpol.model.errors import AccessRefused, PolicyRefused, SesError, Throttled
from batchpol.probe.place import Call, Place
from batchpol.sending.gate import Gate

PUTS = frozenset({"PutIdentityPolicy", "CreateEmailIdentityPolicy", "UpdateEmailIdentityPolicy"})

TRIES = 12
"""Attempts that one request is worth that is not answered."""

DENIED = 4
"""Answers in a row that an operation is not allowed, after which that is believed."""

Send = Callable[[str, Mapping[str, Any], Callable[[], None]], Awaitable[Mapping[str, Any]]]
"""One attempt: an operation, its arguments, and what to call when the request leaves. Raises SesError."""


class Reaction(StrEnum):
    """What came of one request."""

    TAKEN = "taken"
    REFUSED = "refused"
    THROTTLED = "throttled"
    NOTHING = "nothing"
    """Nobody knows: no answer, or one that says nothing of what was asked."""


class Reply(NamedTuple):
    """One request: when it left and was answered, in seconds of the loop, and the reaction to it."""

    left: float
    back: float
    reaction: Reaction
    code: str = ""
    text: str = ""
    answer: Mapping[str, Any] = {}

    @property
    def passed(self) -> bool:
        """Whether it surely came past the limit."""
        return self.reaction in (Reaction.TAKEN, Reaction.REFUSED)

    @property
    def taken(self) -> bool | None:
        """Whether SES took it; None where that is not known."""
        return self.reaction is Reaction.TAKEN if self.passed else None


@dataclass(slots=True)
class Asker:
    """Who asks one SES, for one probe.

    Attributes:
        requests: how many were made.
        made: identities and names of policies that may be there because of this.
        there: those of them that are.
    """

    send: Send
    place: Place
    gate: Gate = field(default_factory=Gate)
    requests: int = 0
    made: dict[tuple[str, str], None] = field(default_factory=dict)
    there: set[tuple[str, str]] = field(default_factory=set)
    _last: float = 0.0
    _trips: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _denied: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def paced(self, call: Call) -> Reply:
        """One attempt, a second after the one before."""
        passage = await self.gate.approach()
        reply = None
        try:
            await passage.admit()
            reply = await self.now(call, passage.departed)
        finally:
            answered = reply is not None and reply.reaction is not Reaction.NOTHING
            passage.ended(answered=answered, refused=reply is not None and reply.reaction is Reaction.THROTTLED)
        return reply

    async def told(self, call: Call) -> Reply:
        """One request, tried until it is sure what SES makes of it: taken once is taken, and refused is what is refused
        three times in the same words, since anybody can be refused once by mistake."""
        refusals: Counter[tuple[str, str]] = Counter()
        for _ in range(TRIES):
            reply = await self.paced(call)
            if reply.reaction is Reaction.REFUSED:
                refusals[reply.code, reply.text] += 1
            if reply.reaction is Reaction.TAKEN or refusals[reply.code, reply.text] == 3:
                return reply
        return reply._replace(reaction=Reaction.NOTHING)

    async def volley(self, *calls: Call, quiet: float) -> list[Reply]:
        """Several at once, after so many seconds of quiet."""
        await self.quiet(quiet)
        return await self.together(*(partial(self.now, call) for call in calls))

    async def together(self, *asks: Callable[[], Awaitable[Reply]]) -> list[Reply]:
        """What these come to, which go on at the same time."""
        replies: dict[int, Reply] = {}

        async def one(number: int, ask: Callable[[], Awaitable[Reply]]) -> None:
            replies[number] = await ask()

        async with anyio.create_task_group() as tasks:
            for number, ask in enumerate(asks):
                tasks.start_soon(one, number, ask)
        self.gate.hold(anyio.current_time() + self.gate.period)
        return [replies[number] for number in range(len(asks))]

    async def at(self, when: float, call: Call) -> Reply:
        """One that leaves at this time of the loop."""
        await anyio.sleep_until(when)
        return await self.now(call)

    async def quiet(self, seconds: float) -> None:
        """Let so many seconds pass since the last answer."""
        await anyio.sleep_until(self._last + seconds)

    async def now(self, call: Call, departed: Callable[[], None] = lambda: None) -> Reply:
        """One attempt, at once."""
        self.requests += 1
        operation, arguments = call
        policy = arguments.get("Identity", self.place.identity), arguments.get("PolicyName", "")
        if operation in PUTS:
            self.made[policy] = None
        left = anyio.current_time()

        def leaves() -> None:
            nonlocal left
            left = anyio.current_time()
            departed()

        answer: Mapping[str, Any] = {}
        error: SesError | None = None
        try:
            answer = await self.send(operation, arguments, leaves)
        except SesError as refusal:
            error = refusal
        self._last = back = anyio.current_time()
        reaction = _reaction(error)
        self._denied[operation] = self._denied[operation] + 1 if isinstance(error, AccessRefused) else 0
        if error is not None and self._denied[operation] >= DENIED:
            raise error
        if reaction is not Reaction.NOTHING:
            self._trips[operation].append(back - left)
        if reaction is Reaction.TAKEN and operation in PUTS:
            self.there.add(policy)
        elif reaction is Reaction.TAKEN and operation == "DeleteIdentityPolicy":
            self.made.pop(policy, None)
            self.there.discard(policy)
        return Reply(left, back, reaction, error.code if error else "", str(error or ""), answer)

    def arrived(self, call: Call, reply: Reply) -> tuple[float, float]:
        """Between which times it arrived at SES's door, on a clock that is behind by the quickest way there.

        What a round trip took more than the quickest one may have been lost on either way. The quickest of n is not
        the quickest there is, but above it by some n-th of what others take more.
        """
        trips = self._trips[call.operation]
        quickest = min(trips)
        unseen = 5 * (sum(trips) / len(trips) - quickest) / len(trips)
        return reply.left, reply.back - quickest + unseen


def _reaction(error: SesError | None) -> Reaction:
    if error is None:
        return Reaction.TAKEN
    if isinstance(error, Throttled):
        return Reaction.THROTTLED
    return Reaction.REFUSED if isinstance(error, PolicyRefused) else Reaction.NOTHING


def spread(call: Call, replies: list[Reply], asker: Asker) -> float:
    """Within how many seconds they all arrived, at most."""
    arrivals = [asker.arrived(call, reply) for reply in replies if reply.reaction is not Reaction.NOTHING]
    return max(latest for _, latest in arrivals) - min(earliest for earliest, _ in arrivals) if arrivals else 0.0


def passed(replies: list[Reply]) -> tuple[int, int]:
    """How many came past the limit, at least and at most."""
    sure = sum(reply.passed for reply in replies)
    return sure, sure + sum(reply.reaction is Reaction.NOTHING for reply in replies)
