"""Meetings: moments at which whoever has a quota to itself lets others in, should there be any.

SES refuses what comes less than a second after the last request that it took. So of two who both send once a second,
whoever came first is never refused and never learns of the other, who always is. Both know the time of day, though.
Moments recur by it, a fifth of a period further on each time, seen from one who sends once a period. That one passes
one of them every six periods, and lets it go by before it sends; whoever is refused all the time tries at each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import anyio

IN_A_ROUND = 5
"""Meetings until one of them has come close to every place in a period: a newcomer is refused no more often."""

OPEN = 0.005
"""Seconds over the bare period that one who keeps to meetings takes for each request on average: a bit more than it
takes anyhow, for timers and answers that are late. What is not used up by these is where another one's request fits in.
The more, the less well clocks need to agree, and the more everybody pays."""

LEEWAY = 0.005
"""Seconds after a meeting at which its host's request arrives: clocks and ways to SES are not quite alike."""


@dataclass(frozen=True, slots=True)
class Meetings:
    """Those of one target, by a wall clock that all hosts agree on (in seconds); ``offset`` tells targets apart."""

    period: float
    wall: Callable[[], float] = anyio.current_time
    offset: float = 0.0

    @property
    def step(self) -> float:
        """Seconds from one meeting to the next."""
        return (IN_A_ROUND + 1) / IN_A_ROUND * (self.period + OPEN)

    def after(self, time: float) -> float:
        """The first meeting at this loop time or later, in loop time."""
        ahead = self.wall() - self.offset - anyio.current_time()
        return ceil((time + ahead) / self.step - 1e-9) * self.step - ahead
