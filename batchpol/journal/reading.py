"""A journal read without its lock: whether its run has ended, was killed or is writing it just now.

Each function takes the journal's path, verifies every byte that it makes something of, and leaves a torn last line out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from batchpol import files
from batchpol.journal.chain import NAMED, Chain, line_at
from batchpol.journal.compared import Compared, read_compared
from batchpol.journal.entries import Entry, Intent, OutcomeEntry, Run, decode
from batchpol.journal.runs import Started, read_runs
from batchpol.journal.section import Section, read_section
from batchpol.journal.sends import Sent, read_sends
from batchpol.model import Outcome
from batchpol.model.errors import JournalError, UsageError


def read(path: str | os.PathLike[str]) -> Iterator[tuple[int, Entry]]:
    """Every entry of a journal with its byte offset.

    Raises:
        JournalDamaged: at the first line that is not as it was written.
        JournalMismatch: a newer batchpol wrote it.
    """
    with opened(path) as fd:
        chain = Chain(fd, str(path))
        for offset, block in chain.blocks():
            for line in block.splitlines(keepends=True):
                try:
                    entry = decode(line)
                except msgspec.DecodeError as error:
                    raise chain.undecodable(str(error)) from error
                if isinstance(entry, Run):
                    chain.check_format(entry.format)
                yield offset, entry
                offset += len(line)


def read_entry(file: BinaryIO, offset: int) -> Entry:
    """The entry at an offset that :func:`read` gave, of the journal opened as ``file``."""
    entry: Entry = decode(line_at(file.fileno(), offset))
    return entry


def scan(path: str | os.PathLike[str]) -> Section | None:
    """The section a report is about, None in an empty journal.

    It is the last one that read its whole input. Raises as :func:`read` does.
    """
    with opened(path) as fd:
        return read_section(Chain(fd, str(path)))


def section_of(path: str | os.PathLike[str]) -> Section:
    """What :func:`scan` finds. Raises UsageError, JournalError: the journal has nothing yet, or cannot be read."""
    section = scan(path)
    if section is None:
        raise UsageError(f"the journal {path} is empty: no run has written into it yet")
    return section


def outcomes(path: str | os.PathLike[str], section: Section | None = None) -> Iterator[Outcome]:
    """One row for each record of the section a report is about, in input order.

    Args:
        section: what :func:`scan` found, to save reading the journal twice.
    """
    with opened(path) as fd:
        found = section or read_section(Chain(fd, str(path)))
        if found is not None:
            yield from found.outcomes(fd)


def sends(path: str | os.PathLike[str]) -> Iterator[Sent]:
    """Every request of every run that wrote into the journal, in their order.

    Raises as :func:`read` does.
    """
    with opened(path) as fd:
        yield from read_sends(Chain(fd, str(path)))


def compared(path: str | os.PathLike[str]) -> Iterator[Compared]:
    """What a plan wrote down of each record, in input order.

    Raises as :func:`read` does.
    """
    with opened(path) as fd:
        section = read_section(Chain(fd, str(path)))
        if section is not None:
            yield from read_compared(Chain(fd, str(path)), section, fd)


def runs(path: str | os.PathLike[str]) -> list[Started]:
    """Every run that wrote into the journal, the oldest first.

    Raises as :func:`read` does.
    """
    with opened(path) as fd:
        return read_runs(Chain(fd, str(path)))


def latest(path: str | os.PathLike[str], section: Section, most: int) -> list[OutcomeEntry | Intent]:
    """What was written down last of the records that a section sent, oldest first."""
    with opened(path) as fd:
        return section.latest(fd, most)


def is_held(path: str | os.PathLike[str]) -> bool:
    """Whether a run has the journal just now."""
    with opened(path) as fd:
        return files.is_held(fd)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[int]:
    """A descriptor of the journal, for reading alone; nothing but a plain file will do.

    Raises:
        JournalError: it cannot be read.
    """
    try:
        fd = files.open_plain(path, os.O_RDONLY)
    except files.NotPlain as error:
        raise JournalError(f"the journal {path} {error.strerror}") from error
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror}", hint=NAMED) from error
    try:
        yield fd
    finally:
        os.close(fd)
