"""The part of a batch that one worker has to itself: the targets whose hash falls to it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from batchpol.model import Target


@dataclass(frozen=True, slots=True)
class Shard:
    """The ``number``-th (from 1) of ``count`` parts. Each target lies in exactly one, on every machine and version."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def has(self, target: Target) -> bool:
        """Whether a target lies in this shard."""
        digest = blake2b(f"{target.account}/{target.region}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1
