"""The gates of one target: an operation each, until it shows that several have one quota.

SES documents a limit for each operation, and not whether they are one. Which it is shows in what is refused:

- a request that is refused less than a period after one of another operation speaks for one quota;
- two that are taken with less than a period between them, of two operations, could not be in one;
- so :data:`EVIDENCE` refusals of the first kind, and nothing of the second between them, join all gates.

Somebody else's requests, or a slow network, can look like that for a moment. So a join is taken back on trial, after
:data:`TRIAL` seconds and ever more rarely, and at once where refusals go on: one more refusal of the first kind joins
them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf

import anyio

from batchpol.model.settings import PERIOD
from batchpol.sending.gate import Ended, Gate, unfenced
from batchpol.sending.meetings import Meetings
from batchpol.sending.pace import MARGIN, Route
from batchpol.sending.sharing import Turns

EVIDENCE = 3
"""Refusals right after a request of another kind, and nothing that speaks against it, that join the gates."""

SURE = 10
"""The same, once two were taken that no one quota has both: somebody else is far more likely by then."""

FADES = 10.0
"""Periods without more of it after which evidence is forgotten."""

TRIAL, RARER, RAREST = 6.0, 4.0, 4000.0
"""Periods from a join to its trial, the factor to the next one's, and their bound."""

IN_VAIN = 2
"""Refusals in a row of one operation after which a join is taken back: it does not help."""


@dataclass(slots=True)
class Gates:
    """The gates of one target, one an operation: writing (puts and deletes together), reading policies, listing
    their names, looking identities up, and listing identities.

    Attributes:
        joined: whether they go by one pace now.
        one_quota: whether that is sure: it was said, or a trial has shown it.
    """

    writes: Gate
    reads: Gate
    lists: Gate
    look_ups: Gate
    identities: Gate
    joined: bool = False
    one_quota: bool = False
    _evidence: int = 0
    _last_evidence: float = -inf
    _joined_at: float = -inf
    _trial: float = TRIAL
    _on_trial: bool = False
    _needed: int = EVIDENCE
    _in_vain: Counter[int] = field(default_factory=Counter)
    _taken: dict[int, Ended] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for gate in self.all:
            gate.others, gate.told = [other for other in self.all if other is not gate], self._weigh

    @classmethod
    def at(
        cls,
        period: float = PERIOD,
        *,
        shared: bool = False,
        like: Gates | None = None,
        turns: Callable[[int, float], Turns] | None = None,
        tolerance: float = 0.0,
        meetings: Meetings | None = None,
    ) -> Gates:
        """Gates of ``period`` seconds.

        ``shared`` if all operations have one quota. ``like`` are gates of another target in the same Region: what
        they know of the way there is shared. ``turns`` gives those of an operation, by its number and so many seconds
        apart, where its quota is shared with other processes; who keeps to a slower pace leaves them the rest.
        ``tolerance`` is by how many seconds SES is known to let requests come too early.
        ``meetings`` are when others elsewhere are let in.
        """
        routes = [gate.route for gate in like.all] if like else [Route() for _ in range(5)]
        step = min(period, PERIOD) + MARGIN
        writes, reads, lists, look_ups, identities = (
            Gate(period, route=route, turns=turns and turns(number, step), tolerance=tolerance, meetings=meetings)
            for number, route in enumerate(routes)
        )
        gates = cls(writes, reads, lists, look_ups, identities)
        if shared:
            gates._join()
            gates.one_quota, gates._trial = True, inf
        return gates

    @property
    def all(self) -> tuple[Gate, ...]:
        return self.writes, self.reads, self.lists, self.look_ups, self.identities

    @contextmanager
    def fenced(self, fence: Callable[[], None]) -> Iterator[None]:
        """Have ``fence`` asked as the last thing before an attempt leaves, until the block ends; others pass later."""
        for gate in self.all:
            gate.fence = fence
        try:
            yield
        finally:
            for gate in self.all:
                gate.fence = unfenced

    def hold(self, until: float) -> None:
        """Let nothing leave before this loop time, in seconds: somebody before us asked for something just now."""
        for gate in self.all:
            gate.hold(until)

    def _join(self) -> None:
        for gate in self.all:
            gate.join(self.writes)
        self.joined = True
        self._evidence = 0
        self._in_vain.clear()

    def _part(self, evidence: int) -> None:
        for number, gate in enumerate(self.writes.others, start=1):  # apart, so that a refusal shows what it follows
            gate.part(number / len(self.all) * self.writes.pace.base)
        self.joined = False
        self._evidence = evidence
        self._taken.clear()

    def _weigh(self, ended: Ended) -> None:
        """Take in what an answer says of whether the operations have one quota."""
        if self.joined:
            self._weigh_join(ended)
        elif ended.refused:
            self._weigh_refusal(ended)
        else:
            self._weigh_taken(ended)

    def _weigh_refusal(self, ended: Ended) -> None:
        if not ended.follows:
            return
        period, now = self.writes.pace.base, anyio.current_time()
        if now - self._last_evidence > FADES * period and not self._on_trial:
            self._evidence = 0
        self._evidence += 1
        self._last_evidence = now
        if self._evidence >= self._needed:
            self._join()
            self._joined_at = now
            self.one_quota = self.one_quota or self._on_trial
            self._trial = min(self._trial * RARER, RAREST) if self._on_trial else TRIAL
            self._on_trial = False

    def _weigh_taken(self, ended: Ended) -> None:
        """Two that were taken and can only have arrived within one period: no quota has both."""
        period = ended.gate.pace.base
        if any(
            max(ended.latest, other.latest) - min(ended.left, other.left) < period
            for gate, other in self._taken.items()
            if gate != id(ended.gate)
        ):
            self._evidence, self._on_trial, self.one_quota, self._needed = 0, False, False, SURE
        self._taken[id(ended.gate)] = ended

    def _weigh_join(self, ended: Ended) -> None:
        if self._trial == inf or ended.left < self._joined_at:
            return
        gate = id(ended.gate)
        self._in_vain[gate] = self._in_vain[gate] + 1 if ended.refused else 0
        due = anyio.current_time() >= self._joined_at + self._trial * self.writes.pace.base
        if self._in_vain[gate] >= IN_VAIN:
            self._part(0)
        elif due and not ended.refused:
            self._on_trial = True
            self._part(self._needed - 1)
