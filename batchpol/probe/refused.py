"""Do refused requests take from the limit, those that came too fast, and those that are refused for what they ask?

For the second kind, two more Puts of no policy at all than the burst has leave at the same time: if they count, as many
as the burst has are refused for what they say, and the others as too fast; if not, all are refused for what they say.
For the first kind the burst is used up, and a Put follows every 0.4 s: if refusals count, none is ever let in, since
each begins the wait anew; else one is, each second. Both are repeated until one answer is sure.

After a refusal, batchpol waits a whole period in either case; where refusals count, less would never help.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import anyio

from batchpol.facts import Told
from batchpol.probe.asking import Asker, Reaction, passed, spread
from batchpol.probe.burst import ROUNDS, TOGETHER
from batchpol.probe.odds import Odds
from batchpol.probe.place import PREFIX, Call
from batchpol.probe.question import Question, cannot_tell, told_of

EVERY, SINGLES = 0.4, 7


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    burst = known.get("burst")
    if burst is None:
        return cannot_tell("refused_count", "throttled_count", why="the burst is not known")
    put = asker.place.put(PREFIX + "01")
    refused, throttled = Odds([True, False]), Odds([True, False])
    bad = asker.place.put(PREFIX + "01", '{"Version":"2012-10-17"}')
    for _ in range(ROUNDS):
        replies = await asker.volley(*[bad] * (burst + 2), quiet=burst + 4)
        least, most = passed(replies)
        if spread(bad, replies, asker) < TOGETHER:
            refused.saw(counts for counts in (True, False) if not least <= burst + 2 * (not counts) <= most)
        if refused.answer is not None:
            break
    for _ in range(ROUNDS):
        await _follow(asker, put, burst, throttled)
        if throttled.answer is not None:
            break
    await asker.quiet(burst + 2)
    return told_of(
        _said("refused for what it asks", refused.answer),
        _said("refused as too fast", throttled.answer),
        confidence=min(refused.confidence, throttled.confidence),
        refused_count=refused.answer,
        throttled_count=throttled.answer,
    )


def _said(how: str, counts: bool | None) -> str:
    if counts is None:
        return f"cannot tell whether a request that is {how} takes from the limit"
    return f"a request that is {how} takes {'from' if counts else 'nothing from'} the limit"


async def _follow(asker: Asker, put: Call, burst: int, odds: Odds[bool]) -> None:
    """Use up the burst and go on asking too fast."""
    await asker.quiet(burst + 4)
    began = anyio.current_time()
    first = [partial(asker.now, put)] * (burst + 1)
    replies = await asker.together(
        *first, *(partial(asker.at, began + EVERY * number, put) for number in range(1, SINGLES + 1))
    )
    answered = [it for it in replies if it.reaction is not Reaction.NOTHING]
    longest = max(
        asker.arrived(put, later)[1] - asker.arrived(put, earlier)[0] for earlier, later in pairwise(answered)
    )
    if longest < TOGETHER and passed(replies[: burst + 1])[1] >= burst:
        least, most = passed(replies)
        odds.saw(counts for counts in (True, False) if (least > burst if counts else most <= burst))


QUESTION = Question(
    "refused", "do refused requests take from the limit", "how long to wait after a refusal", 36, 50, ask, ("burst",)
)
