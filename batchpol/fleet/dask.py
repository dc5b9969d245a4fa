"""A batch on the workers of a Dask scheduler: a task for each shard, and again where a worker was lost.

The scheduler only places tasks. It may run one again while its worker, thought lost, runs on; so whose turn a shard is
stays a matter of its journal, as with any other engine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from importlib import import_module
from math import inf
from types import ModuleType
from typing import Any
from uuid import uuid4

import anyio
from anyio.abc import TaskStatus

from batchpol.journal import End, Folder
from batchpol.model.errors import UsageError
from batchpol.model.shard import Shard
from batchpol.sending.stopping import Stoppable, task_group

DRAIN = 30.0
"""Seconds that workers are given to end after they were asked to: they look once a second, finish what is under way
within ten, and write down how it ended."""

LOOKED_AT = 1.0
"""Seconds from one look at which workers there are to the next."""

ANSWERED_WITHIN = 30.0
"""Seconds within which the scheduler must be there, and workers must say which batchpol they have."""


class Fleet(Stoppable):
    """The tasks of one batch; :meth:`run` once, :meth:`stop` from anywhere on its loop.

    A worker has one shard at a time, since two in one process take the processor from each other, and each task names
    the worker that it is for: then none is stolen, and what a lost one had is submitted again by us.

    Args:
        scheduler: its address, such as ``tcp://scheduler:8786``.
        folder: what the workers share. Stopping leaves word there, which is taken back once all of them have ended,
            unless somebody else had left it.
        count: how many shards there are.
        work: brings a shard to its end, in a worker's process, and says how it ended. It has no secret in it.
        told: takes sentences for people.
        max_duration: seconds after which all of them are stopped; None for as long as they take.

    Attributes:
        ended: how each shard ended that did.
    """

    def __init__(
        self,
        scheduler: str,
        folder: Folder,
        count: int,
        work: Callable[[Shard], End],
        told: Callable[[str], None],
        max_duration: float | None = None,
    ) -> None:
        super().__init__()
        self._scheduler, self._folder, self._work, self._told = scheduler, folder, work, told
        self._shards = [Shard(number, count) for number in range(1, count + 1)]
        self._idle, self._free = anyio.create_memory_object_stream[str](inf)
        self._workers, self._dask = set[str](), ModuleType("")
        self._busy: dict[str, anyio.CancelScope] = {}
        self._max_duration, self._asked = max_duration, False
        self.ended: dict[Shard, End] = {}

    async def run(self) -> None:
        """Have all shards brought to their end.

        Raises:
            UsageError: Dask is not installed, the scheduler is out of reach, or a worker has another batchpol.
        """
        with self._idle, self._free:
            self._folder.make()
            client = None
            with self._stoppable(0):
                client = await self._connected()
            if client is None:
                return
            async with client, task_group(UsageError) as tasks:
                tasks.start_soon(self._bound, self._max_duration)
                with self._stoppable(0):
                    await tasks.start(self._look_after_workers, client)
                if self.stopped is None:
                    await self._bring_all_to_end(client)
                tasks.cancel_scope.cancel()

    async def _bring_all_to_end(self, client: Any) -> None:
        with self._stoppable(DRAIN, self._begin_nothing_more):
            async with anyio.create_task_group() as shards:
                for shard in self._shards:
                    shards.start_soon(self._bring_to_end, client, shard)
        if self._asked and not self._busy:
            self._folder.stop(False)

    def _begin_nothing_more(self) -> None:
        self._idle.close()
        self._asked = self._folder.stop(True)

    async def _connected(self) -> Any:
        try:
            self._dask = import_module("distributed")
        except ImportError as error:
            text = "`on` needs Dask's distributed, which is not installed here"
            raise UsageError(text, hint="pip install 'batchpol[dask]'") from error
        try:
            connecting: Awaitable[Any] = self._dask.Client(self._scheduler, asynchronous=True, set_as_default=False)
            with anyio.fail_after(ANSWERED_WITHIN + LOOKED_AT):  # what it takes for the connection is Dask's to say
                return await connecting
        except (OSError, ValueError) as error:
            text = f"the scheduler {self._scheduler} is out of reach: {str(error) or 'it does not answer'}"
            raise UsageError(text, hint="name the address that it says it listens at, say tcp://host:8786") from error

    async def _look_after_workers(self, client: Any, *, task_status: TaskStatus[None]) -> None:
        """Find out which workers come and which are gone, for ever; those with another batchpol get no shard.

        Raises:
            UsageError: one of those that are there from the start has another batchpol.
        """
        began = False
        while True:
            try:
                there = set[str](await client.nthreads())
                await self._welcome(client, there - self._workers, began)
            except OSError as error:
                self._gone(error)
                if not began:
                    task_status.started()
                return
            for name in self._busy.keys() - there:
                self._busy[name].cancel()
            self._workers = there
            if not began:
                began = True
                if not there:
                    self._told(f"the scheduler {self._scheduler} has no workers yet; waiting for them")
                task_status.started()
            await anyio.sleep(LOOKED_AT)

    async def _welcome(self, client: Any, new: set[str], began: bool) -> None:
        """Let workers have shards that have the same batchpol; raises UsageError if others are there from the start."""
        if not new:
            return
        found = None
        with anyio.move_on_after(ANSWERED_WITHIN):
            found = await client.get_versions(packages=["batchpol"])
        if found is None:  # one that is stuck keeps the others from being heard
            self._told(f"not all workers say which batchpol they have: one did not answer in {ANSWERED_WITHIN:.0f} s")
            self._workers |= new
            for name in sorted(new):
                self._offer(name)
            return
        ours = found["client"]["packages"]["batchpol"]
        versions = {name: found["workers"].get(name, {}).get("packages", {}).get("batchpol") for name in sorted(new)}
        if others := [f"{name} has {version or 'none'}" for name, version in versions.items() if version != ours]:
            text = f"all workers must have the batchpol that is here, {ours}: {', '.join(others)}"
            if not began:
                raise UsageError(text, hint="install the same version in the environment of each")
            self._told(f"{text}; they get no shard")
        self._workers |= new
        for name in (name for name, version in versions.items() if version == ours):
            self._offer(name)

    async def _bring_to_end(self, client: Any, shard: Shard) -> None:
        """Submit a shard, and again as long as workers that are lost with it brought it on."""
        journal, before = self._folder.journal(shard), -1
        async for worker in self._free:
            if worker not in self._workers:
                continue
            with anyio.CancelScope() as self._busy[worker]:
                try:
                    self.ended[shard] = await self._submitted(client, shard, worker)
                except CancelledError as error:
                    self._gone(error)
                    self.ended[shard] = _lost(f"the scheduler {self._scheduler} went away while it ran")
                except self._dask.KilledWorker:
                    pass  # as when it is gone, where the scheduler allows for no failure
                except Exception as error:  # whatever there is in the environment of a worker
                    self.ended[shard] = _lost(f"{worker} cannot run it: {type(error).__name__}: {error}")
            del self._busy[worker]
            if shard in self.ended:
                self._offer(worker)
                return
            size = journal.stat().st_size if journal.exists() else 0
            if size == before:
                self.ended[shard] = _lost(f"one worker after another was lost with shard {shard}, at last {worker}")
                return
            before = size
            self._told(f"the worker {worker} was lost with shard {shard}, which another one gets")
        why = "it was stopped" if self.stopped is not None else f"the scheduler {self._scheduler} went away"
        self.ended[shard] = _lost(f"{why} before its turn")

    def _offer(self, worker: str) -> None:
        """Let the next shard that waits have this worker."""
        with suppress(anyio.ClosedResourceError):
            self._idle.send_nowait(worker)

    def _gone(self, error: Exception) -> None:
        """Nobody gets a worker any more; what runs may run on, and nobody here hears of it."""
        self._told(f"the scheduler {self._scheduler} went away: {error}")
        self._idle.close()

    async def _submitted(self, client: Any, shard: Shard, worker: str) -> End:
        # A name of its own: the result of an earlier batch is none of this one.
        key = f"batchpol-shard-{shard.number}-of-{shard.count}-{uuid4().hex}"
        task = client.submit(self._work, shard, key=key, pure=False, retries=0, workers=[worker])
        try:
            ended: End = await task.result()
        finally:
            task.release()  # or else it waits for a worker of that address to come again
        return ended


def _lost(reason: str) -> End:
    return End(at="", reason=" ".join(reason.split()), exit_code=3)
