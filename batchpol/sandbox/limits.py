"""SES's door: the limit on requests a second."""

from __future__ import annotations


class Limits:
    """Strict buckets, one a key: refused requests take nothing, and nothing is let in a moment too early.

    With burst 1 and rate 1 a request is let in if, and only if, the last one let in is at least a second old.
    Real SES may be more lenient; a client that this door never refuses need not hope for that.
    """

    def __init__(self) -> None:
        self._due: dict[tuple[str, str, str], float] = {}

    def admit(self, key: tuple[str, str, str], now: float, rate: float, burst: int) -> bool:
        """Whether a request arriving at ``now`` (seconds) is let in; ``rate`` a second, 0 for no limit."""
        if rate <= 0:
            return True
        period = 1.0 / rate
        # When the bucket is empty again if nothing more comes ("theoretical arrival time" of the GCRA).
        due = self._due.get(key, now)
        if now < due - (burst - 1) * period:
            return False
        self._due[key] = max(now, due) + period
        return True
