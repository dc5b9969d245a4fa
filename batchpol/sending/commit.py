"""Group commit: entries of many lanes, one write and one fsync.

Hundreds of lanes write down an intent and an outcome each second; an fsync for each would cost more than the
requests. Whoever comes while a write is under way is written together with everyone else who came meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

Entry = TypeVar("Entry")

GATHER = 0.01
"""Seconds from one write to the next at least: a write and its trip to a thread cost as much processor time as a
quarter of a request, and a hundred a second are enough for any number of lanes. The first one after a pause goes at
once."""


class GroupCommit(Generic[Entry]):
    """Makes entries durable, many at a time, in the order in which they were given.

    Args:
        write: writes a list of entries and returns when they are durable. If it raises, the same error goes to
            everyone who waits and to everyone who comes later: a journal that failed once is not written again.
    """

    def __init__(self, write: Callable[[list[Entry]], Awaitable[None]]) -> None:
        self._write = write
        self._pending: list[Entry] = []
        self._given = 0
        self._durable = 0
        self._writing = anyio.Lock()
        self._failure: BaseException | None = None
        self._not_before = 0.0

    async def add(self, *entries: Entry) -> None:
        """Return when the entries are durable; raise what the write raised if they are not."""
        if self._failure is not None:
            raise self._failure
        self._pending.extend(entries)
        self._given += len(entries)
        mine = self._given
        while self._durable < mine:
            async with self._writing:
                if self._failure is not None:
                    raise self._failure
                if self._durable < mine:
                    await self._flush()

    async def _flush(self) -> None:
        try:
            # Shielded: a cancelled caller must not tear others' entries out of the write under way.
            with anyio.CancelScope(shield=True):
                if (wait := self._not_before - anyio.current_time()) > 0:
                    await anyio.sleep(wait)
                batch, self._pending = self._pending, []
                await self._write(batch)
        except BaseException as error:
            self._failure = error
            raise
        self._durable += len(batch)
        self._not_before = anyio.current_time() + GATHER
