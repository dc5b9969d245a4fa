"""Is the limit one for each operation, or one for all; and do the two APIs of SES share it?

Of two operations, two more each than the burst has leave at the same time. If they have one limit, as many as the burst
has are let in of both together; if each has its own, as many of the first, and some of the second. It is repeated for
each pair until one answer is sure. Puts are asked for against Gets, Lists and Deletes, and Put and Get against what
SESv2 has for them.

With one limit, batchpol lets reads and writes take turns from the first request on, instead of finding out by being
refused; SESv2 is what other programs use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchpol.facts import Told
from batchpol.model.errors import AccessRefused
from batchpol.probe.asking import Asker, passed, spread
from batchpol.probe.burst import ROUNDS, TOGETHER
from batchpol.probe.odds import Odds
from batchpol.probe.place import PREFIX, Call
from batchpol.probe.question import Question, cannot_tell

NAMES = ("shared_quota", "v2_shares_quota")


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    burst, place = known.get("burst"), asker.place
    if burst is None:
        return cannot_tell(*NAMES, why="the burst is not known")
    put, get = place.put(PREFIX + "01"), place.policies(PREFIX + "01")
    here = {"EmailIdentity": place.identity}
    get_v2 = Call("GetEmailIdentityPolicies", here)
    update = Call("UpdateEmailIdentityPolicy", here | {"PolicyName": PREFIX + "01", "Policy": place.document()})
    pairs = {
        "shared_quota": [(put, get), (put, place.names()), (put, place.delete(PREFIX + "none"))],
        "v2_shares_quota": [(get, get_v2), (put, update)],
    }
    found, says, confidence = dict[str, bool](), list[str](), 1.0
    for name, of_one in pairs.items():
        answers = list[bool | None]()
        for pair in of_one:
            try:
                odds = await _of_pair(asker, burst, *pair)
            except AccessRefused as error:
                says.append(f"cannot tell of {pair[1].operation}: {error}")
                answers.append(None)
                continue
            answers.append(odds.answer)
            if odds.answer is None:
                says.append(f"cannot tell whether {pair[0].operation} and {pair[1].operation} have one limit")
                continue
            confidence = min(confidence, odds.confidence)
            how = "have one limit" if odds.answer else "have a limit each"
            says.append(f"{pair[0].operation} and {pair[1].operation} {how}")
        if None not in answers and len(set(answers)) == 1:
            found[name] = bool(answers[0])
    opened = tuple(name for name in NAMES if name not in found)
    return Told(known=found, open=opened, confidence=confidence, says=tuple(says))


async def _of_pair(asker: Asker, burst: int, one: Call, other: Call) -> Odds[bool]:
    """Whether two operations have one limit."""
    odds = Odds([True, False])
    for _ in range(ROUNDS):
        size = burst + 2
        replies = await asker.volley(*[one, other] * size, quiet=burst + 3)
        of_one, of_other = passed(replies[::2]), passed(replies[1::2])
        within = max(spread(one, replies[::2], asker), spread(other, replies[1::2], asker))
        if within < TOGETHER:
            together = of_one[0] + of_other[0] <= burst <= of_one[1] + of_other[1]
            apart = of_one[0] <= burst <= of_one[1] and of_other[1] >= 1
            odds.saw(shared for shared in (True, False) if not (together if shared else apart))
        if odds.answer is not None:
            break
    await asker.quiet(burst + 2)
    return odds


QUESTION = Question(
    "quota",
    "one limit for each operation or one for all, and for both of SES's APIs",
    "whether reads and writes of a run take turns",
    90,
    80,
    ask,
    ("burst",),
)
