"""What a run has in common with the one before it, and does not write again.

A run reads its whole input each time, and its section has every record. Those that stand in the last planned section
under the same number, byte for byte, are only counted, and ``same`` lines say up to which number.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from batchpol.journal.entries import REPEATS, OutcomeEntry, RecordEntry, Run, Same
from batchpol.journal.section import UNANSWERED
from batchpol.model import Change, Status

if TYPE_CHECKING:
    from batchpol.journal.history import Earlier
    from batchpol.journal.journal import Journal


class Numbered:
    """What a reader keeps of each record, by its number, in one section: arrays of these type codes in ``now``.

    ``before`` has those of the last section that was planned, from which a ``same`` line takes them.
    """

    def __init__(self, *codes: str) -> None:
        self._codes = codes
        self._planned = False
        self.now = self.before = self._empty()

    def take(self, entry: object) -> None:
        """Heed a line that begins a section, ends its first pass, or takes records over.

        Raises:
            ValueError: there are not so many to take over.
        """
        if isinstance(entry, Run):
            if self._planned:
                self.before = self.now if entry.format >= REPEATS else self._empty()
            self.now, self._planned = self._empty(), False
        elif isinstance(entry, Same):
            taken = entry.taken(len(self.now[0]), len(self.before[0]))
            for now, before in zip(self.now, self.before, strict=True):
                now.extend(before[taken])
        else:
            self._planned = True

    def _empty(self) -> tuple[array[int], ...]:
        return tuple(array(code) for code in self._codes)


class Repeats:
    """Writes the records of a run down, in their order, with what earlier runs left of them.

    Args:
        journal: where.
        run: its header.
    """

    def __init__(self, journal: Journal, run: Run) -> None:
        self._journal = journal
        self._there = journal.history.repeatable(run)
        self._same = self._said = 0
        self._looks = run.options.get("compare", True)

    def write(self, entry: RecordEntry, change: Change | None) -> tuple[int, Earlier | None]:
        """Write a record down, and what became of its change in an earlier run.

        Returns:
            Where the record stands, and its fate in an earlier run; none where that is to be looked at anew.
        """
        n, fate = entry.n, self._journal.history.fate_of(change) if change is not None else None
        same = n == self._same < len(self._there) and self._journal.has(self._there[n], entry)
        if same:
            self._same += 1
            offset = self._there[n]
        else:
            self.end()
            offset = self._journal.append(entry)
        if fate is not None and not (same and fate.stands):
            self.say()
            self._journal.append(self._carried(n, fate))  # until a newer one replaces it
        return offset, None if fate is not None and fate.old and self._looks else fate

    def say(self) -> None:
        """Write down how many were the same so far: before a line that is about one of them."""
        if self._said < self._same:
            self._journal.append(Same(records=self._same))
            self._said = self._same

    def end(self) -> None:
        """From here on all is written down."""
        self.say()
        self._there = array("Q")

    def _carried(self, number: int, fate: Earlier) -> OutcomeEntry:
        """An earlier run's fate as that of a record of this one."""
        if fate.offset:
            carried = self._journal.read_outcome(fate.offset)
            carried.n, carried.carried = number, True
            return carried
        return OutcomeEntry(
            n=number,
            status=Status.UNKNOWN,
            error_code=UNANSWERED,
            message="sent by an earlier run that ended before an answer was written down; it can be sent again",
            attempts=1,
            retryable=True,
            carried=True,
        )
