"""What somebody may want to know of an export: what it is about to read, what happens, how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from batchpol.exporting.partial import Partial
from batchpol.exporting.target import Watch
from batchpol.journal import FINISHED
from batchpol.model import Target
from batchpol.sending.caller import Here


class ExportObserver(Watch):
    """What somebody may want to know of an export as a whole, too."""

    def begun(self, here: Here, targets: list[Target], partial: Partial) -> None:
        """It is known who we are, what to read, and what an earlier run has read."""

    def stopped(self, target: Target, text: str) -> None:
        """A target can be read no further, and why."""


@dataclass(slots=True)
class Exported:
    """How an export ended. ``reason`` is ``finished`` or why it stopped early.

    ``identities`` were read, by this run or an earlier one; ``without`` of them have no policies that were asked for.
    ``kept`` is the file from which the same command goes on, if there is one.
    """

    identities: int = 0
    without: int = 0
    policies: int = 0
    unreadable: list[tuple[Target, str]] = field(default_factory=list)
    exit_code: int = 0
    reason: str = FINISHED
    kept: Path | None = None
    seconds: float = 0.0
