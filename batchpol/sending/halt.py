"""Whether anything new is begun at a target: one answer for all who would begin something there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from batchpol.model.errors import SesError, Unreachable

Answer = TypeVar("Answer")


class Halted(Unreachable):
    """What was read is not waited for any more, since nothing new is begun."""


@dataclass(slots=True, eq=False)
class Halt:
    """Nothing new is begun once it is called; what is under way is finished. Any of the parts concerned may call it."""

    called: bool = False
    reason: SesError | None = None
    """Why nothing is begun any more, if nobody just asked for it: the first reason that was given."""
    _told: set[Callable[[], None]] = field(default_factory=set)

    def call(self, reason: SesError | None = None) -> None:
        """Have nothing new begun, from this moment on."""
        self.called, self.reason = True, self.reason or reason
        for tell in tuple(self._told):
            tell()

    def tell(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` told, at once, whenever this is called."""
        self._told.add(callback)

    async def sleep(self, seconds: float) -> bool:
        """Wait, no longer than until this is called; False if it was."""
        with anyio.CancelScope() as scope:
            if self.called:
                return False
            self._told.add(scope.cancel)
            try:
                await anyio.sleep(seconds)
            finally:
                self._told.discard(scope.cancel)
        return not self.called

    async def unless(self, reading: Awaitable[Answer]) -> Answer:
        """What is read; it is not waited for any more once this is called.

        Raises:
            Halted: nothing new is begun any more.
            SesError: it could not be read.
        """
        with anyio.CancelScope() as scope:
            if self.called:
                scope.cancel()
            self._told.add(scope.cancel)
            try:
                return await reading
            finally:
                self._told.discard(scope.cancel)
        raise Halted("nothing new is begun any more", code="Stopped")
