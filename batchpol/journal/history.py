"""What a whole journal says of each change: the latest fate over all its sections, by content.

A resume matches its records against this, so an edited or reordered input works. About 65 bytes a record in
memory; the outcomes themselves stay in the file.
"""

from __future__ import annotations

from array import array
from typing import Annotated, NamedTuple

import msgspec

from batchpol.index import KeyIndex, key_of
from batchpol.journal.chain import Chain
from batchpol.journal.entries import End, Planned, Run
from batchpol.journal.section import CODE_OF, STATUSES
from batchpol.model import Status, Target


class Fate(NamedTuple):
    """What became of a change when it was last asked for.

    ``offset`` is where its outcome stands, for :meth:`Journal.read_outcome`; 0 if it was sent and has none.
    """

    status: Status
    retryable: bool
    offset: int


class _Record(msgspec.Struct, tag_field="t", tag="record", gc=False):
    n: Annotated[int, msgspec.Meta(ge=0)]
    policy_name: str
    key: str = ""
    account: str = ""
    region: str = ""
    action: str = "put"
    sha256: str = ""
    verdict: str = ""


class _Intent(msgspec.Struct, tag_field="t", tag="intent", gc=False):
    n: Annotated[int, msgspec.Meta(ge=0)]
    at: str


class _Outcome(msgspec.Struct, tag_field="t", tag="outcome", gc=False):
    n: Annotated[int, msgspec.Meta(ge=0)]
    status: Status
    retryable: bool = False


class _Before(msgspec.Struct, tag_field="t", tag="before", gc=False):
    pass


class _Note(msgspec.Struct, tag_field="t", tag="note", gc=False):
    pass


_decode_lines = msgspec.json.Decoder(Run | Planned | End | _Record | _Intent | _Outcome | _Before | _Note).decode_lines

_NOT_ATTEMPTED = CODE_OF[Status.NOT_ATTEMPTED]
_UNKNOWN = CODE_OF[Status.UNKNOWN]
_RETRYABLE = 0x80
_SENT = frozenset({Status.APPLIED, Status.UNCHANGED, Status.FAILED, Status.UNKNOWN})
_NO_SLOT = 0xFFFFFFFF


class History:
    """The latest fate of every change in a journal, and when each target was last written to.

    ``run`` is the header of the last section, ``planned`` the last section's plan (None: it never began to send),
    ``end`` how it ended (None: it was killed). ``last_sent`` gives per target the wall-clock time (ISO 8601) of
    the newest intent in the file.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.planned: Planned | None = None
        self.end: End | None = None
        self.last_sent: dict[Target, str] = {}
        self._index = KeyIndex()
        # By slot, one for each (account, Region, identity, name):
        self._ask = array("Q")  # hash of the action and document that the fate is about
        self._fate_at = array("Q")
        self._state = bytearray()
        self._target = array("I")
        # By record number in the section under way:
        self._slots = array("I")
        self._asks = array("Q")
        self._targets: dict[tuple[str, str], int] = {}
        self._target_list: list[Target] = []

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

    def fate(self, account: str, region: str, key: str, policy_name: str, action: str, sha256: str) -> Fate | None:
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
        return Fate(STATUSES[state & ~_RETRYABLE], bool(state & _RETRYABLE), self._fate_at[slot])

    def read(self, chain: Chain) -> None:
        """Take in a whole journal."""
        for offset, block in chain.blocks():
            try:
                for entry, line in zip(_decode_lines(block), block.split(b"\n"), strict=False):
                    self._take(entry, offset)
                    offset += len(line) + 1
            except (msgspec.DecodeError, IndexError, ValueError) as error:
                raise chain.undecodable(str(error)) from error
        self._close_section()

    def _take(self, entry: object, offset: int) -> None:
        match entry:
            case _Record():
                self._record(entry)
            case _Intent():
                self._intent(entry)
            case _Outcome():
                self._outcome(entry, offset)
            case Run():
                self._close_section()
                self.run, self.planned, self.end = entry, None, None
            case Planned():
                self.planned = entry
            case End():
                self.end = entry

    def _record(self, entry: _Record) -> None:
        if entry.n != len(self._slots):
            raise ValueError(f"record {entry.n} stands where {len(self._slots)} was due")
        if entry.verdict:
            self._slots.append(_NO_SLOT)
            self._asks.append(0)
            return
        ask = key_of(entry.action, entry.sha256)
        new = len(self._state)
        slot = self._index.setdefault(key_of(entry.account, entry.region, entry.key, entry.policy_name), new)
        if slot == new:
            self._ask.append(ask)
            self._fate_at.append(0)
            self._state.append(_NOT_ATTEMPTED)
            self._target.append(self._target_number(entry.account, entry.region))
        self._slots.append(slot)
        self._asks.append(ask)

    def _target_number(self, account: str, region: str) -> int:
        number = self._targets.setdefault((account, region), len(self._target_list))
        if number == len(self._target_list):
            self._target_list.append(Target(account, region))
        return number

    def _intent(self, entry: _Intent) -> None:
        slot = self._slots[entry.n]
        self._ask[slot] = self._asks[entry.n]
        self._state[slot] = _UNKNOWN | _RETRYABLE
        self._fate_at[slot] = 0
        self.last_sent[self._target_list[self._target[slot]]] = entry.at

    def _outcome(self, entry: _Outcome, offset: int) -> None:
        # A fate without a request says nothing about what SES holds: an earlier one stays the latest.
        if entry.status not in _SENT:
            return
        slot = self._slots[entry.n]
        self._ask[slot] = self._asks[entry.n]
        self._state[slot] = CODE_OF[entry.status] | (_RETRYABLE if entry.retryable else 0)
        self._fate_at[slot] = offset

    def _close_section(self) -> None:
        """At a section's end: one that was killed may have lost its last lines, intents among them.

        So a document it meant to send counts as sent after an earlier, different one: that one is sent again
        if asked for, rather than taken for done.
        """
        if self.end is None:
            for slot, ask in zip(self._slots, self._asks, strict=True):
                if slot != _NO_SLOT and self._ask[slot] != ask:
                    self._ask[slot] = ask
                    self._state[slot] = _NOT_ATTEMPTED
                    self._fate_at[slot] = 0
        self._slots = array("I")
        self._asks = array("Q")
