"""The client: connection, identity, gates and queue, shared by everything a service asks for as long as it lives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Self, Unpack, overload

import anyio.to_thread
from msgspec.structs import replace as changed

from batchpol.api.input import Input, Item, opened
from batchpol.api.settings import (
    CONNECTING,
    ELSEWHERE,
    PLANNED,
    RUN,
    SERVED,
    Applying,
    ClientSettings,
    Exporting,
    Planning,
    aws_of,
    export_options_of,
    options_of,
)
from batchpol.api.told import LOG, ToldOfBatch, ToldOfExport
from batchpol.batch.batch import Batch
from batchpol.batch.desk import Desk, Pending
from batchpol.batch.observer import Preview, Result
from batchpol.batch.options import Options
from batchpol.exporting import Export, Exported
from batchpol.journal import Journal
from batchpol.model import Outcome, Record, Status, shown
from batchpol.model.errors import UsageError
from batchpol.sending.observer import ContactObserver

AT_ONCE = 500
"""Outcomes read from the journal at once: some milliseconds' worth, on a thread."""

OUTCOMES = 10_000
"""Outcomes that a result has in memory."""

MAX_PENDING, DRAIN = 10_000, 10.0
"""Changes that may wait or be under way, and seconds that leaving the block gives them, unless it is told otherwise."""


