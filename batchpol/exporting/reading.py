"""All targets of an export at once: each is entered and may stop alone; what is read is kept and delivered in order."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import anyio
import anyio.to_thread

from batchpol.exporting.observer import ExportObserver
from batchpol.exporting.options import ANY, ExportOptions
from batchpol.exporting.partial import Partial
from batchpol.exporting.target import TargetReader
from batchpol.model import Target
from batchpol.model.errors import JournalError, SesError
from batchpol.sending.stopping import Stoppable, task_group
from batchpol.sending.targets import Targets

SYNC_EVERY = 10.0
"""Seconds of reading that a power cut may cost."""

Deliver = Callable[[list[bytes]], Awaitable[None]]


class Readers:
    """The reading of one export.

    Args:
        run: begins nothing once it was stopped.
        targets: what is entered.
        wanted: by target, the identities to read; None for all that there are.
        partial: where what is read is kept.
        options: every choice of the export.
        observer: who wants to know.

    Attributes:
        readers: of the targets that were entered.
    """

    def __init__(
        self,
        run: Stoppable,
        targets: Targets,
        wanted: Mapping[Target, Sequence[str] | None],
        partial: Partial,
        options: ExportOptions,
        observer: ExportObserver,
    ) -> None:
        self._run, self._targets, self._wanted, self._partial = run, targets, wanted, partial
        self._options, self._observer = options, observer
        self.readers: dict[Target, TargetReader] = {}
        self._ready = {target: _Ready() for target in wanted}
        self._synced = time.monotonic()
        self._delivered = False

    async def read(self, deliver: Deliver | None) -> None:
        """Read everything, or as much as can be.

        Args:
            deliver: given the rows of one identity after the other, those of the first target first.

        Raises:
            JournalError: what is read cannot be kept.
        """
        self._delivered = deliver is None
        async with task_group(JournalError) as tasks:
            for target in self._wanted:
                tasks.start_soon(self._read_target, target)
            if deliver is not None:
                await self._deliver(deliver)

    def halt(self) -> None:
        """Begin with no other identity; those begun are finished."""
        for reader in self.readers.values():
            reader.halt()

    @property
    def complete(self) -> bool:
        """Whether every identity of every target was read, or found unreadable, and delivered."""
        readers = self.readers.values()
        return self._delivered and len(readers) == len(self._wanted) and all(reader.complete for reader in readers)

    def in_order(self) -> list[TargetReader]:
        """The readers, in the order of the targets that are wanted."""
        return [self.readers[target] for target in self._wanted if target in self.readers]

    async def _read_target(self, target: Target) -> None:
        try:
            async with self._targets.entering:
                if self._run.stopped is not None:
                    return
                patience = self._options.patience
                contact = await self._targets.contact(target, patience, self._observer, only_reads=True)
            reader = self.readers[target] = TargetReader(
                contact,
                self._observer,
                known=lambda identity: self._partial.has(target, identity),
                keep=lambda identity, rows: self._keep(target, identity, rows),
                named=self._wanted[target],
                match=self._options.scope.match or ANY,
                match_name=self._options.scope.match_name or ANY,
            )
            self._ready[target].follow(reader)
            if self._run.stopped is None:
                await reader.run()
            if reader.stopped is not None:
                self._stopped(target, reader.stopped)
        except SesError as error:
            self._stopped(target, error)
        finally:
            self._ready[target].end()

    async def _keep(self, target: Target, identity: str, rows: list[bytes]) -> None:
        self._partial.add(target, identity, rows)
        self._ready[target].tell(identity)
        if self._partial.path is not None and time.monotonic() - self._synced > SYNC_EVERY:
            self._synced = time.monotonic()
            await anyio.to_thread.run_sync(self._partial.sync)

    def _stopped(self, target: Target, error: SesError) -> None:
        text = f"stopped: {error.in_full}"
        self._observer.stopped(target, text)
        self._run.ended_alone(f"{target} {text}")

    async def _deliver(self, deliver: Deliver) -> None:
        """Deliver what is read, as it is read, one target after the other."""
        for target, ready in self._ready.items():
            async for identity in ready:
                if rows := self._partial.rows(target, identity):
                    await deliver(rows)
        self._delivered = True


class _Ready:
    """What of a target is ready to be delivered: an asynchronous iterator of identities, once through.

    They come in the order of the listing; those that SES did not answer for at first come last.
    """

    def __init__(self) -> None:
        self._identities: Sequence[str] = ()
        self._postponed: Sequence[str] = ()
        self._read: set[str] = set()
        self._over = False
        self._news = anyio.Event()

    def follow(self, reader: TargetReader) -> None:
        """Deliver in the order of this one's listing."""
        self._identities, self._postponed = reader.identities, reader.postponed

    def tell(self, identity: str) -> None:
        """An identity was read."""
        self._read.add(identity)
        self._news.set()

    def end(self) -> None:
        """No other will be."""
        self._over = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[str]:
        number, late, over = 0, list[str](), False
        while not over:
            over = self._over
            while number < len(self._identities):
                identity = self._identities[number]
                if identity in self._read:
                    yield identity
                elif over or identity in self._postponed:
                    late.append(identity)
                else:
                    break
                number += 1
            if not over:
                await self._news.wait()
                self._news = anyio.Event()
        for identity in late:
            if identity in self._read:
                yield identity
