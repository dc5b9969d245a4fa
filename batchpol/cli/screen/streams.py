"""Standard output and standard error of this process: nobody who runs a batch waits for whoever reads them.

Standard error is written aside, by a thread; what its reader is too slow for is dropped, and counted. Standard output
is written aside while there is an event loop; it holds rows, of which none is dropped: a worker thread waits for the
reader, the loop's own thread never does. Without a loop a command writes as any filter does, and ends where its reader
goes away.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from batchpol.model.errors import BatchpolError

MOST = 8 << 20
"""Bytes that may wait for a reader."""

PIECE = 1 << 16
"""Bytes that are handed to the system at once."""

GRACE = 1.0
"""Seconds without a byte taken after which a reader counts as one that has stopped, where nobody waits for it."""

Data = Any
"""What has bytes (``collections.abc.Buffer``, from Python 3.12 on)."""


class OutputLost(BatchpolError):
    """Nobody takes what is written to standard output, or it cannot be written.

    Attributes:
        is_closed: whether the reader went away, as ``head`` does: it has what it wanted.
    """

    def __init__(self, error: OSError) -> None:
        self.is_closed = isinstance(error, BrokenPipeError)
        why = "is closed" if self.is_closed else f"cannot be written: {error.strerror}"
        super().__init__(f"standard output {why}", hint="mend that, and run the command again")


class Aside(io.RawIOBase):
    """A file descriptor that a thread writes to, in the order in which things were said.

    Args:
        fd: the descriptor; stays open.
        dropped: what is said of a number of writes that were dropped, as there was no room for them. Without it none
            is dropped: where there is no room a worker thread waits, the main thread goes on.

    Attributes:
        failure: why it cannot be written any more; a worker thread that writes gets it raised.
    """

    def __init__(self, fd: int, dropped: Callable[[int], str] | None = None) -> None:
        super().__init__()
        self._fd, self._note, self._dropped = fd, dropped, 0
        self._changed = threading.Condition()
        self._pending: list[bytes] = []
        self._thread: threading.Thread | None = None
        self._stopped = False
        self.behind = 0
        self._patience: float | None = None
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def write(self, data: Data, /) -> int:
        said = bytes(data)
        with self._changed:
            if self._note is None and threading.current_thread() is not threading.main_thread():
                while self.behind > MOST and self._changed.wait(self._patience):
                    pass
                if self.failure is None and self.behind > MOST:
                    self.failure = BlockingIOError(0, "nobody reads it")
                if self.failure is not None:
                    raise self.failure
            if self.failure is None:
                self._take(said)
        return len(said)

    def _take(self, said: bytes) -> None:
        if self._note is not None:
            if self.behind + len(said) > MOST:
                self._dropped += 1
                return
            if self._dropped:
                said, self._dropped = self._note(self._dropped).encode() + said, 0
        self._pending.append(said)
        self.behind += len(said)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_on, name="batchpol output", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _write_on(self) -> None:
        while True:
            with self._changed:
                while not self._pending:
                    self._changed.wait()
                said, self._pending = b"".join(self._pending), []
            try:
                self._hand_over(said)
            except OSError as error:
                with self._changed:
                    self.failure, self.behind, self._pending = error, 0, []
                    self._changed.notify_all()

    def _hand_over(self, said: bytes) -> None:
        left = memoryview(said)
        while left:
            try:
                done = os.write(self._fd, left[:PIECE])
            except BlockingIOError:  # another process that has it too made it so
                select.select([], [self._fd], [])
                continue
            left = left[done:]
            with self._changed:
                self.behind, self._stopped = self.behind - done, False
                self._changed.notify_all()

    def drain(self, patience: float | None) -> bool:
        """Return when everything is written, or nothing was for so many seconds: then False, and at once from then on
        while the reader takes nothing."""
        with self._changed:
            if self._dropped and not self.behind:
                self._take(b"")
            while self.behind and not self._stopped:
                self._stopped = not self._changed.wait(patience)
        return not self._stopped

    def hurry(self, patience: float) -> None:
        """Let worker threads wait for the reader no longer than so many seconds without a byte taken."""
        with self._changed:
            self._patience = patience
            self._changed.notify_all()

    def is_lost(self) -> OSError | None:
        """Why nothing that is written there gets anywhere, as far as that can be seen; None if it does."""
        if self.failure is None:
            watched = select.poll()
            watched.register(self._fd, 0)
            if any(event & select.POLLERR for _, event in watched.poll(0)):
                self.failure = BrokenPipeError(0, "its reader went away")
        return self.failure


class _Guarded(io.TextIOWrapper):
    """Standard output without an event loop: what cannot be written ends the command, whoever writes it."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise lost(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise lost(error) from None


def lost(error: OSError) -> OutputLost:
    """The error to raise; what the buffers keep would fail once more at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return OutputLost(error)


class Streams:
    """Of this process: what is written aside, and whether standard output has rows."""

    error: Aside | None = None
    output: Aside | None = None
    rows = False


def open_standard_streams(dropped: Callable[[int], str]) -> None:
    """Take over both streams, for the whole process.

    First it opens what is closed of the first three file descriptors, lest a file of ours gets such a number.

    Args:
        dropped: the line that says how many others are not there.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    Streams.error = Aside(2, dropped)
    sys.stderr = _over(Streams.error, sys.stderr)
    ours: Any = sys.stdout
    encoding, errors, by_line = ours.encoding, ours.errors, ours.line_buffering
    sys.stdout = _Guarded(ours.detach(), encoding, errors, line_buffering=by_line)


def write_output_aside() -> None:
    """Let standard output be written aside from now on, while there is an event loop."""
    if isinstance(sys.stdout, _Guarded):
        sys.stdout.flush()
        Streams.output = Aside(1)
        sys.stdout = _over(Streams.output, sys.stdout)


def _over(aside: Aside, like: TextIO) -> io.TextIOWrapper:
    """A text stream, each of whose writes reaches ``aside`` at once, as a whole."""
    raw: Any = aside
    return io.TextIOWrapper(raw, like.encoding, like.errors, write_through=True)


def settle() -> None:
    """Have written on either stream what was said there, so that what is said next on the other one comes behind it."""
    for aside in (Streams.error, Streams.output):
        if aside is not None:
            aside.drain(GRACE)


def drain_output(code: int) -> bool:
    """Have standard output written before the process ends; False if that could not be waited for.

    Rows are waited for as long as it takes, unless somebody asked for the end (``code``); all else a moment.
    """
    waits = Streams.rows and code not in (130, 143)
    return Streams.output is None or Streams.output.drain(None if waits else GRACE)


def drain_error() -> bool:
    """The same of standard error, of which nothing is waited for longer than a moment."""
    return Streams.error is None or Streams.error.drain(GRACE)


def hurry() -> None:
    """Let no thread wait for a reader of standard output that has stopped: somebody asked for the end."""
    if Streams.output is not None:
        Streams.output.hurry(GRACE)


def output_lost() -> OutputLost | None:
    """Whether standard output, written aside, gets nowhere."""
    error = Streams.output.is_lost() if Streams.output is not None else None
    return OutputLost(error) if error is not None else None


def is_output_closed() -> bool:
    """Whether the reader of standard output went away."""
    error = output_lost()
    return error is not None and error.is_closed


def is_behind() -> bool:
    """Whether something waits for whoever reads standard error."""
    return Streams.error is not None and Streams.error.behind > 0
