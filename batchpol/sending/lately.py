"""What we wrote ourselves lately: it outweighs a read, which may show the past for over a minute (seen)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from batchpol.model import Action, Change
from batchpol.policy.comparison import Effect, effect

LONGEST = 600.0
"""Seconds for which a write is remembered: as long as anybody may say that reads are stale."""


@dataclass(frozen=True, slots=True)
class Wrote:
    """A write of ours: what it leaves (None: nothing), when it was sent, in seconds since 1970, and whether SES took
    it for certain; without an answer it may have. ``unlike`` is when another of ours, before it, left something else:
    a read that cannot show that one yet does not tell what stood there before from what this one may have left."""

    document: str | None
    at: float
    sure: bool
    unlike: float = 0.0

    def is_open(self, since: float) -> bool:
        """Whether a read that shows what this write leaves may still be of before it, and before the one before it;
        ``since`` is the earliest that such a read may show, in seconds since 1970."""
        return not self.sure and self.unlike >= since

    def is_shown(self, present: str | None) -> bool:
        """Whether what was read is what this write leaves."""
        if self.document is None or present is None:
            return self.document is present
        return effect(Action.PUT, self.document, present) is Effect.UNCHANGED


class Lately:
    """The last write of ours to each policy of one target, for as long as a read may not show it."""

    def __init__(self) -> None:
        self._wrote: OrderedDict[tuple[str, str], Wrote] = OrderedDict()

    def add(self, change: Change, at: float, *, sure: bool) -> None:
        """Take in a write that was taken, or may have been; ``at`` is in seconds since 1970."""
        key = change.key_identity, change.policy_name
        leaves, before = change.document if change.action is Action.PUT else None, self._wrote.get(key)
        unlike = 0.0
        if before is not None and not before.is_shown(leaves):
            unlike = before.at
        elif before is not None and not before.sure:
            unlike = before.unlike
        self._wrote[key] = Wrote(leaves, at, sure, unlike)
        self._wrote.move_to_end(key)
        while next(iter(self._wrote.values())).at < at - LONGEST:
            self._wrote.popitem(last=False)

    def of(self, change: Change, since: float) -> Wrote | None:
        """The last write to what a change is about, unless it was before ``since``, in seconds since 1970."""
        wrote = self._wrote.get((change.key_identity, change.policy_name))
        return wrote if wrote is not None and wrote.at >= since else None