class Client:
    """What belongs to the targets once, for a service and all its callers; open within ``async with``.

    Connections, the caller's identity (STS is asked once) and the gates are shared by all that is asked for within the
    block, from any task of the event loop that opened it: no two requests of it come too close to each other.

    :meth:`put` and :meth:`delete` wait their turn, in order of asking. With a ``journal``, what they were asked for is
    written down before it is sent, and what it came to; :meth:`unfinished` tells what was asked for and came to no end,
    in this process or in the one before it.

    Leaving the block takes nothing more and waits for up to ``drain`` seconds for what was asked for; what is under way
    then is finished. Whoever waits still gets an outcome ``not_attempted``, and :meth:`unfinished` tells what is left.
    An error that leaves the block waits as well, cancelling it does not.

    Args:
        settings: see :class:`ClientSettings`. They hold for :meth:`apply`, :meth:`stream` and :meth:`plan`, too,
            unless these are told otherwise; but for the journal, which each of them has for itself.

    Raises:
        UsageError: a setting is unusable; or, of any call, that the client is not open, belongs to another process
            (this one was forked from it) or to another event loop.
    """

    def __init__(self, **settings: Unpack[ClientSettings]) -> None:
        self._options = options_of("Client", settings, {*SERVED, *ClientSettings.__annotations__})
        keeping = replace(self._options.keeping, journal=None, fresh=False)
        self._of_calls = replace(self._options, keeping=keeping, outcomes=OUTCOMES)
        self._settings, self._observer = settings, settings.get("observer")
        self._most, self._drain = settings.get("max_pending") or MAX_PENDING, settings.get("drain")
        if not isinstance(self._observer, ContactObserver | None):
            raise UsageError(f"observer takes a batchpol.ContactObserver, not {shown(self._observer)}")
        self._place: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._make()

    def _make(self) -> None:
        """What lasts from its opening to its end; a client may be opened again after that."""
        self._targets = self._options.targets(aws_of(self._settings))
        self._desk = Desk(self._targets, self._options, ToldOfBatch(self._observer), most=self._most)
        self._serving: asyncio.Task[None] | None = None
        self._in_use = self._ended = False

    async def __aenter__(self) -> Self:
        """Open it; where there is a journal, AWS is asked who we are, since it must be of this place.

        Raises:
            UsageError, SesError: there are no usable credentials or no Region, or AWS is out of reach; or it is open.
            JournalError: the journal cannot be used.
        """
        if self._in_use:
            raise UsageError("the client is open already", hint="whoever asks within its block shares it")
        if self._ended:
            self._make()
        self._place, self._opening = (os.getpid(), asyncio.get_running_loop()), asyncio.Lock()
        self._in_use = True
        try:
            await self._targets.__aenter__()
            if self._options.keeping.journal is not None:
                await self._serve()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        place, self._place = self._place, None
        if place is not None and place[0] != os.getpid():  # a fork leaves what is not its own
            return
        drain = DRAIN if self._drain is None else float(self._drain)
        try:
            try:
                with anyio.move_on_after(drain if error is None or isinstance(error, Exception) else 0):
                    async with self._opening:  # whoever came before has been taken in by then
                        self._desk.close()
                    if self._serving is not None:
                        await asyncio.wait([self._serving])
            finally:
                if self._serving is not None:
                    await self._end(self._serving)
            if self._serving is not None and error is None:
                self._serving.result()
        finally:
            self._in_use, self._ended = False, True
            if left := len(self.unfinished()):
                LOG.warning("the client was closed, and %d changes that were asked for are not done", left)
            await self._targets.__aexit__(None, error, None)

    async def _end(self, serving: asyncio.Task[None]) -> None:
        """Begin nothing more, and wait for what is under way; where that is cancelled, for nothing."""
        try:
            self._desk.close()
            self._desk.stop("closed", 3)
            await asyncio.wait([serving])
        finally:
            self._desk.abandon()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([serving])

    # -- one change --------------------------------------------------------------------------------------------

    @overload
    async def put(self, record: Item, /) -> Outcome: ...

    @overload
    async def put(
        self,
        identity: str,
        policy_name: str,
        policy: str | Mapping[str, Any],
        /,
        *,
        region: str | None = None,
        account: str | None = None,
    ) -> Outcome: ...

    async def put(
        self,
        record: Item | str,
        policy_name: str = "",
        policy: str | Mapping[str, Any] = "",
        /,
        *,
        region: str | None = None,
        account: str | None = None,
    ) -> Outcome:
        """Put one policy, and return what came of it: ``await client.put("example.com", "sending", policy)``.

        Instead of identity, name and policy there may be one record (a :class:`Record`, or a mapping as ``apply`` takes
        it); what that asks for is done, a deletion too.

        What is wrong with a record is an outcome ``rejected`` with findings. What is there is compared first, unless
        the client was told ``compare=False``. Two puts of the same policy keep their order; the same document, asked
        for again while the first one waits, is sent once. Cancelling a put that waits takes it out of the queue, never
        to be sent; one that is under way is finished and written down.

        Raises:
            QueueFull: ``max_pending`` changes wait already.
            TypeError: what is asked for is no record at all.
            UsageError, SesError: at the first one, as opening a client with a journal does.
            JournalError: the journal cannot be written any more; nothing more is sent.
        """
        return await self._ask(_item(record, policy_name, region, account, policy=policy))

    @overload
    async def delete(self, record: Item, /) -> Outcome: ...

    @overload
    async def delete(
        self, identity: str, policy_name: str, /, *, region: str | None = None, account: str | None = None
    ) -> Outcome: ...

    async def delete(
        self,
        record: Item | str,
        policy_name: str = "",
        /,
        *,
        region: str | None = None,
        account: str | None = None,
    ) -> Outcome:
        """Delete one policy, in all else like :meth:`put`."""
        item = _item(record, policy_name, region, account)
        if isinstance(item, Record):
            return await self._ask(changed(item, action="delete", policy=""))
        return await self._ask({**item, "action": "delete"} if isinstance(item, Mapping) else item)

    @property
    def pending(self) -> Pending:
        """How many puts and deletes wait or are under way, and how many seconds these take at least."""
        return self._desk.pending

    def unfinished(self) -> list[Record]:
        """What was asked for and came to no end: was not sent, or got no answer.

        With a journal that is what earlier processes left, too. A record that was asked for again is none any more, and
        of several about one policy the last one counts: ``await client.put(record)`` asks for it again. After the block
        it is what leaving it left.
        """
        return self._desk.unfinished()

    async def _ask(self, item: Item) -> Outcome:
        _check_place(self._place)
        await self._serve()
        return await self._desk.ask(item)

    async def _serve(self) -> None:
        """Have the desk served from the first call on; callers go on in the order in which they came."""
        async with self._opening:
            if self._serving is None:
                try:
                    if not self._ended:
                        await self._desk.open()
                finally:
                    if self._ended:
                        raise UsageError("the client was closed before it knew who we are")
                self._serving = asyncio.create_task(self._desk.run(), name="batchpol.Client")
                self._serving.add_done_callback(lambda it: it.cancelled() or it.exception())  # whoever asks is told
                await self._desk.ready.wait()

    # -- many --------------------------------------------------------------------------------------------------

    async def apply(self, records: Input, **settings: Unpack[Applying]) -> Result:
        """Apply a batch as :func:`batchpol.apply` does, through the client's gates."""
        options = self._options_of("apply", settings, RUN)
        async with opened(records, options) as (items, details):
            return await Batch(items, options, observer=ToldOfBatch(self._observer), **details).run(self._targets)

    async def stream(self, records: Input, **settings: Unpack[Applying]) -> AsyncGenerator[Outcome, None]:
        """Apply a batch and yield outcomes as :func:`batchpol.stream` does, through the client's gates."""
        if settings.get("shard") is not None:
            text = "`shard` is for apply: a stream has no outcomes of the worker that it goes on after"
            raise UsageError(text, hint="call apply, and read them off the folder with batchpol report")
        options, relay, seen = self._options_of("stream", settings, RUN), _Relay(self._observer), bytearray()
        async with opened(records, options) as (items, details):
            running = asyncio.create_task(Batch(items, options, observer=relay, **details).run(self._targets))
            running.add_done_callback(lambda _: relay.queue.put_nowait(None))
            try:
                while (outcomes := await relay.queue.get()) is not None:
                    for outcome in outcomes:
                        if outcome.number >= len(seen):
                            seen.extend(bytes(outcome.number + 1 - len(seen)))
                        if not seen[outcome.number]:
                            seen[outcome.number] = True
                            yield outcome
                    relay.taken.set()
                await running
            finally:
                running.cancel()
                await asyncio.wait([running])
                if not running.cancelled():
                    running.exception()  # told to whoever waits for it, or to nobody

    async def plan(self, records: Input, **settings: Unpack[Planning]) -> list[Outcome]:
        """Tell what :meth:`apply` would do as :func:`batchpol.plan` does, through the client's gates."""
        options, outcomes = self._options_of("plan", settings, PLANNED), _Outcomes(self._observer)
        options = replace(options, conduct=replace(options.conduct, plan=True))
        async with opened(records, options) as (items, details):
            await Batch(items, options, observer=outcomes, **details).run(self._targets)
        return outcomes.found

    async def export(self, output: str | os.PathLike[str], **settings: Unpack[Exporting]) -> Exported:
        """Write what is there as :func:`batchpol.export` does, through the client's gates."""
        _check_place(self._place)
        options = export_options_of(settings, output, self._options)
        return await Export(options, observer=ToldOfExport(self._observer)).run(self._targets)

    def _options_of(self, call: str, settings: Mapping[str, Any], known: Mapping[str, Any]) -> Options:
        """The options of a batch in this client, which is open."""
        _check_place(self._place)
        ours = known.keys() - CONNECTING.keys() - ELSEWHERE
        return options_of(call, settings, ours, self._of_calls) if settings else self._of_calls


