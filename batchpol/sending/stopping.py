"""What can be asked to end, within a bound of its own or at once; why it ended early; tasks that end by one error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import inf
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

Error = TypeVar("Error", bound=Exception)

LOOKED_AT = 0.5
"""Seconds from one look whether the time is over to the next: while somebody is asked it stands still."""


class Stoppable:
    """A run of its own kind, whose parts say how long each may go on after :meth:`stop`.

    Attributes:
        stopped: why it was asked to end, and the exit code for that.
    """

    def __init__(self) -> None:
        self.stopped: tuple[str, int] | None = None
        self._ended_alone: list[str] = []
        self._over = inf
        self._scope, self._drain, self._halt = anyio.CancelScope(), 0.0, _nothing

    def stop(self, reason: str, exit_code: int) -> None:
        """Ask for the end: what is under way is finished within its bound. Idempotent; from anywhere on its loop."""
        if self.stopped is None:
            self.stopped = (reason, exit_code)
            self._scope.deadline = anyio.current_time() + self._drain
            self._halt()

    def abandon(self) -> None:
        """End now: what is under way stays without an answer; what was written down holds."""
        self._scope.cancel()

    def ended_alone(self, reason: str) -> None:
        """Note that one target could go on no further; the others do."""
        self._ended_alone.append(reason)

    @property
    def early(self) -> tuple[str, int] | None:
        """Why it ended before its time, and the exit code for that; None if it did not."""
        if self.stopped is None and self._ended_alone:
            first, *others = self._ended_alone
            return first + (f"; so did {len(others):,} other targets" if others else ""), 3
        return self.stopped

    async def _bound(self, max_duration: float | None) -> None:
        """Stop it once it has taken so many seconds from now on, but for those of :meth:`_untimed`."""
        if max_duration is None:
            return
        self._over = anyio.current_time() + max_duration
        while (left := self._over - anyio.current_time()) > 0:
            await anyio.sleep(min(left, LOOKED_AT))
        self.stop(f"`max_duration` of {max_duration:g} s is over", 3)

    @contextmanager
    def _untimed(self) -> Iterator[None]:
        """What takes as long as somebody likes."""
        over, begun, self._over = self._over, anyio.current_time(), inf
        yield
        self._over = over + anyio.current_time() - begun

    @contextmanager
    def _stoppable(self, drain: float, halt: Callable[[], None] | None = None) -> Iterator[None]:
        """What :meth:`stop` cuts short after ``drain`` seconds, and :meth:`abandon` at once.

        Args:
            halt: called when the end is asked for meanwhile, to begin nothing new.
        """
        with anyio.CancelScope() as self._scope:
            self._drain, self._halt = drain, halt or _nothing
            if self.stopped is not None:
                self._scope.deadline = anyio.current_time() + drain
            yield


def _nothing() -> None:
    pass


@asynccontextmanager
async def task_group(alone: type[Error]) -> AsyncIterator[TaskGroup]:
    """Tasks that end together; an error of this kind, of whichever of them, comes out as it is and not in a group."""
    error: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except* alone as errors:
        error = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error
