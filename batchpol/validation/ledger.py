"""What a batch remembers of its earlier records: a few numbers each, never the records.

Hashes are Python's own, as in :mod:`batchpol.model.keyindex`.
"""

from __future__ import annotations

from array import array
from enum import Enum, auto
from struct import Struct
from typing import NamedTuple

from batchpol.model.keyindex import WORD, KeyIndex

_HALF = 0x7FFF_FFFF
_PUT, _INDEXED = 1, 2
_row = Struct("=qqqq").pack


def place_of(stated: tuple[str, str], implied: tuple[str, str]) -> int:
    """Account and Region as one number: as the record or the run gives them, and with gaps filled otherwise.

    Two places are the same when one of the two halves is: what both leave open is the run's own, and what a
    document says is where its change belongs.
    """
    return (hash(stated) & _HALF) << 32 | (hash(implied) & _HALF)


class Relation(Enum):
    """What an entry is beside the earlier ones of its batch."""

    NEW = auto()
    DUPLICATE = auto()
    """The same change as an earlier one."""
    CONFLICT = auto()
    """Another change of the same thing as an earlier one: neither may be sent."""
    OVERFULL = auto()
    """One name too many on its identity; it was not entered."""


class Noted(NamedTuple):
    """What became of an entry: the earlier one it meets (number and line), the names its identity has by now,
    and the numbers of all earlier entries that a conflict takes down with it."""

    relation: Relation
    number: int = -1
    line: int = 0
    names: int = 1
    amends: tuple[int, ...] = ()


class Ledger:
    """Every change of a batch so far, to find duplicates, conflicts and overfull identities.

    An identity seen once costs one index entry and one row of 34 bytes; only when it is seen again are its names
    indexed too.
    """

    def __init__(self) -> None:
        self._index = KeyIndex()
        self._setdefault = self._index.setdefault
        self._rows = array("q")
        """Four words a row: number and line, name, digest, place."""
        self._add_row = self._rows.frombytes
        self._name_counts = bytearray()
        self._flags = bytearray()
        self._conflicts: set[int] = set()
        self._copies: dict[int, list[int]] = {}

    def note(
        self,
        number: int,
        line: int,
        identity: str,
        name: str,
        document: str,
        place: int,
        is_put: bool,
        limit: int | None = None,
    ) -> Noted:
        """Enter one change; with a ``limit``, not when its identity has that many names put on it already.

        ``number`` and ``line`` are the record's, ``identity`` is canonical and ``place`` from :func:`place_of`; two
        changes are about one thing when identity, name and place are the same.
        """
        flags = self._flags
        row = len(flags)
        whose = hash(identity) & WORD or 1
        first = self._setdefault(whose, row)
        digest = hash(document) if is_put else ~hash(document)
        if first == row:
            self._add_row(_row(number << 32 | line & _HALF, hash(name), digest, place))
            flags.append(is_put)
            self._name_counts.append(is_put)
            return NEW
        words = (number << 32 | line & _HALF, hash(name), digest, place)
        if not flags[first] & _INDEXED:
            flags[first] |= _INDEXED
            for key in _keys(whose, self._rows[4 * first + 1], self._rows[4 * first + 3]):
                self._index.set(key, first)
        keys = _keys(whose, words[1], place)
        found = [self._index.get(key) for key in keys]
        earlier = next((there for there in found if there is not None), None)
        if earlier is None:
            return self._enter(whose, words, keys, is_put, limit)
        for key in keys:
            self._index.setdefault(key, earlier)
        return self._meet(earlier, number, whose, words[2])

    def _enter(
        self, identity: int, words: tuple[int, ...], keys: tuple[int, ...], is_put: bool, limit: int | None
    ) -> Noted:
        row = len(self._flags)
        holder = self._holder(identity, words[3], row)
        names = (0 if holder == row else self._name_counts[holder]) + is_put
        if limit is not None and is_put and names > limit:
            return Noted(Relation.OVERFULL, names=names)
        self._rows.extend(words)
        self._flags.append(is_put | _INDEXED)
        self._name_counts.append(0)
        self._name_counts[holder] = min(names, 255)
        for key in keys:
            self._index.set(key, row)
        return Noted(Relation.NEW, names=names)

    def _holder(self, identity: int, place: int, row: int) -> int:
        """The row that counts the names of this identity in this account and Region."""
        first = self._index.get(identity)
        if first is not None and (self._rows[4 * first + 3] ^ place) & _HALF == 0:
            return first
        return self._index.setdefault(_mixed(identity, place & _HALF), row)

    def _meet(self, earlier: int, number: int, identity: int, digest: int) -> Noted:
        there = self._rows[4 * earlier]
        if earlier in self._conflicts:
            return Noted(Relation.CONFLICT, there >> 32, there & _HALF)
        if self._rows[4 * earlier + 2] == digest:
            self._copies.setdefault(earlier, []).append(number)
            return Noted(Relation.DUPLICATE, there >> 32, there & _HALF)
        self._conflicts.add(earlier)
        if self._flags[earlier] & _PUT:
            holder = self._holder(identity, self._rows[4 * earlier + 3], earlier)
            self._name_counts[holder] = max(self._name_counts[holder] - 1, 0)
        amends = (there >> 32, *self._copies.pop(earlier, ()))
        return Noted(Relation.CONFLICT, there >> 32, there & _HALF, amends=amends)


NEW = Noted(Relation.NEW)
"""Of an identity that was not there before."""


def _mixed(*words: int) -> int:
    return hash(words) & WORD or 1


def _keys(identity: int, name: int, place: int) -> tuple[int, ...]:
    """Under which keys a change is found: its implied place and, where that differs, its stated one."""
    stated, implied = place >> 32, place & _HALF
    if stated == implied:
        return (_mixed(identity, name, implied),)
    return _mixed(identity, name, implied), _mixed(identity, name, stated)
