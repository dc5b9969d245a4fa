"""Group commit: entries of many lanes, one write and one fsync.

Hundreds of lanes write down an intent and an outcome each second; an fsync for each would cost more than the
requests. Whoever comes while a write is under way is written together with everyone else who came meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import anyio

Entry = TypeVar("Entry")

GATHER = 0.01
"""Seconds from one write to the next at least: a write and its trip to a thread cost as much processor time as a
quarter of a request, and a hundred a second are enough for any number of lanes. The first one after a pause goes at
once."""


class _Batch(Generic[Entry]):
    """Entries that are written together. Whoever gives the first one writes them all and wakes the others at once."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.over = anyio.Event()
        self.failure: BaseException | None = None


class GroupCommit(Generic[Entry]):
    """Makes entries durable, many at a time, in the order in which they were given.

    Args:
        write: writes a list of entries and returns when they are durable. If it raises, the same error goes to
            everyone who waits and to everyone who comes later: a journal that failed once is not written again.
        at_once: what takes entries instead where there is no disk to wait for, so that nothing is gathered.

    Attributes:
        failure: that error.
    """

    def __init__(
        self,
        write: Callable[[list[Entry]], Awaitable[None]],
        at_once: Callable[[Sequence[Entry]], None] | None = None,
    ) -> None:
        self._write, self._at_once = write, at_once
        self._next = _Batch[Entry]()
        self._writing = anyio.Lock()
        self.failure: BaseException | None = None
        self._not_before = 0.0

    async def add(self, *entries: Entry) -> None:
        """Return when the entries are durable; raise what the write raised if they are not."""
        if self.failure is not None:
            raise self.failure
        if self._at_once is not None:
            try:
                self._at_once(entries)
            except BaseException as error:
                self.failure = error
                raise
            return
        batch, first = self._next, not self._next.entries
        batch.entries.extend(entries)
        if not first:
            await batch.over.wait()
        elif entries:
            await self._flush(batch)
        if batch.failure is not None:
            raise batch.failure

    async def _flush(self, batch: _Batch[Entry]) -> None:
        """Write the batch when the one before it is written. An error of the write is everyone's."""
        try:
            # Shielded: a cancelled caller must not leave others' entries behind, nor tear them out of a write. (From
            # what asyncio itself cancels nothing can be shielded: whom it may cancel has another task give them.)
            with anyio.CancelScope(shield=True):
                async with self._writing:
                    if self.failure is None and (wait := self._not_before - anyio.current_time()) > 0:
                        await anyio.sleep(wait)
                    self._next = _Batch()
                    if self.failure is None:
                        await self._write(batch.entries)
                    self._not_before = anyio.current_time() + GATHER
        except BaseException as error:
            self.failure = error
        finally:
            batch.failure = self.failure
            batch.over.set()
