"""The part of a batch that one worker has to itself: the targets whose hash falls to it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from batchpol.model import Target


@dataclass(frozen=True, slots=True)
class Shard:
    """The ``number``-th (from 1) of ``count`` parts. Each target lies in exactly one, on every machine and version."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def of(cls, target: Target, count: int) -> Self:
        """The one of ``count`` shards in which a target lies."""
        digest = blake2b(f"{target.account}/{target.region}".encode(), digest_size=8).digest()
        return cls(int.from_bytes(digest, "big") % count + 1, count)
