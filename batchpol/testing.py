"""For tests, ours and yours: the embedded SES, a pytest fixture of it, and an event loop that owns the clock.

- ``async with Sandbox(...)`` runs an SES inside an event loop, ``with running_sandbox(...)`` beside one, in a
  thread of its own, for code that blocks (boto3).
- ``pytest_plugins = ["batchpol.testing"]`` in a ``conftest.py`` gives the fixture ``ses_sandbox``, to which the test's
  environment leads every AWS client; override ``ses_sandbox_options`` to set it up.
- :class:`VirtualClockLoop` lets code that waits an hour finish in milliseconds.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Final

from batchpol.sandbox import DOUBTS, FAULTS, Arrival, Facts, Sandbox, SandboxOptions

__all__ = [
    "DOUBTS",
    "FAULTS",
    "Arrival",
    "Facts",
    "NothingScheduled",
    "Sandbox",
    "SandboxOptions",
    "VirtualClockLoop",
    "running_sandbox",
]

_TICK: Final = 1e-9


class NothingScheduled(RuntimeError):
    """On a virtual clock, every task waits for something that no timer will bring."""


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer whenever nothing else is left to do.

    Waiting costs no real time and happens in the same order every time. The clock cannot see threads or
    sockets: what they would bring comes too late or never, so keep both out. Where a real loop would wait for
    ever, :class:`NothingScheduled` is raised.

    Each pass of the loop takes a nanosecond: on a clock that stood still, code that waits for a remainder too
    small to move it (aiolimiter does, by rounding) would go round for ever.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._now = self._start = start
        super().__init__(_Jump(self))

    def time(self) -> float:
        """The virtual time in seconds."""
        return self._now

    def wall_time(self) -> float:
        """A wall clock that goes with it, in seconds since 1970: 2026-01-01 00:00 UTC when the loop was made."""
        return 1_767_225_600.0 + self._now - self._start

    def advance(self, seconds: float) -> None:
        """Move the clock forward; what is due by then runs in the loop's next pass."""
        self._now += max(seconds, 0.0)


class _Jump(selectors.DefaultSelector):
    """A selector that, instead of waiting, moves the clock of its loop."""

    def __init__(self, loop: VirtualClockLoop) -> None:
        super().__init__()
        self._clock = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise NothingScheduled(
                "every task waits and no timer is set: on a virtual clock this would never end "
                "(a lock nobody releases, a queue nobody fills, or a thread or socket, which it cannot see)"
            )
        self._clock.advance(_TICK if ready else max(timeout or 0.0, _TICK))
        return ready


@contextmanager
def running_sandbox(options: SandboxOptions | None = None, port: int = 0) -> Iterator[Sandbox]:
    """A sandbox in a thread with an event loop of its own, for as long as the ``with`` block lasts.

    Without ``options`` it has no limit of requests a second. Raises OSError if the port is taken.
    """
    sandbox = Sandbox(options or SandboxOptions(rate=0), port)
    started: Future[Callable[[], object]] = Future()
    thread = threading.Thread(target=asyncio.run, args=[_host(sandbox, started)], name="batchpol-sandbox")
    thread.start()
    try:
        stop = started.result()
        try:
            yield sandbox
        finally:
            stop()
    finally:
        thread.join()


async def _host(sandbox: Sandbox, started: Future[Callable[[], object]]) -> None:
    """Run a sandbox until what ``started`` gives is called; what hinders it from starting is given there too."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    try:
        await sandbox.__aenter__()
    except BaseException as error:
        started.set_exception(error)
        return
    try:
        started.set_result(partial(loop.call_soon_threadsafe, stop.set))
        await stop.wait()
    finally:
        await sandbox.__aexit__(None, None, None)


try:
    import pytest
except ImportError:
    pass  # All but the fixtures works without pytest.
else:

    @pytest.fixture
    def ses_sandbox_options() -> SandboxOptions:
        """How ``ses_sandbox`` behaves: no limit of requests a second. Override it in a test module."""
        return SandboxOptions(rate=0)

    @pytest.fixture
    def ses_sandbox(ses_sandbox_options: SandboxOptions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
        """An SES on loopback for one test, empty at its start; for blocking and for asynchronous tests.

        The test's environment leads every AWS client there: it names the endpoints, an access key and the Region
        us-east-1, and no profile.
        """
        with running_sandbox(ses_sandbox_options) as sandbox:
            for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
                monkeypatch.delenv(name, raising=False)
            for name, value in sandbox.environment().items():
                monkeypatch.setenv(name, value)
            yield sandbox
