"""The way back: from a journal, an input file that restores what was there before.

For each policy that the journal's runs wrote, the earliest before-image is what to restore, and what those runs may
have left is what must still be there for it (``if_match``): what somebody changed since is left alone. After a write
without an answer that is its document, or what an earlier write left.

The records stand in the opposite order of what took effect, so that an identity never has more policies on the way
back than it had on the way there: an identity has at most 20. (What is pruned of a full one was written down last, and
went first.)
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from batchpol.journal import (
    Before,
    Entry,
    Intent,
    Numbered,
    OutcomeEntry,
    Planned,
    RecordEntry,
    Run,
    Same,
    read,
    read_entry,
)
from batchpol.model import Action, Status, Target
from batchpol.model.errors import UsageError
from batchpol.model.keyindex import KeyIndex, key_of
from batchpol.policy.comparison import Restore, undo
from batchpol.rewriting.lines import marked

_NOTHING = 0
_IDS = "batchpol status lists the runs of a journal with their ids"
_SENT = (Status.APPLIED, Status.UNKNOWN)


@dataclass(slots=True)
class _Writes:
    """By policy: where its first before-image and its last record sent stand, and whether that took effect.

    ``turn`` counts what was sent, up to the policy's last write; ``run`` is the place in ``runs`` of the run that wrote
    it first, which is whose doing is taken back. ``earlier`` has, only where it did not for certain,
    the records before it whose document may still be there.
    """

    index: KeyIndex = field(default_factory=KeyIndex)
    before: array[int] = field(default_factory=lambda: array("Q"))
    record: array[int] = field(default_factory=lambda: array("Q"))
    unknown: bytearray = field(default_factory=bytearray)
    turn: array[int] = field(default_factory=lambda: array("Q"))
    run: array[int] = field(default_factory=lambda: array("L"))
    runs: list[Run] = field(default_factory=list)
    effects: int = 0
    earlier: dict[int, list[int]] = field(default_factory=dict)
    # By record number of the section being read:
    numbered: Numbered = field(default_factory=lambda: Numbered("Q", "Q"))  # the policy's key, and the record's place
    images: dict[int, int] = field(default_factory=dict)
    unanswered: dict[int, int] = field(default_factory=dict)

    @property
    def anything(self) -> bool:
        """Whether anything was written at all."""
        return any(self.record)

    def take(self, offset: int, entry: Entry) -> None:
        """Account for one line of the journal."""
        match entry:
            case Run():
                self.close_section()
                self.numbered.take(entry)
                self.runs.append(entry)
            case Same() | Planned():
                self.numbered.take(entry)
            case RecordEntry():
                keys, places = self.numbered.now
                keys.append(key_of(entry.account, entry.region, entry.key, entry.policy_name))
                places.append(offset)
            case Before():
                self.images[entry.n] = offset
            case Intent():
                self.effects += 1
                self.unanswered[entry.n] = self.effects
            case OutcomeEntry() if entry.n in self.unanswered:
                turn = self.unanswered.pop(entry.n)
                image = self.images.pop(entry.n, _NOTHING)
                if entry.status in _SENT:
                    self._took_effect(entry.n, image, turn, unknown=entry.status is Status.UNKNOWN)

    def close_section(self) -> None:
        """What was sent and has no outcome may have taken effect."""
        for number, turn in self.unanswered.items():
            self._took_effect(number, self.images.get(number, _NOTHING), turn, unknown=True)
        self.images, self.unanswered = {}, {}

    def _slot(self, key: int) -> int:
        slot = self.index.setdefault(key, len(self.record))
        if slot == len(self.record):
            self.before.append(_NOTHING)
            self.record.append(_NOTHING)
            self.unknown.append(False)
            self.turn.append(0)
            self.run.append(0)
        return slot

    def _took_effect(self, number: int, image: int, turn: int, *, unknown: bool) -> None:
        keys, places = self.numbered.now
        slot = self._slot(keys[number])
        # Only the first image is from before this journal's runs; a later one may be their own write.
        if not self.record[slot]:
            self.before[slot] = image
            self.run[slot] = len(self.runs) - 1
        elif unknown:
            self.earlier.setdefault(slot, []).append(self.record[slot])
        if not unknown:
            self.earlier.pop(slot, None)
        self.record[slot] = places[number]
        self.unknown[slot] = unknown
        self.turn[slot] = turn


@dataclass(slots=True)
class Undone:
    """What an undo has, and how many writes it cannot take back since nothing was read before them.

    ``runs`` says whose doing is taken back, the oldest first: the run, how many policies are deleted, and how many are
    put back as they were. ``others`` counts the runs of the journal that are left alone though they wrote something.
    """

    without_image: int = 0
    runs: dict[str, tuple[Run, Counter[Action]]] = field(default_factory=dict)
    others: int = 0

    @property
    def counts(self) -> Counter[Action]:
        """How many policies are deleted, and how many are put back."""
        return sum((counts for _, counts in self.runs.values()), Counter[Action]())

    @property
    def restores(self) -> int:
        return self.counts.total()

    def add(self, run: Run, action: Action) -> None:
        self.runs.setdefault(run.run_id, (run, Counter()))[1][action] += 1


def undo_records(
    path: str | os.PathLike[str], tally: Undone, *, last: bool = False, run: str = ""
) -> Iterator[dict[str, Any]]:
    """The records that restore what was there, as an input takes them; ``tally`` is filled on the way.

    Args:
        last: take back only what the last run that wrote anything did; what earlier ones wrote stays.
        run: take back only what this run did, named by the beginning of its id.

    Raises:
        UsageError: the journal has no such run, or several.
        JournalError: the journal cannot be read.
    """
    written = _written(path, tally, last=last, run=run)
    with Path(path).open("rb") as file:
        for slot in sorted(range(len(written.record)), key=written.turn.__getitem__, reverse=True):
            if not written.before[slot]:
                tally.without_image += 1
                continue
            record, restore = _restore(written, slot, file)
            if restore is not None:
                tally.add(written.runs[written.run[slot]], restore.action)
                yield _line(record, restore)


def _written(path: str | os.PathLike[str], tally: Undone, *, last: bool, run: str) -> _Writes:
    """What all runs wrote together, or what the one wrote that is meant."""
    written, chosen, wrote = _Writes(), list[_Writes](), 0
    for offset, entry in read(path):
        if isinstance(entry, Run) and (last or run):
            written.close_section()
            wrote += written.anything
            chosen = _meant(chosen, written, run)
            written = _Writes(numbered=written.numbered)
        written.take(offset, entry)
    written.close_section()
    if not (last or run):
        return written
    chosen = _meant(chosen, written, run)
    if run and len(chosen) != 1:
        which = "several runs" if chosen else "no run that wrote anything"
        raise UsageError(f"{which} of the journal {path}: an id that begins with {run!r}", hint=_IDS)
    tally.others += wrote + written.anything - len(chosen)
    return chosen[-1] if chosen else written


def _meant(chosen: list[_Writes], written: _Writes, run: str) -> list[_Writes]:
    """Those that are meant, once it is known what one more run wrote: the last one, or those of an id."""
    if not written.anything or not written.runs[-1].run_id.startswith(run):
        return chosen
    return [*chosen, written] if run else [written]


def _restore(written: _Writes, slot: int, file: BinaryIO) -> tuple[RecordEntry, Restore | None]:
    """The last record sent of a policy, and what takes it and those before it back, if anything does."""
    before = read_entry(file, written.before[slot])
    assert isinstance(before, Before)
    status = Status.UNKNOWN if written.unknown[slot] else Status.APPLIED
    last = _record(file, written.record[slot])
    found = [
        restore
        for record in (last, *(_record(file, offset) for offset in written.earlier.get(slot, ())))
        if (restore := undo(Action(record.action), record.policy, before.policy, status)) is not None
    ]
    if not found:
        return last, None
    expected = dict.fromkeys(restore.if_match for restore in found)
    return last, replace(found[0], if_match=",".join(expected))


def _record(file: BinaryIO, offset: int) -> RecordEntry:
    record = read_entry(file, offset)
    assert isinstance(record, RecordEntry)
    return record


def _line(record: RecordEntry, restore: Restore) -> dict[str, Any]:
    line: dict[str, Any] = {
        "identity": record.identity,
        "policy_name": record.policy_name,
        "action": restore.action.value,
        "account": record.account,
        "region": record.region,
        "if_match": restore.if_match,
    }
    if restore.action is Action.PUT:
        target = Target(record.account, record.region)
        line |= {"policy": restore.document}
        line |= marked(target, record.key, record.policy_name, restore.document)
    return line
