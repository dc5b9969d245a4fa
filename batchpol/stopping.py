"""What can be asked to end: within a bound of its own, or at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Stoppable(ABC):
    """A run of its own kind, whose parts say how long each may go on after :meth:`stop`."""

    def __init__(self) -> None:
        self._stopped: tuple[str, int] | None = None
        """Why it was asked to end, and the exit code for that."""
        self._scope, self._drain = anyio.CancelScope(), 0.0

    def stop(self, reason: str, exit_code: int) -> None:
        """Ask for the end: what is under way is finished within its bound. Idempotent; from anywhere on its loop."""
        if self._stopped is None:
            self._stopped = (reason, exit_code)
            self._scope.deadline = anyio.current_time() + self._drain
            self._halt()

    def abandon(self) -> None:
        """End now: what is under way stays without an answer; what was written down holds."""
        self._scope.cancel()

    @abstractmethod
    def _halt(self) -> None:
        """Begin nothing new."""

    @contextmanager
    def _stoppable(self, drain: float) -> Iterator[None]:
        """What :meth:`stop` cuts short after ``drain`` seconds, and :meth:`abandon` at once."""
        with anyio.CancelScope() as self._scope:
            self._drain = drain
            if self._stopped is not None:
                self._scope.deadline = anyio.current_time() + drain
            yield
