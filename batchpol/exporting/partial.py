"""What an export has read so far, beside its output: JSON Lines, a header and then a line for each identity."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self, TypeVar

import msgspec
from msgspec import Raw

from batchpol import files
from batchpol.journal import set_aside
from batchpol.model import Target
from batchpol.model.errors import JournalDamaged, JournalError, JournalLocked, JournalMismatch, JournalUnwritable
from batchpol.outputs import EXPORT_MAGIC

FORMAT = 1

_LONGEST_HEADER = 1 << 22
_NOWHERE = 0, 0, 0
_ANEW = "set it aside and read everything anew with `fresh`, or name another file with `output`"


_Kind = TypeVar("_Kind")


class PartialHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Of which export it is; ``begun`` and ``format`` apart, another export has another one."""

    format: int = msgspec.field(default=FORMAT, name="batchpol_export")
    begun: str
    """When, in ISO 8601."""
    endpoint: str
    targets: tuple[str, ...]
    identities: tuple[str, ...]
    """Those that were named, sorted; empty for all."""
    match: str
    match_name: str


class _IdentityLine(msgspec.Struct):
    account: str
    region: str
    identity: str
    rows: list[Raw]


class Partial:
    """One export's hold on what it has read so far; a context manager that lets go of it.

    What :meth:`add` returned from survives the end of this process, and after :meth:`sync` a power cut.

    Attributes:
        path: where it is; None for a temporary one.
        begun: when the export began that it belongs to, in ISO 8601.
        earlier: whether one was there already, whose export may have been killed just now.
        notes: sentences for people about what was found.
    """

    def __init__(self, fd: int, path: Path | None, begun: str) -> None:
        self.path, self.begun, self.notes, self.earlier = path, begun, list[str](), False
        self._fd = fd
        self._size = 0
        self._failure: OSError | None = None
        self._at: dict[tuple[Target, str], tuple[int, int, int]] = {}

    @classmethod
    def temporary(cls, header: PartialHeader) -> Self:
        """One without a name, gone when it is closed."""
        with files.temporary() as file:
            return cls(os.dup(file.fileno()), None, header.begun)

    @classmethod
    def at(cls, path: Path, header: PartialHeader, *, fresh: bool) -> Self:
        """The one at this place, with what an earlier run of the same export left in it; readable by its owner alone.

        Args:
            fresh: set an earlier one aside, whatever it is of, and begin anew.

        Raises:
            JournalLocked: another export holds it.
            JournalMismatch: it belongs to another place or selection, or a newer batchpol wrote it.
            JournalDamaged: it is not as it was written, or nothing of an export's.
            JournalError: it is a symbolic link or no plain file.
            JournalUnwritable: it cannot be written there.
        """
        notes, earlier = [], os.path.lexists(path)
        if fresh and earlier:
            os.close(_held(path))
            notes.append(f"what an earlier export had read is now {set_aside(path)}")
        partial = cls(_held(path), path, header.begun)
        partial.notes, partial.earlier = notes, earlier
        try:
            partial._load(header)
        except BaseException:
            partial.close()
            raise
        return partial

    def __len__(self) -> int:
        """How many identities were read."""
        return len(self._at)

    def has(self, target: Target, identity: str) -> bool:
        """Whether this identity was read."""
        return (target, identity) in self._at

    def add(self, target: Target, identity: str, rows: Iterable[bytes]) -> None:
        """Keep the rows of one identity, JSON objects without a line break; none if it has no policies.

        Raises:
            JournalUnwritable: this or an earlier line could not be written.
        """
        line = _IdentityLine(target.account, target.region, identity, [Raw(row) for row in rows])
        start = self._size
        self._write(msgspec.json.encode(line) + b"\n")
        self._at[target, identity] = start, self._size - start, len(line.rows)

    def count(self, target: Target, identity: str) -> int:
        """How many rows an identity has."""
        return self._at.get((target, identity), _NOWHERE)[2]

    def rows(self, target: Target, identity: str) -> list[bytes]:
        """The rows of an identity, each with its line end; empty if it has none, or was not read."""
        start, size, count = self._at.get((target, identity), _NOWHERE)
        if not count:
            return []
        line = msgspec.json.decode(os.pread(self._fd, size, start), type=_IdentityLine)
        return [bytes(row) + b"\n" for row in line.rows]

    def sync(self) -> None:
        """Make durable what was added so far; nothing to do for a temporary partial.

        Raises:
            JournalUnwritable: it is not.
        """
        if self.path is not None:
            try:
                files.make_durable(self._fd)
            except OSError as error:
                self._fail(error)

    def remove(self) -> None:
        """Remove the file: what it has is in the output, or it has nothing."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; closing twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        if self._failure is not None:  # what follows half a line could not be believed
            self._fail(self._failure)
        try:
            files.write_all(self._fd, line)
        except OSError as error:
            self._fail(error)
        self._size += len(line)

    def _fail(self, error: OSError) -> None:
        self._failure = error
        raise JournalUnwritable(
            f"what was read cannot be kept in {self.path or 'a temporary file'}: {error.strerror}",
            hint="nothing more is read; mend that, and run the same command again to go on",
        ) from error

    def _load(self, header: PartialHeader) -> None:
        """Read what is there, or write the header of a new partial."""
        with open(self._fd, "rb", closefd=False) as file:
            first = file.readline(_LONGEST_HEADER)
            if not first.startswith(EXPORT_MAGIC[: len(first)]):
                raise JournalDamaged(f"{self.path} is not what an export keeps beside its output", hint=_ANEW)
            if not first.endswith(b"\n"):
                self._check_torn(first, 1)
                os.ftruncate(self._fd, 0)
                self._write(msgspec.json.encode(header) + b"\n")
                return
            there = self._decoded(first, 1, PartialHeader)
            self._check(there, header)
            self.begun, self._size = there.begun, len(first)
            for number, line in enumerate(file, 2):
                if not line.endswith(b"\n"):
                    self._check_torn(line, number)
                    os.ftruncate(self._fd, self._size)
                    self.notes.append(f"the last line of {self.path} was cut off; that identity is read again")
                    break
                found = self._decoded(line, number, _IdentityLine)
                self._at[Target(found.account, found.region), found.identity] = self._size, len(line), len(found.rows)
                self._size += len(line)

    def _check_torn(self, line: bytes, number: int) -> None:
        """Refuse what is more than a line that was never finished: no line of ours has a carriage return in it."""
        if b"\r" in line:
            text = f"line {number} of {self.path} is more than one line: its line ends were turned into CR"
            raise JournalDamaged(text, hint=_ANEW)

    def _decoded(self, line: bytes, number: int, kind: type[_Kind]) -> _Kind:
        try:
            return msgspec.json.decode(line, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalDamaged(
                f"line {number} of {self.path} is not as it was written: {error}", hint=_ANEW
            ) from error

    def _check(self, there: PartialHeader, here: PartialHeader) -> None:
        if there.format > FORMAT:
            raise JournalMismatch(f"a newer batchpol wrote {self.path}", hint=f"use that one, or {_ANEW}")
        for field in ("targets", "endpoint", "identities", "match", "match_name"):
            other = getattr(there, field)
            if other != getattr(here, field):
                words = field.replace("_", "-")
                text = ", ".join(other) if isinstance(other, tuple) else other
                raise JournalMismatch(
                    f"{self.path} belongs to another export, of {words} {text[:200] or '(none)'}", hint=_ANEW
                )


def _held(path: Path) -> int:
    """Open a plain file, made if need be, and take the lock that lasts until it is closed."""
    try:
        fd = files.open_plain(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)
    except files.NotPlain as error:
        hint = "remove the link" if error.errno == errno.ELOOP else "name another file with `output`"
        raise JournalError(f"{path} {error.strerror}", hint=hint) from error
    except OSError as error:
        raise JournalUnwritable(
            f"what is read cannot be kept in {path}: {error.strerror}", hint="name a file elsewhere with `output`"
        ) from error
    try:
        _hold(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _hold(fd: int, path: Path) -> None:
    try:
        files.hold(fd, path)
    except BlockingIOError:
        hint = "wait until it has ended, or name another file with `output`"
        raise JournalLocked(f"another export keeps what it reads in {path}", hint=hint) from None
    except FileNotFoundError:  # it ended between our opening the file and locking it
        hint = "run the same command again"
        raise JournalLocked(f"another export has just put away {path}", hint=hint) from None
