"""A real run against the world on a virtual clock, over at its end or killed at any of its steps."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
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
from tests.truth.world import OTHER_REGION, REGION, World, WorldAws

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone."""


class MortalLoop(VirtualClockLoop):
    """A virtual clock that can be made to stop for good after so many passes, and stands still while the machine
    sleeps: ``nap`` is the pass after which it does, and for how many seconds."""

    def __init__(self, world: World, start: float, lives: int | None, nap: tuple[int, float] | None) -> None:
        super().__init__(start)
        self._world, self.lives, self.nap = world, lives, nap
        self.passes = 0

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self.passes += 1
        if self.nap is not None and self.passes == self.nap[0]:
            self._world.offset += self.nap[1]
        if self.lives is not None and self.passes > self.lives:
            raise Killed

    def world_time(self) -> float:
        return self.time() + self._world.offset


@dataclass
class Ran:
    """What a run left: how it ended (None: killed), its rows read off the journal, and its steps.

    ``over`` says that its journal has that it came to its end, whatever happened to the process then; ``planned`` that
    it has all that was to be sent, so that the rows are of this run; ``looks`` that it compares.
    """

    began: float
    ended: float
    result: Result | None
    rows: list[Outcome]
    passes: int
    over: bool
    planned: bool
    looks: bool


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

    def run(
        self,
        records: Sequence[Record],
        *,
        lives: int | None = None,
        nap: tuple[int, float] | None = None,
        beside: tuple[Place, Sequence[Record]] | None = None,
        **options: Any,
    ) -> Ran:
        """One run to its end, or to the pass of its loop that it does not survive; ``beside`` one of another journal's
        on the same machine, which does not survive that either."""
        gc.freeze()  # what is looked through for the dead is what this run made, not ten thousand histories
        self.world.offset = 0.0
        loop = MortalLoop(self.world, self.time, lives, nap)
        places = [self, *([beside[0]] if beside else [])]
        inputs = [records, *([beside[1]] if beside else [])]
        for place in places:
            place.options, place.time = options, self.time
        sizes = [place.journal.stat().st_size if place.journal.exists() else 0 for place in places]
        results: Sequence[Result | None] = [None] * len(places)
        applying = [place._apply(them, loop) for place, them in zip(places, inputs, strict=True)]
        both = _all_at_once(applying)
        with mock.patch.object(anyio.to_thread, "run_sync", _here):
            try:
                results = loop.run_until_complete(both)
            except Killed:
                _bury(loop, [place.journal for place in places])
            finally:
                for it in (both, *applying):
                    if inspect.getcoroutinestate(it) == inspect.CORO_CREATED:
                        it.close()  # it did not live to see its first step
                ended, passes = loop.world_time(), loop.passes
                loop.close()
                gc.unfreeze()
        for place, result, size in zip(places, results, sizes, strict=True):
            heard = _heard(place.journal, size)
            rows = list(outcomes(place.journal)) if heard is not None else []
            looks = place.options.get("compare", True)
            place.ran.append(Ran(place.time, ended, result, rows, passes, *(heard or (False, False)), looks))
            place.time = ended
        return self.ran[-1]

    async def _apply(self, records: Sequence[Record], loop: MortalLoop) -> Result:
        chosen = {"regions": (REGION, OTHER_REGION), "journal": self.journal, **self.options}
        options = Options().changed(chosen)
        batch = Batch(
            _one_by_one(records),
            options,
            name="model.jsonl",
            wall=lambda: EPOCH + timedelta(seconds=loop.world_time()),
        )
        async with options.targets(lambda _: WorldAws(self.world, self.journal.name)) as targets:  # type: ignore[arg-type,return-value]
            return await batch.run(targets)


def _heard(journal: Path, size: int) -> tuple[bool, bool] | None:
    """Whether the section that a run began in a journal, of ``size`` bytes before it, came to its end, and whether it
    was planned; None of one that was killed before it began any."""
    written = journal.read_bytes()[size:] if journal.exists() else b""
    _, begun, section = written.rpartition(b'{"t":"run"')
    if not begun:
        return None
    last = section.splitlines()[-1:]
    over = any(b'"t":"end"' in line and b'"reason":"finished"' in line for line in last)
    return over, b'{"t":"planned"' in section


async def _all_at_once(applying: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    return await asyncio.gather(*applying)


async def _one_by_one(records: Sequence[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record


async def _here(call: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
    """What would be done on a thread, which a virtual clock cannot see."""
    await asyncio.sleep(0)
    return call(*arguments)


def _bury(loop: MortalLoop, journals: Collection[Path]) -> None:
    """Let nothing of the dead runs reach their journals: its coroutines still have their ``finally`` to go through."""
    with tempfile.TemporaryFile() as nowhere:  # unlike the null device it can be synced
        for name in os.listdir("/proc/self/fd"):
            try:
                if Path(os.readlink(f"/proc/self/fd/{name}")) in journals:
                    os.dup2(nowhere.fileno(), int(name))
            except OSError:
                continue
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop._ready.clear()  # type: ignore[attr-defined]
        loop._scheduled.clear()  # type: ignore[attr-defined]
        gc.collect()
    finally:
        sys.unraisablehook = hook
