"""A map from keys to numbers in a few bytes an entry.

A million records must fit beside a running program, so everything here is a 64-bit hash or a small number kept in
arrays. Hashes are Python's own, salted anew in every process: good for one run, never to be written down. Two
different keys of a million collide with a chance of one in 37 million.
"""

from __future__ import annotations

from array import array

_FIRST_SLOTS = 1024
WORD = 0xFFFF_FFFF_FFFF_FFFF
"""Of a hash, what a key keeps."""


def key_of(*parts: str) -> int:
    """A 64-bit key of these texts, the same for equal texts within this process; never 0."""
    return hash(parts) & WORD or 1


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
        there = self._slots[self._slot_of(key)]
        return self._values[there - 1] if there else None

    def setdefault(self, key: int, value: int) -> int:
        """Store ``value`` for a new ``key``; return what is stored for it now."""
        slots, keys = self._slots, self._keys
        slot = key & self._mask
        if slots[slot]:  # mostly it is free, and then nothing is to be looked for
            slot = self._slot_of(key)
            if there := slots[slot]:
                return self._values[there - 1]
        keys.append(key)
        self._values.append(value)
        slots[slot] = count = len(keys)
        if count == self._full:
            self._lay(4 * len(slots))
        return value

    def set(self, key: int, value: int) -> None:
        """Store ``value`` for ``key``, whatever was there."""
        if self.setdefault(key, value) != value:
            self._values[self._slots[self._slot_of(key)] - 1] = value

    def _slot_of(self, key: int) -> int:
        """The slot of ``key``, or the free one that it would have."""
        slots, keys, mask = self._slots, self._keys, self._mask
        slot = key & mask
        while (there := slots[slot]) and keys[there - 1] != key:
            slot = (slot + 1) & mask
        return slot

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
