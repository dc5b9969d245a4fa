"""The journal as a run writes it: created or resumed under a lock, appended to, made durable, read back."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Self

import msgspec

from batchpol import files
from batchpol.journal.chain import SEAL_SIZE, Chain, line_at
from batchpol.journal.compared import Compared, read_compared
from batchpol.journal.entries import (
    Entry,
    OutcomeEntry,
    RecordEntry,
    Run,
    decode,
    decode_outcome,
    decode_record,
    encode,
    scrubbed,
)
from batchpol.journal.history import History
from batchpol.journal.reading import opened
from batchpol.journal.runs import Started, read_runs
from batchpol.journal.section import Rows, Section, read_section, torn_note
from batchpol.journal.sends import Sent, read_sends
from batchpol.journal.tail import Tail, altered, unwritable
from batchpol.model import Outcome
from batchpol.model.errors import JournalDamaged, JournalError, JournalLocked


class Journal:
    """One run's hold on its journal; a context manager that lets go of it.

    Appending and making durable may happen on different threads; see :class:`~batchpol.journal.tail.Tail`.

    Attributes:
        path: where it is; None for a temporary one.
        history: what the sections before this run say (empty for a new journal).
        notes: sentences for people about what was found (a torn tail that was cut off).
        tail: its end, where whoever shares it with other machines finds out whether it is still its own.
    """

    def __init__(self, fd: int, path: Path | None, history: History, chain: Chain | None = None) -> None:
        self.path = path
        self.history = history
        self.notes: list[str] = []
        self.tail = Tail(fd, path, chain)
        self._begun = self.tail.written

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Self:
        """A new journal, readable by its owner alone.

        Raises:
            JournalLocked: something is at that path already, made by another run just now (a dangling link counts).
            JournalError: it cannot be locked there.
            JournalUnwritable: it cannot be created there.
        """
        where = Path(path)
        try:
            fd = files.create(where)
        except FileExistsError:
            raise JournalLocked(
                f"the journal {where} is there already", hint="set it aside with `fresh`, or give another `journal`"
            ) from None
        except OSError as error:
            raise unwritable(where, error) from error
        try:
            _hold(fd, where)
            files.sync_folder(where)
        except BaseException as error:
            os.close(fd)
            if not isinstance(error, JournalLocked):
                where.unlink(missing_ok=True)  # nothing is in it
            if isinstance(error, OSError):
                raise unwritable(where, error) from error
            raise
        return cls(fd, where, History())

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> Self:
        """An existing journal, verified and read (:attr:`history`), its torn tail cut off, ready for a section.

        Raises:
            JournalLocked: another run holds it; the message names that run.
            JournalDamaged: it was altered further up than its last line, or is no journal.
            JournalMismatch: a newer batchpol wrote it.
            JournalError: it is a symbolic link or no plain file.
            JournalUnwritable: it cannot be opened for writing.
        """
        where = Path(path)
        fd = _open_plain(where)
        try:
            _hold(fd, where)
            chain, history = Chain(fd, str(where)), History()
            history.read(chain)
            journal = cls(fd, where, history, chain)
            if chain.torn:
                journal.notes.append(_cut(fd, chain, where))
        except BaseException:
            os.close(fd)
            raise
        return journal

    @classmethod
    def temporary(cls) -> Self:
        """A journal without a name, gone when it is closed, for callers who keep none; nothing is made durable."""
        return cls(files.small(), None, History())

    @classmethod
    def copied(cls, path: str | os.PathLike[str]) -> Self:
        """A temporary journal that begins with what is in another one, which is left as it is; for a dry run.

        Raises:
            JournalDamaged, JournalMismatch, JournalError: as :meth:`resume` does.
        """
        with opened(path) as fd, files.temporary() as file:
            try:
                with open(fd, "rb", closefd=False) as source:
                    shutil.copyfileobj(source, file)
                    file.flush()
            except OSError as error:
                raise unwritable(None, error) from error
            chain, history = Chain(file.fileno(), str(path)), History()
            history.read(chain)
            file.truncate(chain.size)
            file.seek(chain.size)
            journal = cls(os.dup(file.fileno()), None, history, chain)
        if chain.torn:
            journal.notes.append(torn_note(chain.torn))
        return journal

    def append(self, *entries: Entry) -> int:
        """Write entries down, in order; durable only after :meth:`sync`.

        Returns:
            The byte offset of the first of them, for :meth:`read_record`.

        Raises:
            JournalUnwritable: this or an earlier write failed.
        """
        return self.tail.append([_encode(entry) for entry in entries])

    def sync(self) -> None:
        """Return when everything appended so far would survive a power cut (nothing to do for a temporary one).

        Raises:
            JournalUnwritable: it does not, and never will.
            JournalAltered: as :meth:`check` does; nothing was written.
        """
        self.tail.sync()

    def check(self) -> None:
        """Look whether it is still there under its name, and as it was left (nothing to do for a temporary one).

        Raises:
            JournalAltered: somebody else moved or removed it, wrote to it or cut it short; it is not written any more.
            JournalUnwritable: an earlier write failed.
        """
        self.tail.check()

    def has(self, offset: int, entry: Entry) -> bool:
        """Whether just this entry stands at the offset."""
        return self.tail.line(offset)[: 1 - SEAL_SIZE] == _encode(entry)[:-1]

    def read_record(self, offset: int) -> RecordEntry:
        """The record whose append returned this offset."""
        try:
            return decode_record(self.tail.line(offset))
        except msgspec.DecodeError as error:
            raise JournalDamaged(f"no record stands at byte {offset} of the journal: {error}") from error

    def read_outcome(self, offset: int) -> OutcomeEntry:
        """The outcome at this offset (:attr:`Earlier.offset`)."""
        try:
            return decode_outcome(self.tail.line(offset))
        except msgspec.DecodeError as error:
            raise JournalDamaged(f"no outcome stands at byte {offset} of the journal: {error}") from error

    def section(self) -> Section | None:
        """The section a report is about, this run's own if it got that far; see :func:`read_section`.

        Where lines were lost under this run, it is what is left of its own section, doubted.

        Raises:
            JournalAltered: too little of that is left to say anything.
        """
        self.tail.flush()
        chain = _chain(self.tail)
        section = read_section(chain, damaged=True)
        if chain.size < self.tail.written:
            if section is None or section.planned is None or section.at < self._begun:
                raise altered(self.path, "was altered beyond reading", "no report can be written; see who writes to it")
            section.doubt()
        return section

    def outcomes(self, section: Section | None = None) -> Collection[Outcome]:
        """The report's rows in input order, from what is written down, also after this was closed; see
        :func:`outcomes`."""
        found = section or self.section()
        return Rows(found, os.dup(self.tail.fd)) if found else ()

    def sends(self) -> Iterator[Sent]:
        """Every request written down, by this run and those before it, as far as they can be read."""
        with contextlib.suppress(JournalDamaged):
            yield from read_sends(_chain(self.tail))

    def compared(self) -> Iterator[Compared]:
        """What a plan wrote down of each record; see :func:`compared`."""
        section = self.section()
        return read_compared(_chain(self.tail), section, self.tail.fd) if section else iter(())

    def copy_to(self, path: Path) -> None:
        """Put a copy of all of it in a place, whole."""
        self.tail.flush()
        os.lseek(self.tail.fd, 0, os.SEEK_SET)
        with files.Replacement(path) as place, open(self.tail.fd, "rb", closefd=False) as source:
            shutil.copyfileobj(source, place.file)

    def runs(self) -> list[Started]:
        """This run and those before it, as far as they can be read."""
        with contextlib.suppress(JournalDamaged):
            return read_runs(_chain(self.tail))
        return []

    def close(self) -> None:
        """Write out what is pending and let go of the lock; closing twice is harmless.

        Raises:
            JournalUnwritable: the pending entries could not be written.
        """
        self.tail.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cut(fd: int, chain: Chain, where: Path) -> str:
    """Cut a torn tail off, so that the next line begins on a line of its own; returns the note that says so, and where
    a copy of it is kept."""
    try:
        copy = files.keep_copy(os.pread(fd, chain.torn, chain.size), where.with_name(f"{where.name}.torn"))
        os.ftruncate(fd, chain.size)
        files.make_durable(fd)
    except OSError as error:
        raise unwritable(where, error) from error
    return f"{torn_note(chain.torn)}; a copy of it is {copy}"


def _chain(tail: Tail) -> Chain:
    """A pass over all of a journal from the front."""
    return Chain(tail.fd, str(tail.path or "the temporary journal"))


def set_aside(path: str | os.PathLike[str]) -> Path:
    """Rename a journal that nobody holds, never over another file; its name gains the time of its last write.

    Returns:
        Where it is now, in the same folder.

    Raises:
        JournalLocked: a run holds it.
        JournalError: it is a symbolic link or no plain file.
        JournalUnwritable: the folder does not let it be renamed.
    """
    where = Path(path)
    fd = _open_plain(where)
    try:
        _hold(fd, where)
        return files.set_aside(fd, where)
    except OSError as error:
        raise unwritable(where, error) from error
    finally:
        os.close(fd)


def _open_plain(where: Path) -> int:
    """Open an existing journal for reading and appending; nothing but a plain file will do."""
    try:
        return files.open_plain(where)
    except files.NotPlain as error:
        hint = "name the file itself" if error.errno == errno.ELOOP else ""
        raise JournalError(f"the journal {where} {error.strerror}", hint=hint) from error
    except OSError as error:
        raise unwritable(where, error) from error


def _hold(fd: int, where: Path) -> None:
    """Take the lock that lasts until the descriptor is closed, or say who has it."""
    try:
        files.hold(fd, where)
    except BlockingIOError:
        raise JournalLocked(
            f"the journal {where} is held by {_holder(fd)}",
            hint="wait until that run has ended, or give another `journal`",
        ) from None
    except FileNotFoundError:
        raise JournalLocked(
            f"the journal {where} was just set aside by another run", hint="run the same command again"
        ) from None
    except OSError as error:
        raise JournalError(
            f"the journal {where} cannot be locked: {error.strerror}",
            hint="nothing was sent; give another `journal`, on a volume that has locks",
        ) from error


def _holder(fd: int) -> str:
    """The run whose header stands last in the file, in words."""
    if os.fstat(fd).st_size:
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as view:
            offset = view.rfind(b'{"t":"run",')
        with contextlib.suppress(msgspec.DecodeError, JournalDamaged):
            run = decode(line_at(fd, max(offset, 0)))
            if isinstance(run, Run):
                return f"another run (process {run.pid} on {run.host}, started {run.at})"
    return "another run that has only just begun"


def _encode(entry: Entry) -> bytes:
    try:
        return encode(entry)
    except UnicodeEncodeError:
        return encode(scrubbed(entry))