def _check_place(place: tuple[int, asyncio.AbstractEventLoop] | None) -> None:
    """Raise UsageError unless a client is open, and was opened by this process in this event loop."""
    if place is None:
        raise UsageError("a client is open within its block only", hint="async with batchpol.Client(…) as client:")
    if place[0] != os.getpid():
        raise UsageError(
            "the client belongs to the process that opened it, from which this one was forked",
            hint="open a client in each process",
        )
    if place[1] is not asyncio.get_running_loop():
        raise UsageError(
            "the client belongs to the event loop that opened it, and this is another one",
            hint="open a client in each event loop",
        )


class _Relay(ToldOfBatch):
    """Hands outcomes to the stream: those of queued records as they come, the others from the journal."""

    def __init__(self, observer: ContactObserver | None) -> None:
        super().__init__(observer)
        self.queue: asyncio.Queue[list[Outcome] | None] = asyncio.Queue()
        self.taken = asyncio.Event()

    async def planned(self, preview: Preview, journal: Journal) -> bool:
        # An earlier run's fate that is to be replaced by this one comes at the end, if it was not.
        due = {Status.NOT_ATTEMPTED, Status.UNKNOWN, Status.FAILED}
        await self._hand(outcome for outcome in journal.outcomes() if outcome.status not in due)
        return True

    def settled(self, outcome: Outcome) -> None:
        self.queue.put_nowait([outcome])

    async def ended(self, journal: Journal) -> None:
        await self._hand(iter(journal.outcomes()))

    async def _hand(self, outcomes: Iterator[Outcome]) -> None:
        """Give rows of the journal over, some at a time: neither memory nor the event loop takes all at once."""
        while some := await anyio.to_thread.run_sync(lambda: list(islice(outcomes, AT_ONCE))):
            self.taken.clear()
            self.queue.put_nowait(some)
            await self.taken.wait()


class _Outcomes(ToldOfBatch):
    """Keeps what the journal says at the end."""

    def __init__(self, observer: ContactObserver | None) -> None:
        super().__init__(observer)
        self.found: list[Outcome] = []

    async def ended(self, journal: Journal) -> None:
        self.found = await anyio.to_thread.run_sync(lambda: list(journal.outcomes()))


def _item(record: Item | str, policy_name: str, region: str | None, account: str | None, **more: object) -> Item:
    if not isinstance(record, str):
        return record
    return {"identity": record, "policy_name": policy_name, "region": region, "account": account, **more}
