"""When a run's requests were sent and how long answers took, in bounded memory however many there are."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

MOST_LANES = 1000
"""Lanes told apart; what comes later counts for all the others together."""
MOST_BINS = 512
FEWEST_BINS = 48
_SHARED_BINS = 12_000
"""Bins of all lanes together, so that many lanes cost no more memory than some."""
_FINEST = 1 / 8


@dataclass(slots=True)
class LaneRequests:
    """The requests to one account and Region.

    The bins are aligned to multiples of their width in seconds and double it when they become too many. Only those
    exist in which something was sent, so a pause of days costs nothing.
    """

    account: str
    region: str
    requests: int = 0
    again: int = 0
    first: float = math.inf
    last: float = -math.inf
    _width: float = _FINEST
    _bins: dict[int, tuple[int, float]] = field(default_factory=dict)

    @property
    def width(self) -> float:
        """Seconds that one bin covers."""
        return self._width

    @property
    def seconds(self) -> float:
        """From the first request to the last one."""
        return max(0.0, self.last - self.first)

    def add(self, at: float, attempt: int, most: int) -> None:
        """Count a request that left at ``at`` (seconds since 1970), keeping at most ``most`` bins."""
        self.requests += 1
        self.again += attempt > 1
        self.first, self.last = min(self.first, at), max(self.last, at)
        self._enter(self._bins, int(at // self._width), 1, at)
        while len(self._bins) > most:
            wider: dict[int, tuple[int, float]] = {}
            for place, (count, latest) in self._bins.items():
                self._enter(wider, place >> 1, count, latest)
            self._bins, self._width = wider, self._width * 2

    @staticmethod
    def _enter(bins: dict[int, tuple[int, float]], place: int, count: int, latest: float) -> None:
        before, at = bins.get(place, (0, latest))
        bins[place] = before + count, max(at, latest)

    def curve(self) -> list[tuple[float, int]]:
        """Points of the curve: at this time (seconds since 1970) so many requests had been sent."""
        points, total = [], 0
        for place in sorted(self._bins):
            count, latest = self._bins[place]
            total += count
            points.append((latest, total))
        return points


@dataclass(slots=True)
class Requests:
    """Filled by :meth:`add` with every request; ``others`` are those of lanes beyond :data:`MOST_LANES`."""

    lanes: dict[tuple[str, str], LaneRequests] = field(default_factory=dict)
    others: int = 0

    def add(self, account: str, region: str, left: str, attempt: int = 1) -> None:
        """Take in one request that left at this time (ISO 8601)."""
        try:
            at = datetime.fromisoformat(left).timestamp()
        except ValueError:
            return  # A journal that another program wrote: the charts do without it.
        place = account, region
        lane = self.lanes.get(place)
        if lane is None:
            if len(self.lanes) >= MOST_LANES:
                self.others += 1
                return
            lane = self.lanes[place] = LaneRequests(*place)
        most = min(MOST_BINS, max(FEWEST_BINS, _SHARED_BINS // len(self.lanes)))
        lane.add(at, attempt, most)


_STEP = math.log(1.01)
_SHORTEST, _LONGEST = 0.01, 1e7


@dataclass(slots=True)
class Durations:
    """The distribution of round trips in milliseconds, each known to a hundredth of itself."""

    count: int = 0
    shortest: float = math.inf
    longest: float = 0.0
    _bins: Counter[int] = field(default_factory=Counter)

    def add(self, milliseconds: float) -> None:
        """Count one round trip."""
        if not milliseconds >= 0:
            return  # A clock that was set back, or no number.
        bounded = min(max(milliseconds, _SHORTEST), _LONGEST)
        self.count += 1
        self.shortest, self.longest = min(self.shortest, milliseconds), max(self.longest, milliseconds)
        self._bins[round(math.log(bounded) / _STEP)] += 1

    def quantile(self, share: float) -> float:
        """The milliseconds below which this share of all round trips lies (0 where there are none)."""
        due, seen = share * self.count, 0
        for place in sorted(self._bins):
            seen += self._bins[place]
            if seen >= due:
                return min(max(math.exp(place * _STEP), self.shortest), self.longest)
        return 0.0

    def bars(self, most: int = 24) -> list[tuple[float, float, int]]:
        """At most ``most`` bars as (from, to, count), of equal width but for the last, which has all that is longer.

        Its end is then infinite. The width is 1, 2 or 5 times a power of ten.
        """
        if not self.count:
            return []
        low, high = self.quantile(0.0), self.quantile(0.98)
        width = _round_width(max((high - low) / (most - 2), low * 0.02, 0.01))
        start = math.floor(low / width) * width
        counts = [0] * (int((high - start) / width) + 1)
        beyond = 0
        for place, count in self._bins.items():
            slot = int((min(max(math.exp(place * _STEP), self.shortest), self.longest) - start) / width)
            if slot < len(counts):
                counts[max(0, slot)] += count
            else:
                beyond += count
        bars = [(start + width * slot, start + width * (slot + 1), count) for slot, count in enumerate(counts)]
        return [*bars, (bars[-1][1], math.inf, beyond)] if beyond else bars


def _round_width(least: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= least * 0.999)
