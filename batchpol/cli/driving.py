"""A batch on the workers of a scheduler, under a terminal: what the folder says of it as one picture, and its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NoReturn

import anyio
import anyio.to_thread
from rich.live import Live
from rich.text import Text

from batchpol.batch.driven import merged, work_of
from batchpol.batch.options import Options
from batchpol.cli.options import Form
from batchpol.cli.running import attended, on_loop
from batchpol.cli.screen import folder as screen
from batchpol.cli.screen.ending import print_result
from batchpol.cli.screen.live import EVERY
from batchpol.cli.screen.progress import console, is_wanted
from batchpol.cli.screen.question import confirmed
from batchpol.cli.screen.terminal import said, tell
from batchpol.fleet.dask import Fleet
from batchpol.journal import Folder, Shards
from batchpol.model.errors import UsageError

REDRAWN = 2.0
"""Seconds from one picture to the next at least; nine times what it took to read the journals for one, too."""


AROUND = 9
"""Lines of a picture besides those of the shards."""


def drive(input: str, options: Options, form: Form, *, asks: bool, quiet: bool, progress: bool) -> int:
    """Have the shards brought to their end; returns the exit code, as one run has it.

    Raises:
        UsageError: nothing could begin, or nobody agreed.
    """
    keeping = options.keeping
    assert keeping.on is not None and keeping.shards is not None and keeping.journal is not None
    work, folder = work_of(input, options), Folder(keeping.journal)
    question = f"Have {keeping.shards:,} shards of {said(input)} applied by the workers of {said(keeping.on)}?"
    if asks and not confirmed(question):
        raise UsageError("not confirmed: nothing was submitted")
    limit = options.patience.max_duration
    make = partial(Fleet, keeping.on, folder, keeping.shards, work, lambda text: tell(said(text)), limit)
    shown = None if quiet else partial(_show, folder, drawn=progress and is_wanted())
    logging.getLogger("distributed.client").disabled = True  # we say ourselves what becomes of the connection
    fleet = on_loop(partial(_attended, make, shown))
    result = merged(input, options, fleet.ended, fleet.early)
    print_result(result, None, as_json=form.is_json)
    if folder.pins() is not None:
        found = Shards(folder.path)
        tell(str(screen.next_step(found, screen.standing_of(found))))
    return result.exit_code


async def _attended(make: Callable[[], Fleet], shown: Callable[[], Coroutine[Any, Any, None]] | None) -> Fleet:
    fleet = make()
    await attended(fleet, fleet.run, shown)
    return fleet


async def _show(folder: Folder, *, drawn: bool) -> None:
    """How all shards stand, until cancelled: a picture where the terminal can, else what is new now and then."""
    if not drawn:
        await _look(folder, EVERY, lambda shards, now, before: tell("\n".join(screen.followed(shards, now, before))))
    with Live(console=console(), auto_refresh=False, transient=True, redirect_stdout=False) as live:

        def draw(shards: Shards, now: screen.Standing, _: screen.Standing) -> None:
            told = screen.lines(shards, now, live.console.size.height - AROUND)
            live.update(Text("\n".join(told), no_wrap=True, overflow="ellipsis"), refresh=True)

        await _look(folder, REDRAWN, draw)


async def _look(
    folder: Folder, every: float, show: Callable[[Shards, screen.Standing, screen.Standing], None]
) -> NoReturn:
    """Show how all shards stand and stood before, as soon as it is known which batch it is."""
    standing = screen.Standing()
    while True:
        await anyio.sleep(every)
        began = time.monotonic()
        if await anyio.to_thread.run_sync(folder.pins) is not None:
            shards, before = Shards(folder.path), standing
            standing = await anyio.to_thread.run_sync(screen.standing_of, shards, before)
            show(shards, standing, before)
        await anyio.sleep(9 * (time.monotonic() - began))
