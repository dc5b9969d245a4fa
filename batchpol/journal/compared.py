"""What a plan wrote down of each record: what was there, and what the record would do to it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from batchpol.journal.chain import Chain, line_at
from batchpol.journal.entries import Before, RecordEntry, decode, decode_record
from batchpol.journal.section import Section
from batchpol.model import Outcome

_NOWHERE = 0
_BEFORE = b'{"t":"before"'


class Compared(NamedTuple):
    """One record. ``present`` is the document that was there: None if there was none, or it was not looked at."""

    record: RecordEntry
    present: str | None
    outcome: Outcome

    @property
    def would(self) -> str:
        """What it would do: an effect, or nothing where something stands in the way of it, or it is so already."""
        return self.outcome.effect if self.outcome.would_be_sent and self.outcome.effect != "unchanged" else ""


def read_compared(chain: Chain, section: Section, fd: int) -> Iterator[Compared]:
    """Every record of a plan's section in the order of the input; eight bytes a record in memory besides it."""
    before_at = array("Q", bytes(8 * len(section)))
    for offset, block in chain.blocks():
        for line in block.splitlines(keepends=True):
            if line.startswith(_BEFORE):
                try:
                    before_at[_before(line).n] = offset
                except (msgspec.DecodeError, LookupError) as error:
                    raise chain.undecodable(repr(error)) from error
            offset += len(line)
    for at, record_at, outcome in zip(before_at, section.record_at, section.outcomes(fd), strict=True):
        present = _before(line_at(fd, at)).policy if at != _NOWHERE else None
        yield Compared(decode_record(line_at(fd, record_at)), present, outcome)


def _before(line: bytes) -> Before:
    entry = decode(line)
    assert isinstance(entry, Before)
    return entry
