"""One question: what is asked, what leans on it, what it costs, and the coroutine that asks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from batchpol.facts import Told
from batchpol.probe.asking import Asker, Reply


class Question(NamedTuple):
    """A question by its name.

    ``requests`` and ``seconds`` are what it usually takes. ``ask`` is given what is known so far; ``needs`` are the
    questions whose answers it builds on, asked before it even where only this one was asked for.
    """

    name: str
    asks: str
    matters: str
    requests: int
    seconds: int
    ask: Callable[[Asker, Mapping[str, Any]], Awaitable[Told]]
    needs: tuple[str, ...] = ()


def cannot_tell(*names: str, why: str) -> Told:
    """The answer where there is none."""
    return Told(open=names, says=(f"cannot tell: {why}",))


def told_of(*says: str, confidence: float | None = None, **found: Any) -> Told:
    """An answer in words and in facts, of which those that are None are open."""
    return Told(
        known={name: it for name, it in found.items() if it is not None},
        open=tuple(name for name, it in found.items() if it is None),
        confidence=confidence,
        says=says,
    )


def weighed(doubts: Mapping[str, Reply], told: Told) -> Told:
    """An answer with what came of doubtful things besides, by name; refusals in SES's own words."""
    taken, refused, opened = (
        [name for name, it in doubts.items() if it.taken is wanted] for wanted in (True, False, None)
    )
    says = [f"{words}: {', '.join(names)}" for words, names in (("taken", taken), ("cannot tell", opened)) if names]
    says += [f"refused: {name} ({doubts[name].code}: {doubts[name].text})" for name in refused]
    return msgspec.structs.replace(
        told,
        known=told.known | {"accepted": taken, "refused": refused},
        open=(*told.open, *opened),
        says=(*told.says, *says),
    )
