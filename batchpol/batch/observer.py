"""What a caller may want to know of a run: what it is about to do, what happens, how it ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from batchpol.batch.intake import Resumed
from batchpol.errors import SesError
from batchpol.journal import Run
from batchpol.model import Change, Outcome, Target
from batchpol.policy.comparison import Effect
from batchpol.report import Summary
from batchpol.sending.lane import Attempted, Lane
from batchpol.ses import Caller
from batchpol.validation import Checked, Verdict


@dataclass(slots=True)
class Preview:
    """What a run is about to do, told before the first write."""

    caller: Caller
    region: str
    endpoint: str
    records: int
    verdicts: Counter[Verdict]
    warnings: int
    first_rejected: list[Checked]
    resumed: Resumed
    targets: dict[Target, int]
    period: float
    notes: list[str]
    pruned: int = 0
    unverified: list[str] = field(default_factory=list)

    @property
    def to_send(self) -> int:
        return sum(self.targets.values())

    @property
    def rejected(self) -> int:
        return self.verdicts[Verdict.REJECTED]

    @property
    def seconds(self) -> float:
        """Least time the run takes in seconds: that of its longest lane."""
        return max((count - 1 for count in self.targets.values()), default=0) * self.period


class Observer:
    """What a caller may want to know while a batch runs; this one wants nothing."""

    asks = False
    """Whether somebody is asked before the first write, and wants to know then what is not verified."""

    async def planned(self, preview: Preview) -> bool:
        """The first pass is over; return False to send nothing."""
        return True

    def begun(self, run: Run) -> None:
        """The run has its header in the journal; the input was not read yet."""

    def lane_started(self, lane: Lane) -> None:
        """A lane is about to begin; its pace can be read off it while it runs."""

    def lane_ended(self, target: Target, error: SesError | None) -> None:
        """A lane is through, or was stopped by this error."""

    def attempted(self, target: Target, attempt: Attempted) -> None:
        """An attempt at a write leaves, or is over."""

    async def ended(self) -> None:
        """Everything is over and written down; the journal is still open."""

    def settled(self, outcome: Outcome) -> None:
        """A record that was queued has its outcome, durably."""

    def compared(self, change: Change, effect: Effect, present: str | None) -> None:
        """In a plan: what a change would do to the document that is there (None: nothing is)."""

    def noted(self, target: Target, text: str) -> None:
        """Something a person should know, said once."""


@dataclass(slots=True)
class Result:
    """How a run ended. ``reason`` is ``finished`` or why it stopped early."""

    summary: Summary
    exit_code: int
    reason: str
    reports: tuple[Path, ...]
    journal: Path | None
