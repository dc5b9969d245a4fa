"""Every choice of one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from batchpol.rewriting.template import Template
from batchpol.sending.conduct import Conduct, Patience
from batchpol.sending.gate import PERIOD
from batchpol.sending.targets import Targets
from batchpol.ses import Aws, Connection

DRAIN = 10.0
"""Seconds that requests under way are given to be answered after a run was asked to stop."""

FAILURES_COUNT_FROM = 20
"""Records that must have been attempted before a failure threshold in per cent says anything."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """When failures stop the run: more than ``most`` of them, or more than ``share`` of those attempted."""

    most: int | None = None
    share: float | None = None

    def passed(self, failed: int, attempted: int) -> bool:
        if self.most is not None:
            return failed > self.most
        return self.share is not None and attempted >= FAILURES_COUNT_FROM and failed > self.share * attempted


@dataclass(frozen=True, slots=True)
class Options:
    """Every choice of one run. Times are in seconds.

    ``journal`` None keeps it in an unnamed temporary file. ``regions`` are the Regions of the run: the first
    is the default of records that name none; with several, every record must name one of them.
    """

    connection: Connection = field(default_factory=Connection)
    regions: tuple[str, ...] = ()
    journal: Path | None = None
    fresh: bool = False
    retry_failed: bool = False
    reports: tuple[Path, ...] = ()
    template: Template | None = None
    """What makes the policies or names of records that have none."""
    sandbox: bool = False
    strict: bool = False
    dry_run: bool = False
    limit: int | None = None
    threshold: Threshold = field(default_factory=Threshold)
    expect_account: str | None = None
    period: float = PERIOD
    shared_quota: bool = False
    max_duration: float | None = None
    prune: str | None = None
    """Delete what the input's identities have and the input has not, if its name begins so; None prunes nothing."""
    conduct: Conduct = field(default_factory=Conduct)
    patience: Patience = field(default_factory=Patience)
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    warnings_as_errors: bool = False
    drain: float = DRAIN
    command: tuple[str, ...] = ()
    """The command that asked for this, for people who read the journal; empty for a program."""

    def targets(self, aws: Callable[[Connection], Aws] = Aws) -> Targets:
        """The targets of a run by itself; ``aws`` makes their connection. Raises UsageError as that does."""
        return Targets(
            aws(self.connection),
            regions=self.regions,
            expect_account=self.expect_account,
            period=self.period,
            shared_quota=self.shared_quota,
        )
