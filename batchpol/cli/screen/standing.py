"""How a run stands: what progress shows of each lane and of all, as a picture or in a line."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from batchpol.cli.screen.terminal import duration
from batchpol.model import EFFECTS, Outcome, Status, Target
from batchpol.sending.contact import Contact

STALLED = 10.0
"""Seconds without an answer or an outcome after which nobody says how long a lane takes yet."""

HEADS = {"in hand": "in hand (line: record)"}


@dataclass(slots=True)
class Row:
    """One lane as it is shown: how many of its ``total`` changes ended in which way, and the change in hand."""

    target: Target
    total: int
    counts: Counter[str] = field(default_factory=Counter)
    contact: Contact | None = None
    in_hand: str = ""
    stopped: bool = False
    over: bool = False
    moved: float = field(default_factory=time.monotonic)
    """When something last came back, by the monotonic clock."""

    def add(self, outcome: Outcome, *, planned: bool = False) -> None:
        """Count one more change: by what was done, or of a plan would be, or else by its status."""
        self.moved = time.monotonic()
        done = outcome.effect if planned and outcome.would_be_sent else outcome.did
        self.counts[EFFECTS.get(done, outcome.status.value)] += 1

    @property
    def done(self) -> int:
        return self.counts.total()

    @property
    def throttled(self) -> int:
        return self.contact.throttled if self.contact else 0

    @property
    def silent(self) -> bool:
        """Whether SES cannot be reached, so that nobody knows how long it takes."""
        return self.contact is not None and self.contact.silent and not (self.over or self.stopped)

    @property
    def stalled(self) -> bool:
        """Whether nothing came back for so long that nobody knows, either."""
        return self.contact is not None and not (self.over or self.stopped) and self.quiet > STALLED

    @property
    def quiet(self) -> float:
        """Seconds since something came back, the pace of the gate not counted."""
        return time.monotonic() - self.moved - (self.contact.gates.writes.period if self.contact else 0.0)

    def seconds_left(self, period: float) -> float:
        """At the pace of the lane's gate; at ``period`` seconds a request until there is one."""
        if self.over or self.stopped:
            return 0.0
        return (self.total - self.done) * (self.contact.gates.writes.period if self.contact else period)

    def time_left(self, period: float) -> str:
        if self.stopped:
            return "stopped"
        if self.over or self.done >= self.total:
            return "done"
        if self.silent:
            return "no answer"
        if self.stalled:
            return "waiting"
        return duration(self.seconds_left(period)) if self.contact else "waiting"


@dataclass(slots=True)
class Standing:
    """A whole run as it is shown; ``period`` is its least time between two requests in seconds. Of one that only
    ``plans``, what would be done is counted."""

    rows: dict[Target, Row] = field(default_factory=dict)
    period: float = 1.0
    began: float = 0.0
    changed: bool = True
    plans: bool = False

    @property
    def heads(self) -> dict[str, str]:
        """How columns are called that are not called by their names."""
        return HEADS | {word: name for name, word in EFFECTS.items() if self.plans}

    @property
    def total(self) -> int:
        return sum(row.total for row in self.rows.values())

    @property
    def done(self) -> int:
        return sum(row.done for row in self.rows.values())

    @property
    def throttled(self) -> int:
        return sum(row.throttled for row in self.rows.values())

    @property
    def counts(self) -> Counter[str]:
        """In their order, what was deleted first."""
        found = sum((row.counts for row in self.rows.values()), Counter[str]())
        return Counter({word: found[word] for word in (*EFFECTS.values(), *Status) if found[word]})

    @property
    def left(self) -> str:
        """How long it takes yet, as far as that can be said; empty at the end."""
        if self.done >= self.total:
            return ""
        if any(row.silent for row in self.rows.values()):
            return "SES does not answer"
        under_way = [row for row in self.rows.values() if not (row.over or row.stopped)]
        if under_way and all(row.stalled for row in under_way):
            return f"nothing came back for {duration(min(row.quiet for row in under_way))}"
        return f"about {duration(self.seconds_left)} left"

    @property
    def seconds_left(self) -> float:
        """Of the lane that takes longest."""
        return max((row.seconds_left(self.period) for row in self.rows.values()), default=0.0)

    def line(self) -> str:
        """All of it in one line, for what is no terminal."""
        counts = [f"{count:,} {self.heads.get(word, word).replace('_', ' ')}" for word, count in self.counts.items()]
        counts += [f"{self.throttled:,} times throttled"] if self.throttled else []
        left = [self.left] if self.left else []
        return f"{self.done:,} of {self.total:,} records: {', '.join(counts + left)}"
