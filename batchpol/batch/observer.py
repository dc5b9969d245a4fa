"""What a caller may want to know of a run: what it is about to do, what happens, how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchpol.batch.intake import Backlog, Intake, Resumed
from batchpol.journal import Journal, Run
from batchpol.model import Outcome, Target
from batchpol.model.errors import SesError
from batchpol.report import Summary
from batchpol.sending.caller import Here
from batchpol.sending.contact import Contact
from batchpol.sending.observer import LaneObserver
from batchpol.ses import Caller
from batchpol.validation import Checked, Verdict


@dataclass(slots=True)
class Preview:
    """What a run is about to do, told before the first write.

    ``deletes`` counts the deletions in what it is to send, ``pruned`` those of them that no record asks for. Where it
    ``compares`` fewer may be sent: what is there already is left alone.
    """

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
    deletes: int = 0
    compares: bool = True
    pruned: int = 0
    unverified: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, intake: Intake, backlogs: Mapping[Target, Backlog], here: Here, period: float, notes: list[str]
    ) -> Preview:
        """The preview after a first pass; ``period`` is in seconds."""
        return cls(
            deletes=sum(backlog.deletes for backlog in backlogs.values()),
            compares=intake.compares,
            caller=here.caller,
            region=here.region,
            endpoint=here.endpoint,
            records=intake.records,
            verdicts=intake.counts(),
            warnings=intake.warnings,
            first_rejected=intake.first_rejected,
            resumed=intake.resumed,
            targets={target: len(backlog) for target, backlog in backlogs.items()},
            period=period,
            notes=notes,
            pruned=intake.pruned,
        )

    @property
    def to_send(self) -> int:
        return sum(self.targets.values())

    @property
    def writes(self) -> int:
        """What is to be sent besides the deletions."""
        return self.to_send - self.deletes

    @property
    def rejected(self) -> int:
        return self.verdicts[Verdict.REJECTED]

    @property
    def duplicates(self) -> int:
        return self.verdicts[Verdict.DUPLICATE]

    @property
    def seconds(self) -> float:
        """Least time the run takes in seconds: that of its longest lane."""
        return max((count - 1 for count in self.targets.values()), default=0) * self.period


class Observer(LaneObserver):
    """What a caller may want to know while a batch runs; this one wants nothing."""

    asks = False
    """Whether somebody is asked before the first write, and wants to know then what is not verified."""

    async def planned(self, preview: Preview, journal: Journal) -> bool:
        """The first pass is over, and all of it is in the journal; return False to send nothing."""
        return True

    def noted_of_run(self, text: str) -> None:
        """Something about the run as a whole: another worker has its shard, or brought it to its end."""

    def begun(self, run: Run) -> None:
        """The run has its header in the journal; the input was not read yet."""

    def lane_started(self, contact: Contact) -> None:
        """The lane of a target is about to begin; its pace can be read off the contact while it runs."""

    def lane_ended(self, target: Target, error: SesError | None) -> None:
        """A lane is through, or was stopped by this error."""

    def next_steps(self, result: Result) -> Sequence[tuple[str, str]]:
        """What to do when it is over, for a page: for what, and the command to type. Asked in a thread."""
        return ()

    async def ended(self, journal: Journal) -> None:
        """Everything is over and written down; the journal is still open."""


@dataclass(slots=True)
class Result:
    """How a run ended. ``reason`` is ``finished`` or why it stopped early.

    ``outcomes`` has one of each record, in input order: for a program a list where there are at most 10,000, else read
    from the journal each time they are gone through.
    """

    summary: Summary
    exit_code: int
    reason: str
    reports: tuple[Path, ...]
    journal: Path | None
    outcomes: Collection[Outcome] = field(default=(), repr=False)
