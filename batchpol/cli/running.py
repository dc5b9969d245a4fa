"""A batch or an export under a terminal: its event loop, and the signals that stop it."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

import anyio

from batchpol import sandbox
from batchpol.batch.batch import Batch
from batchpol.batch.observer import Observer, Result
from batchpol.batch.options import Options
from batchpol.cli.screen.streams import Streams, hurry, output_lost, settle, write_output_aside
from batchpol.cli.screen.terminal import tell
from batchpol.model.errors import BatchpolError
from batchpol.model.settings import Connection
from batchpol.rewriting.saved import SavedPlan
from batchpol.sending.stopping import Stoppable, task_group
from batchpol.source import Source

Ended = TypeVar("Ended")

OPEN_FILES = 8192
"""Files that a process may want to have open: two connections of each of thousands of lanes."""

WATCHED = 0.1
"""Seconds between two looks whether somebody reads standard output."""

_ENDINGS = {
    signal.SIGINT: ("interrupted", 130),
    signal.SIGTERM: ("terminated", 143),
    signal.SIGHUP: ("terminated", 143),
}


def run_batch(
    source: Source | SavedPlan,
    options: Options,
    observer: Observer,
    *,
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    for_rows: bool = False,
) -> Result:
    """Run one batch on an event loop of its own, stopped by signals.

    Args:
        beside: runs as long as the batch does (progress, say).
        for_rows: it is run for the rows on standard output alone, and ends where nobody takes them.

    Raises:
        BatchpolError: as :meth:`batchpol.batch.batch.Batch.run` does.
    """
    return on_loop(partial(_run, source, options, observer, beside, for_rows))


def on_loop(run: Callable[[], Coroutine[Any, Any, Ended]]) -> Ended:
    """Run this on an event loop of its own, uvloop's where it is installed."""
    _allow_open_files()
    write_output_aside()
    try:
        return anyio.run(run, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    finally:
        settle()


async def _run(
    source: Source | SavedPlan,
    options: Options,
    observer: Observer,
    beside: Callable[[], Coroutine[Any, Any, None]] | None,
    for_rows: bool,
) -> Result:
    async with AsyncExitStack() as stack:
        if options.sandbox:
            options = replace(options, connection=await embedded(options.connection, stack))
        batch = Batch(
            source,
            options,
            observer=observer,
            name=source.name,
            columns=lambda: source.columns,
            digest=lambda: source.sha256,
            sheet=source.sheet,
        )

        async def run() -> Result:
            async with options.targets() as targets:
                return await batch.run(targets)

        return await attended(batch, run, beside, for_rows=for_rows)


async def attended(
    work: Stoppable,
    run: Callable[[], Coroutine[Any, Any, Ended]],
    beside: Callable[[], Coroutine[Any, Any, None]] | None,
    *,
    for_rows: bool = False,
) -> Ended:
    """Await ``run()`` while signals stop ``work`` and ``beside()`` shows what happens; for ``for_rows`` see above."""
    async with task_group(BatchpolError) as tasks:
        tasks.start_soon(_heed_signals, work)
        if for_rows:
            tasks.start_soon(_heed_output, work)
        if beside is not None:
            tasks.start_soon(_beside, beside)
        outcome = await run()
        tasks.cancel_scope.cancel()
    return outcome


async def _beside(shows: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """What is shown meanwhile; a terminal that is gone is no reason to stop."""
    with suppress(OSError):
        await shows()


async def embedded(connection: Connection, stack: AsyncExitStack) -> Connection:
    """Start an SES in this process and lead there, whatever AWS configuration this machine has."""
    server = await stack.enter_async_context(sandbox.Sandbox())
    return replace(
        connection,
        regions=connection.regions or ("us-east-1",),
        profile=None,
        endpoint_url=server.url,
        access_key="EMBEDDEDSES",
        secret_key="-",  # noqa: S106 - it opens nothing
    )


async def _heed_signals(work: Stoppable) -> None:
    """First signal: finish what is under way. Second: end now. One that was ignored before us (``nohup``) stays so."""
    heeded = [number for number in _ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
    with anyio.open_signal_receiver(*heeded) as signals:
        first = True
        async for number in signals:
            reason, code = _ENDINGS[signal.Signals(number)]
            if first:
                tell(f"{reason}: finishing what is under way; once more to end at once")
                work.stop(reason, code)
                hurry()
            else:
                work.abandon()
            first = False


async def _heed_output(work: Stoppable) -> None:
    """End where standard output gets nowhere."""
    Streams.rows = True
    while (error := output_lost()) is None:
        await anyio.sleep(WATCHED)
    work.stop(str(error), 3)
    work.abandon()


def _allow_open_files() -> None:
    """Let the process have as many files open as it may: each lane has two connections, and 1,024 are few for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a bound of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
