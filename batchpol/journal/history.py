"""What a whole journal says of each change: the latest fate over all its sections, by content.

A resume matches its records against this, so an edited or reordered input works. About 65 bytes a record in
memory; the outcomes themselves stay in the file.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import NamedTuple, cast

import msgspec

from batchpol.journal.chain import Chain
from batchpol.journal.entries import FINISHED, REPEATS, End, Intent, Planned, Run, Same
from batchpol.journal.peek import ChangeLine, OutcomePeek, RecordChange, decode_changes
from batchpol.journal.repeats import Numbered
from batchpol.journal.section import CODE_OF, STATUSES
from batchpol.model import Change, Status
from batchpol.model.keyindex import KeyIndex, key_of


class Earlier(NamedTuple):
    """What became of a change when it was last asked for.

    ``offset`` is where its outcome stands, for :meth:`Journal.read_outcome`; 0 if it was sent and has none. ``stands``
    says that a record which is the same as in the last planned section takes it over by itself, ``old`` that it was
    found before a run came to its end, after which none but runs that look at nothing were begun.
    """

    status: Status
    retryable: bool
    offset: int
    stands: bool
    old: bool


class Written(NamedTuple):
    """A write of an earlier run: where its record stands, for :meth:`Journal.read_record`, when it was sent, in ISO
    8601, and whether SES took it for certain; without an answer it may have. ``before`` is the one before it."""

    offset: int
    at: str
    sure: bool
    before: Written | None


_RECORDS_ALONE = frozenset({RecordChange})
_SENT_SIZE = 275
"""Bytes that the intent and the outcome of one record take, about."""

_LATELY = timedelta(minutes=10)
"""For how long a write is remembered after which others were made: longer than any read is stale."""

_NOT_ATTEMPTED, _APPLIED, _FAILED = (
    CODE_OF[status.value] for status in (Status.NOT_ATTEMPTED, Status.APPLIED, Status.FAILED)
)
_RETRYABLE = 0x80
_UNANSWERED = CODE_OF[Status.UNKNOWN.value] | _RETRYABLE
_SENT = {
    status.value: CODE_OF[status.value] for status in (Status.APPLIED, Status.UNCHANGED, Status.FAILED, Status.UNKNOWN)
}
"""The outcomes that say something about what SES holds; any other leaves an earlier fate the latest."""
_NO_SLOT = 0xFFFFFFFF
_COVERED = 1 << 63
"""Of the place of an outcome: another one followed that says nothing of what SES holds."""


class History:
    """The latest fate of every change in a journal.

    ``run`` is the header of the last section, ``planned`` the last section's plan (None: it never began to send),
    ``end`` how it ended (None: it was killed).
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.planned: Planned | None = None
        self.end: End | None = None
        self._index = KeyIndex()
        # By slot, one for each (account, Region, identity, name):
        self._ask = array("Q")  # hash of the action and document that the fate is about
        self._fate_at = array("Q")
        self._state = bytearray()
        # By record number in the section under way:
        self._numbered = Numbered("I", "Q", "Q")
        self._slots, self._asks, self._records = self._numbered.now
        # Of the last section that was planned: its header, its records and where it ends.
        self._before: tuple[Run | None, array[int], int] = None, array("Q"), 0
        # Where the first run stands that looked at nothing after one that came to its end: what it took over is older.
        self._unlooked = 0
        # By slot, the last write that SES took or may have taken; of the last minutes only.
        self._written: OrderedDict[int, Written] = OrderedDict()

    def __len__(self) -> int:
        """How many different (account, Region, identity, policy name) were ever asked for."""
        return len(self._state)

    def counts(self) -> dict[Status, int]:
        """How many changes are in each status, over all sections; a status of which there is none is left out."""
        found = {
            status: self._state.count(code) + self._state.count(code | _RETRYABLE)
            for code, status in enumerate(STATUSES)
        }
        return {status: count for status, count in found.items() if count}

    def fate(self, account: str, region: str, key: str, policy_name: str, action: str, sha256: str) -> Earlier | None:
        """What became of exactly this change, or None if it was never sent or another document came after it.

        Args:
            key: the identity's canonical name (:attr:`Change.key_identity`).
            sha256: the SHA-256 of the document as sent.
        """
        slot = self._index.get(key_of(account, region, key, policy_name))
        if slot is None or self._ask[slot] != key_of(action, sha256):
            return None
        state = self._state[slot]
        if state == _NOT_ATTEMPTED:
            return None
        at = self._fate_at[slot]
        stands = 0 < at < self._before[2]
        old = 0 < at & ~_COVERED < self._unlooked
        return Earlier(STATUSES[state & ~_RETRYABLE], bool(state & _RETRYABLE), at & ~_COVERED, stands, old)

    def repeatable(self, run: Run) -> array[int]:
        """Where the records stand that a run need not write again if they are the same, by number."""
        before, records, _ = self._before
        same = before is not None and before.columns == run.columns and run.format >= REPEATS
        return records if same else array("Q")

    def fate_of(self, change: Change) -> Earlier | None:
        """What became of a change: see :meth:`fate`."""
        to, action = change.target, change.action.value
        return self.fate(to.account, to.region, change.key_identity, change.policy_name, action, change.sha256)

    @property
    def is_over(self) -> bool:
        """Whether the last run came to its end, whatever its records came to: there is nothing to go on with."""
        return self.end is not None and self.end.reason == FINISHED

    def lately(self) -> list[Written]:
        """The last write to each policy that was written in the journal's last minutes, oldest first, each behind
        those before it that it may not have replaced."""
        found: list[Written] = []
        for wrote in self._written.values():
            at, before = len(found), wrote.before
            found.append(wrote)
            while before is not None:
                found.insert(at, before)
                before = before.before
        return found

    def forget(self) -> None:
        """Take no change for done any more."""
        self._state[:] = bytes([_NOT_ATTEMPTED]) * len(self._state)

    def read(self, chain: Chain) -> None:
        """Take in a whole journal."""
        for offset, block in chain.blocks():
            try:
                entries = decode_changes(block)
                if offset == 0:
                    self._index = KeyIndex(chain.ahead // (len(block) // len(entries) + _SENT_SIZE))
                if _RECORDS_ALONE.issuperset(map(type, entries)):
                    at, end_of = offset, block.find
                    for entry in cast(list[RecordChange], entries):
                        self._take_record(entry, at)
                        at = offset + end_of(b"\n", at - offset) + 1
                else:
                    self._take(entries, offset, block, chain)
                    self._let_go_of_old_writes()
            except (msgspec.DecodeError, LookupError, ValueError) as error:
                raise chain.undecodable(repr(error)) from error
        self._close_section(chain.size)
        self._numbered = Numbered("I", "Q", "Q")
        self._slots, self._asks, self._records = self._numbered.now

    def _take(self, entries: list[ChangeLine], offset: int, block: bytes, chain: Chain) -> None:
        # One plain loop with few look-ups: it is passed two million times for a million records.
        slots, asks, end_of, stop = self._slots, self._asks, block.find, 0
        ask_of, state, fate_at = self._ask, self._state, self._fate_at
        for entry in entries:
            at, stop = offset + stop, end_of(b"\n", stop) + 1
            if type(entry) is OutcomePeek:  # quicker than isinstance()
                code = _SENT.get(entry.status)
                slot = slots[entry.n]
                if entry.carried and self._unlooked and fate_at[slot]:
                    pass  # it says again what was found before, not anew
                elif code is not None and (code != _FAILED or entry.attempts):  # what was never sent is always due
                    if not entry.carried and slot in self._written:
                        self._answered(slot, code)
                    ask_of[slot] = asks[entry.n]
                    state[slot] = code | _RETRYABLE if entry.retryable else code
                    fate_at[slot] = at
                elif slot != _NO_SLOT and fate_at[slot]:
                    fate_at[slot] |= _COVERED
            elif type(entry) is Intent:
                slot = slots[entry.n]
                ask_of[slot] = asks[entry.n]
                state[slot] = _UNANSWERED
                fate_at[slot] = 0
                before = self._written.pop(slot, None)
                if before is not None and entry.attempt > 1 and before.offset == self._records[entry.n]:
                    before = before.before  # the same record, tried again
                self._written[slot] = Written(self._records[entry.n], entry.at, False, before)
            elif type(entry) is RecordChange:
                self._take_record(entry, at)
            elif isinstance(entry, Run):
                chain.check_format(entry.format)
                self._begin(entry, at)
                slots, asks = self._slots, self._asks
            elif isinstance(entry, Same):
                self._numbered.take(entry)
            elif isinstance(entry, Planned):
                self.planned = entry
                self._numbered.take(entry)
            elif isinstance(entry, End):
                self.end = entry

    def _begin(self, run: Run, at: int) -> None:
        self._close_section(at)
        self._numbered.take(run)
        self._slots, self._asks, self._records = self._numbered.now
        if run.anew:
            self.forget()
            self._unlooked = 0
        elif self.is_over and not run.options.get("compare", True):
            self._unlooked = at
        self.run, self.planned, self.end = run, None, None

    def _answered(self, slot: int, code: int) -> None:
        """What was written last has its outcome: it is certain, or it never took effect, or nobody knows."""
        wrote = self._written[slot]
        if code == _APPLIED:
            self._written[slot] = wrote._replace(sure=True, before=None)
        elif code == _FAILED and wrote.before is None:
            del self._written[slot]
        elif code == _FAILED and wrote.before is not None:
            self._written[slot] = wrote.before

    def _let_go_of_old_writes(self) -> None:
        if not self._written:
            return
        newest = datetime.fromisoformat(next(reversed(self._written.values())).at)
        while newest - datetime.fromisoformat(next(iter(self._written.values())).at) > _LATELY:
            self._written.popitem(last=False)

    def _take_record(self, entry: RecordChange, offset: int) -> None:
        """Number a record of the section under way and find the slot of its (account, Region, identity, name)."""
        if entry.n != len(self._slots):
            raise ValueError(f"record {entry.n} stands where {len(self._slots)} was due")
        self._records.append(offset)
        if entry.verdict:
            self._slots.append(_NO_SLOT)
            self._asks.append(0)
            return
        ask = key_of(entry.action, entry.sha256)
        new = len(self._state)
        slot = self._index.setdefault(key_of(entry.account, entry.region, entry.key, entry.policy_name), new)
        self._slots.append(slot)
        self._asks.append(ask)
        if slot == new:
            self._ask.append(ask)
            self._fate_at.append(0)
            self._state.append(_NOT_ATTEMPTED)

    def _close_section(self, at: int) -> None:
        """At a section's end: one that was killed may have lost its last lines, intents among them.

        So a document it meant to send counts as sent after an earlier, different one: that one is sent again
        if asked for, rather than taken for done. One that was never planned sent nothing.
        """
        if self.run is None or self.planned is None:
            return
        if self.run.format >= REPEATS and len(self._records) == self.planned.records:  # a desk's has more
            self._before = self.run, self._records, at
        if self.end is None:
            for slot, ask in zip(self._slots, self._asks, strict=True):
                if slot != _NO_SLOT and self._ask[slot] != ask:
                    self._ask[slot] = ask
                    self._state[slot] = _NOT_ATTEMPTED
                    self._fate_at[slot] = 0
