"""A real run against the world on a virtual clock, over at its end or killed at any of its steps."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import anyio.to_thread

from batchpol.batch.batch import Batch
from batchpol.batch.observer import Result
from batchpol.batch.options import Options
from batchpol.journal import outcomes
from batchpol.model import Outcome, Record
from batchpol.testing import VirtualClockLoop
from tests.truth.world import REGION, World, WorldAws

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone."""


class MortalLoop(VirtualClockLoop):
    """A virtual clock that can be made to stop for good after so many passes."""

    def __init__(self, start: float, lives: int | None) -> None:
        super().__init__(start)
        self.lives = lives
        self.passes = 0

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self.passes += 1
        if self.lives is not None and self.passes > self.lives:
            raise Killed


@dataclass
class Ran:
    """What a run left: how it ended (None: killed), its rows read off the journal, and its steps."""

    began: float
    ended: float
    result: Result | None
    rows: list[Outcome]
    passes: int


@dataclass
class Place:
    """A journal and the world that its runs write to."""

    world: World
    journal: Path
    time: float = 1000.0
    """World time at which the next run begins."""
    ran: list[Ran] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    """Of the run under way, or of the last one."""

    def wait(self, seconds: float) -> None:
        self.time += seconds
        self.world.pass_time(self.time)

    def run(self, records: Sequence[Record], *, lives: int | None = None, **options: Any) -> Ran:
        """One run to its end, or to the pass of its loop that it does not survive."""
        loop = MortalLoop(self.time, lives)
        self.world.offset, self.world.journal = 0.0, self.journal.name
        chosen = Options().changed({"regions": (REGION,), "journal": self.journal, **options})
        self.options = options
        began, result = self.time, None
        with mock.patch.object(anyio.to_thread, "run_sync", _here):
            try:
                result = loop.run_until_complete(self._apply(records, chosen, loop))
            except Killed:
                _bury(loop, self.journal)
            finally:
                self.time = loop.time()
                loop.close()
        rows = list(outcomes(self.journal)) if self.journal.exists() else []
        ran = Ran(began, self.time, result, rows, loop.passes)
        self.ran.append(ran)
        return ran

    async def _apply(self, records: Sequence[Record], options: Options, loop: MortalLoop) -> Result:
        batch = Batch(
            _one_by_one(records),
            options,
            name="model.jsonl",
            wall=lambda: EPOCH + timedelta(seconds=loop.time()),
        )
        async with options.targets(lambda _: WorldAws(self.world)) as targets:  # type: ignore[arg-type,return-value]
            return await batch.run(targets)


async def _one_by_one(records: Sequence[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record


async def _here(call: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
    """What would be done on a thread, which a virtual clock cannot see."""
    await asyncio.sleep(0)
    return call(*arguments)


def _bury(loop: MortalLoop, journal: Path) -> None:
    """Let nothing of the dead run reach its journal: its coroutines still have their ``finally`` to go through."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == str(journal):
                os.dup2(nowhere, int(name))
        except OSError:
            continue
    os.close(nowhere)
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop._ready.clear()  # type: ignore[attr-defined]
        loop._scheduled.clear()  # type: ignore[attr-defined]
        gc.collect()
    finally:
        sys.unraisablehook = hook
