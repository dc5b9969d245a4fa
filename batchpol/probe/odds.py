"""Telling an answer from noise: hypotheses, and how many observations speak against each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

H = TypeVar("H")

WRONG = 0.03
"""The share of observations that are believed to be wrong: refused for another reason, or somebody else's doing."""

SURE = 0.999
"""How sure an answer is to be; one that is less sure is no answer."""


class Odds(Generic[H]):
    """Which of some hypotheses holds.

    All are as likely at the beginning. Each observation makes those that it speaks against :data:`WRONG` times as
    likely as the others (Bayes' rule, for observations of which that share is wrong).
    """

    def __init__(self, hypotheses: Iterable[H]) -> None:
        self.against = dict.fromkeys(hypotheses, 0)
        self.seen = 0

    def saw(self, against: Iterable[H]) -> None:
        """Take in an observation that speaks against these."""
        self.seen += 1
        for it in set(against):
            self.against[it] += 1

    @property
    def confidence(self) -> float:
        """How likely the likeliest is."""
        least = min(self.against.values())
        return 1 / sum(WRONG ** (count - least) for count in self.against.values())

    @property
    def answer(self) -> H | None:
        """The one that is sure, None if none is, or if observations spoke against each of them again and again."""
        return None if self.confidence < SURE or self.nothing_fits else min(self.against, key=self.against.__getitem__)

    @property
    def likely(self) -> list[H]:
        """Those that are not a thousand times less likely than the likeliest."""
        least = min(self.against.values())
        return [it for it, count in self.against.items() if WRONG ** (count - least) > 1 - SURE]

    @property
    def nothing_fits(self) -> bool:
        """Whether even the likeliest had more against it than noise explains."""
        return min(self.against.values()) > max(2, 4 * WRONG * self.seen)
