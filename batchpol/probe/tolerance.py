"""By how many milliseconds may a request come too early?

The burst is used up, and one more Put is sent so that it arrives a certain time before it may. When requests arrive is
known only within what their round trips took longer than the quickest one, so each answer bounds the tolerance from one
side: taken, it is at least so much; refused, it is less. What lies between the bounds is halved again and again, until
it is 12 ms wide, or a number of attempts is over. A bound counts once a second observation supports it. Whoever is late
to send or to hear the answer, on a busy machine, makes bounds wider and never wrong, and it takes more attempts.

The lower bound is what batchpol uses: with it, a request that a slow network may have delayed needs no prudence behind
it up to that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchpol.facts import Told
from batchpol.probe.asking import Asker, Reaction
from batchpol.probe.odds import SURE, Odds
from batchpol.probe.place import PREFIX, Call
from batchpol.probe.question import Question, cannot_tell, told_of

MOST, NEAR, WIDEST = 400, 12, 50
"""Milliseconds: the largest tolerance looked for, a bracket that will do, and the widest one that says something."""

ATTEMPTS, COPIES = 100, 4


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    burst = known.get("burst")
    if burst is None:
        return cannot_tell("tolerance_ms", why="the burst is not known")
    copies = COPIES if known.get("throttled_count") is False else 1
    odds, put = Odds(range(MOST)), asker.place.put(PREFIX + "01")
    for number in range(ATTEMPTS):
        await _attempt(asker, put, burst, copies, odds, early=number % 2 == 0)
        if odds.likely[-1] - odds.likely[0] <= NEAR:
            break
    await asker.quiet(burst + 2)
    least, below = odds.likely[0], odds.likely[-1] + 1
    if below - least > WIDEST or odds.nothing_fits:
        return cannot_tell("tolerance_ms", why=f"something from {least} to {below} ms")
    says = (
        f"a request may come {least} ms too early, and not {below}" if least else f"none may come {below} ms too early"
    )
    return told_of(says, confidence=SURE, tolerance_ms=float(least), tolerance_below_ms=float(below))


async def _attempt(asker: Asker, put: Call, burst: int, copies: int, odds: Odds[int], *, early: bool) -> None:
    """Use up the burst, and send what comes about as much too early as is to be found out."""
    first = await asker.volley(*[put] * (burst if copies == 1 else burst + copies - 1), quiet=burst + 1.5)
    taken = [reply.left for reply in first if reply.reaction is Reaction.TAKEN]
    if len(taken) != burst or any(reply.reaction is Reaction.NOTHING for reply in first):
        return
    bucket = min(taken), min(asker.arrived(put, reply)[1] for reply in first)  # who is refused came after it
    aim = (odds.likely[0] + odds.likely[-1]) / 2000
    leaves = bucket[not early] + 1 - aim
    if leaves < first[0].back:
        return
    replies = await asker.together(*[lambda: asker.at(leaves, put)] * (copies if early else 1))
    fates = {reply.reaction: reply for reply in sorted(replies, key=lambda it: it.left)}
    if reply := fates.get(Reaction.TAKEN):  # the others came too late for it
        least = 1000 * (bucket[0] + 1 - asker.arrived(put, reply)[1])
        odds.saw(it for it in odds.against if it + 1 <= least)
    elif (reply := fates.get(Reaction.THROTTLED)) and Reaction.NOTHING not in fates:
        below = 1000 * (bucket[1] + 1 - reply.left)
        odds.saw(it for it in odds.against if it >= below)


QUESTION = Question(
    "tolerance",
    "by how many milliseconds may a request come too early",
    "how prudent the pace is about delays",
    80,
    90,
    ask,
    ("burst", "refused"),
)
