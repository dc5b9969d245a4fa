"""SES's door: the limit on requests a second."""

from __future__ import annotations

from batchpol.sandbox.facts import Facts

Key = tuple[str, str, str]


class Limits:
    """Buckets, one a key: with the facts as they are, nothing is let in a moment too early.

    With burst 1, rate 1 and no tolerance a request is let in if, and only if, the last one let in is at least a
    second old. Real SES may be more lenient; a client that this door never refuses need not hope for that.
    """

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}

    def admit(self, key: Key, now: float, facts: Facts) -> bool:
        """Whether a request arriving at ``now`` (seconds) is let in."""
        if facts.rate <= 0:
            return True
        period = 1.0 / facts.rate
        # When the bucket is empty again if nothing more comes ("theoretical arrival time" of the GCRA).
        due = self._due.get(key, now)
        if now < due - (facts.burst - 1) * period - facts.tolerance_ms / 1000:
            if facts.throttled_count:
                self._due[key] = min(due + period, now + facts.burst * period)
            return False
        self._due[key] = max(now, due) + period
        return True

    def give_back(self, key: Key, facts: Facts) -> None:
        """Undo what the last request let in took."""
        if facts.rate > 0:
            self._due[key] -= 1.0 / facts.rate
