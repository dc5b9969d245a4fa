"""The end of a journal that is open for writing: lines sealed, kept back, handed to the system, made durable."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from zlib import crc32

from batchpol import files
from batchpol.errors import JournalError, JournalUnwritable
from batchpol.journal.chain import LONGEST, SEAL, Chain, line_at

_BUFFER = 1 << 18
"""Bytes kept back before they are handed to the system; a sync hands over all."""


class Tail:
    """Appends whole lines to an open file, which it closes; each continues the chain of checksums.

    Appending and making durable may happen on different threads: a sync covers whatever was appended before it
    was called. The first write that fails poisons it, since what follows a gap could not be believed: from then on
    every append raises :class:`~batchpol.errors.JournalUnwritable`.

    Args:
        fd: the file, open to read and append.
        path: where it is; None for a temporary one, of which nothing is made durable.
        chain: what was read of it; None if it is empty.
    """

    def __init__(self, fd: int, path: Path | None, chain: Chain | None) -> None:
        self.fd = fd
        self.path = path
        self._buffer = bytearray()
        self._written = chain.size if chain else 0
        self._size = self._written
        self._seed = chain.seed if chain else 0
        self._failure: OSError | None = None
        self._lock = Lock()

    def append(self, lines: Iterable[bytes]) -> int:
        """Add lines, given as objects of JSON without their checksum; durable only after :meth:`sync`.

        Returns:
            The byte offset of the first of them.

        Raises:
            JournalUnwritable: this or an earlier write failed.
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
        """
        with self._lock:
            self._check()
            self._flush()
        if self.path is not None:
            try:
                files.make_durable(self.fd)
            except OSError as error:
                self._failure = error
                raise unwritable(self.path, error) from error

    def line(self, offset: int) -> bytes:
        """The line that begins there, without its end."""
        if offset >= self._written:
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
                self.sync()
        finally:
            os.close(self.fd)
            self.fd = -1

    def _check(self) -> None:
        if self._failure is not None:
            raise unwritable(self.path, self._failure)
        if self.fd < 0:
            raise JournalError("the journal is closed")

    def _flush(self) -> None:
        """Hand the buffer to the system; the lock is held."""
        try:
            files.write_all(self.fd, self._buffer)
        except OSError as error:
            self._failure = error
            raise unwritable(self.path, error) from error
        # Only now: what counts as written may be read back, so it ends with a line.
        self._written += len(self._buffer)
        self._buffer.clear()


def unwritable(path: Path | None, error: OSError) -> JournalUnwritable:
    """The error for a journal that the system does not let us write."""
    return JournalUnwritable(
        f"the journal {path or '(temporary)'} cannot be written: {error.strerror}",
        hint="nothing more is sent; mend that, and run the same command again to go on",
    )
