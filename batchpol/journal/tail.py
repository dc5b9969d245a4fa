"""The end of a journal that is open for writing: lines sealed, kept back, handed to the system, made durable."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from zlib import crc32

from batchpol import files
from batchpol.journal.chain import LONGEST, SEAL, Chain, line_at
from batchpol.model.errors import JournalAltered, JournalError, JournalUnwritable

LAPSES = 5.0
"""Seconds after which a journal that is shared with other machines is not ours any more, unless a sync began since."""

_BUFFER = 1 << 18
"""Bytes kept back before they are handed to the system; a sync hands over all."""


class Tail:
    """Appends whole lines to an open file, which it closes; each continues the chain of checksums.

    Appending and making durable may happen on different threads: a sync covers whatever was appended before it
    was called. The first write that fails poisons it, since what follows a gap could not be believed, and so does a
    file that is not as it was left (:meth:`check`): from then on every append raises the same error.

    Args:
        fd: the file, open to read and append.
        path: where it is; None for a temporary one, of which nothing is made durable.
        chain: what was read of it; None if it is empty.
    """

    def __init__(self, fd: int, path: Path | None, chain: Chain | None) -> None:
        self.fd = fd
        self.path = path
        self._place = path and path.absolute()  # the folder that a process works in may change
        self._buffer = bytearray()
        self.written = chain.size if chain else 0
        """Bytes of the file that are ours or were there."""
        self._size = self.written
        self._seed = chain.seed if chain else 0
        self._failure: JournalError | None = None
        self._lock = Lock()
        self.confirmed: float | None = None
        """When the last sync began that succeeded, by :func:`now`; None where nobody else can have the file."""

    def append(self, lines: Iterable[bytes]) -> int:
        """Add lines, given as objects of JSON without their checksum; durable only after :meth:`sync`.

        Returns:
            The byte offset of the first of them.

        Raises:
            JournalUnwritable: this or an earlier write failed.
            JournalAltered: an earlier check failed.
        """
        with self._lock:
            self._check()
            start = self._size
            for line in lines:
                body = line[:-1]
                if len(body) > LONGEST:
                    raise JournalError(f"a line of {len(body):,} bytes is too long for a journal")
                crc = crc32(body, self._seed)
                seal = SEAL % crc
                self._seed = crc32(seal, crc)
                self._buffer += body
                self._buffer += seal
                self._size += len(body) + len(seal)
            if len(self._buffer) > _BUFFER:
                self._flush()
            return start

    def flush(self) -> None:
        """Hand over what is kept back, so that it can be read; nothing where a write failed before.

        Raises:
            JournalUnwritable: it cannot be written.
        """
        with self._lock:
            if self._failure is None:
                self._check()
                self._flush()

    def sync(self) -> None:
        """Return when everything appended so far would survive a power cut (nothing to do for a temporary one).

        Raises:
            JournalUnwritable: it does not, and never will.
            JournalAltered: see :meth:`check`; nothing was written.
        """
        began = now()
        with self._lock:
            self.check_owned()
            self._check()
            self._look()
            self._flush()
        self._make_durable()
        if self.confirmed is not None:
            self.confirmed = began

    def own(self) -> None:
        """From here on the file counts as ours for :data:`LAPSES` seconds from one sync to the next. Raises as that."""
        self.confirmed = now()
        self.sync()

    def check_owned(self) -> None:
        """Refuse to go on where the last sync is too long ago, since another machine may have the file by now.

        Raises:
            JournalUnwritable: it is; nothing is written any more.
        """
        if self.confirmed is not None and self._failure is None and (ago := now() - self.confirmed) > LAPSES:
            self._failure = JournalUnwritable(
                f"the journal {self.path} is not surely ours any more: ownership last confirmed {ago:.0f} s ago",
                hint="nothing more is sent; this process stood still, or the volume did. Start the worker again: it "
                "waits if another one has its shard",
            )
        self._check()

    @property
    def unconfirmed(self) -> float:
        """Seconds since it was last confirmed to be ours; 0 unless :meth:`own` was called."""
        return now() - self.confirmed if self.confirmed is not None else 0.0

    def check(self) -> None:
        """Look whether the file is still there under its name, and as it was left. Costs two system calls.

        Raises:
            JournalAltered: somebody else moved or removed it, wrote to it or cut it short, now or before.
            JournalUnwritable: a write failed before.
        """
        with self._lock:
            self._check()
            self._look()

    def line(self, offset: int) -> bytes:
        """The line that begins there, without its end."""
        if offset >= self.written:
            with self._lock:
                self._check()
                self._flush()
        return line_at(self.fd, offset)

    def close(self) -> None:
        """Write out what is pending, and close the file; closing twice is harmless.

        Raises:
            JournalUnwritable: the pending lines could not be written.
        """
        if self.fd < 0:
            return
        try:
            if self._failure is None:
                self.flush()
                self._make_durable()
        finally:
            fd, self.fd = self.fd, -1
            try:
                try:
                    files.let_go(fd)
                finally:
                    os.close(fd)
            except OSError as error:  # where the volume is a network away, some errors come only now
                raise unwritable(self.path, error) from error

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.fd < 0:
            raise JournalError("the journal is closed")

    def _look(self) -> None:
        """Look at the file as :meth:`check` does; the lock is held, so that nothing is written meanwhile."""
        if self._place is None:
            return
        try:
            ours = os.fstat(self.fd)
        except OSError as error:  # a volume of the network that forgot the file
            self._failure = unwritable(self.path, error)
            raise self._failure from error
        try:
            moved = not os.path.samestat(ours, self._place.lstat())
        except OSError:
            moved = True
        if moved and ours.st_nlink:
            what, mend = "was renamed or moved", "move it back"
        elif moved:
            what, mend = "was removed or replaced", "put a copy back if there is one"
        elif ours.st_size != self.written:
            what = f"was altered ({ours.st_size:,} bytes instead of {self.written:,})"
            mend = "see who writes to it"
            if ours.st_size > self.written:
                mend += ", such as another run where its volume knows no locks"
        else:
            return
        self._failure = altered(self.path, what, mend)
        raise self._failure

    def _make_durable(self) -> None:
        if self.path is not None:
            try:
                files.make_durable(self.fd)
            except OSError as error:
                self._failure = unwritable(self.path, error)
                raise self._failure from error

    def _flush(self) -> None:
        """Hand the buffer to the system; the lock is held."""
        try:
            if self.path is None and self.written <= files.IN_MEMORY < self._size:
                files.to_disk(self.fd)
            files.write_all(self.fd, self._buffer)
        except OSError as error:
            self._failure = unwritable(self.path, error)
            raise self._failure from error
        # Only now: what counts as written may be read back, so it ends with a line.
        self.written += len(self._buffer)
        self._buffer.clear()


def now() -> float:
    """Seconds by a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def altered(path: Path | None, what: str, mend: str) -> JournalAltered:
    """The error for a journal that is not as this run left it."""
    return JournalAltered(
        f"the journal {path or '(temporary)'} {what} while the run went on",
        hint=f"nothing more is sent; {mend}, then run the same command again, which looks at what the journal lacks",
    )


def unwritable(path: Path | None, error: OSError) -> JournalUnwritable:
    """The error for a journal that the system does not let us write."""
    return JournalUnwritable(
        f"the journal {path or '(temporary)'} cannot be written: {error.strerror}",
        hint="nothing more is sent; mend that, and run the same command again to go on",
    )
