"""How many requests may come at once after a pause.

Eight Puts leave at the same time, after ten seconds of quiet; as many as come past the limit are the burst (sixteen,
where all eight do). They all have to arrive within less than a second, or another one is let in. It is repeated until
one number is sure; with an answer that got lost, several numbers fit.

Batchpol sends one a second whatever this is: the burst tells the other questions what to expect, and the sandbox what
to be like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchpol.facts import Told
from batchpol.probe.asking import Asker, passed, spread
from batchpol.probe.odds import Odds
from batchpol.probe.place import PREFIX
from batchpol.probe.question import Question, cannot_tell, told_of

SIZES = (8, 16, 32)
ROUNDS = 8
TOGETHER = 0.85
"""Seconds within which requests must arrive for none to be let in because time has passed."""


async def ask(asker: Asker, known: Mapping[str, Any]) -> Told:
    put = asker.place.put(PREFIX + "01")
    for size in SIZES:
        odds = Odds(range(1, size + 1))
        for _ in range(ROUNDS):
            replies = await asker.volley(*[put] * size, quiet=size + 2)
            least, most = passed(replies)
            if spread(put, replies, asker) < TOGETHER:
                odds.saw(it for it in odds.against if not least <= it <= most)
            if odds.answer is not None:
                break
        if odds.answer is None:
            return cannot_tell("burst", why=f"of {size} at once, another number came through each time")
        if odds.answer < size:
            says = f"{odds.answer} at once are let in after a pause" if odds.answer > 1 else "there is no burst"
            return told_of(says, confidence=odds.confidence, burst=odds.answer)
    return cannot_tell("burst", why=f"all of {size} at once were let in")


QUESTION = Question(
    "burst", "how many requests may come at once after a pause", "what the questions about timing expect", 24, 40, ask
)
