"""What a batch remembers of its earlier records: a few numbers each, never the records (floor 1).

A million records must fit beside a running program, so everything here is a 64-bit hash or a small number kept in
arrays. Hashes are Python's own, salted anew in every process: good for one run, never to be written down. Two
different keys of a million collide with a chance of one in 37 million.
"""

from __future__ import annotations

from array import array
from enum import Enum, auto
from struct import Struct
from typing import NamedTuple

_FIRST_SLOTS = 1024
_WORD = 0xFFFF_FFFF_FFFF_FFFF
_HALF = 0x7FFF_FFFF
_PUT, _INDEXED = 1, 2
_row = Struct("=qqqq").pack


def key_of(*parts: str) -> int:
    """A 64-bit key of these texts, the same for equal texts within this process; never 0."""
    return hash(parts) & _WORD or 1


def place_of(stated: tuple[str, str], implied: tuple[str, str]) -> int:
    """Account and Region as one number: as the record or the run gives them, and with gaps filled otherwise.

    Two places are the same when one of the two halves is: what both leave open is the run's own, and what a
    document says is where its change belongs.
    """
    return (hash(stated) & _HALF) << 32 | (hash(implied) & _HALF)


class KeyIndex:
    """A map from 64-bit keys to numbers below 2**32: 20 to 32 bytes an entry.

    Keys and values stand in the order in which they came; a table of slots, at most half full, says where (open
    addressing with linear probing; 0 marks a free slot). Only the slots are made anew when it grows, fourfold, so
    that each entry is moved once in three on average; ``expected`` entries fit in at once.
    """

    __slots__ = ("_full", "_keys", "_mask", "_slots", "_values")

    def __init__(self, expected: int = 0) -> None:
        self._keys = array("Q")
        self._values = array("I")
        self._lay(max(_FIRST_SLOTS, 1 << (2 * expected).bit_length()))

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: int) -> int | None:
        """The number stored for ``key``, or None."""
        slots, mask = self._slots, self._mask
        slot = key & mask
        while there := slots[slot]:
            if self._keys[there - 1] == key:
                return self._values[there - 1]
            slot = (slot + 1) & mask
        return None

    def setdefault(self, key: int, value: int) -> int:
        """Store ``value`` for a new ``key``; return what is stored for it now."""
        slots, mask = self._slots, self._mask
        slot = key & mask
        while there := slots[slot]:
            if self._keys[there - 1] == key:
                return self._values[there - 1]
            slot = (slot + 1) & mask
        keys = self._keys
        keys.append(key)
        self._values.append(value)
        slots[slot] = count = len(keys)
        if count == self._full:
            self._lay(4 * len(slots))
        return value

    def set(self, key: int, value: int) -> None:
        """Store ``value`` for ``key``, whatever was there."""
        if self.setdefault(key, value) != value:
            slots, mask = self._slots, self._mask
            slot = key & mask
            while self._keys[slots[slot] - 1] != key:
                slot = (slot + 1) & mask
            self._values[slots[slot] - 1] = value

    def _lay(self, size: int) -> None:
        """Lay the entries out in that many slots."""
        mask = size - 1
        slots = array("I", bytes(4 * size))
        for number, key in enumerate(self._keys, 1):
            slot = key & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = number
        self._slots, self._mask, self._full = slots, mask, size // 2


class Fate(Enum):
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

    fate: Fate
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
        whose = hash(identity) & _WORD or 1
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
            return Noted(Fate.OVERFULL, names=names)
        self._rows.extend(words)
        self._flags.append(is_put | _INDEXED)
        self._name_counts.append(0)
        self._name_counts[holder] = min(names, 255)
        for key in keys:
            self._index.set(key, row)
        return Noted(Fate.NEW, names=names)

    def _holder(self, identity: int, place: int, row: int) -> int:
        """The row that counts the names of this identity in this account and Region."""
        first = self._index.get(identity)
        if first is not None and (self._rows[4 * first + 3] ^ place) & _HALF == 0:
            return first
        return self._index.setdefault(_mixed(identity, place & _HALF), row)

    def _meet(self, earlier: int, number: int, identity: int, digest: int) -> Noted:
        there = self._rows[4 * earlier]
        if earlier in self._conflicts:
            return Noted(Fate.CONFLICT, there >> 32, there & _HALF)
        if self._rows[4 * earlier + 2] == digest:
            self._copies.setdefault(earlier, []).append(number)
            return Noted(Fate.DUPLICATE, there >> 32, there & _HALF)
        self._conflicts.add(earlier)
        if self._flags[earlier] & _PUT:
            holder = self._holder(identity, self._rows[4 * earlier + 3], earlier)
            self._name_counts[holder] = max(self._name_counts[holder] - 1, 0)
        amends = (there >> 32, *self._copies.pop(earlier, ()))
        return Noted(Fate.CONFLICT, there >> 32, there & _HALF, amends=amends)


NEW = Noted(Fate.NEW)
"""Of an identity that was not there before."""


def _mixed(*words: int) -> int:
    return hash(words) & _WORD or 1


def _keys(identity: int, name: int, place: int) -> tuple[int, ...]:
    """Under which keys a change is found: its implied place and, where that differs, its stated one."""
    stated, implied = place >> 32, place & _HALF
    if stated == implied:
        return (_mixed(identity, name, implied),)
    return _mixed(identity, name, implied), _mixed(identity, name, stated)
