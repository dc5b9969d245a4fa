"""The file below the entries: lines, their chained checksum, the torn tail, damage.

Each line ends with a member ``"crc"``: the CRC-32, as eight hexadecimal digits, of **every byte of the file that
stands before that member**. A flipped byte, a lost line or two swapped ones anywhere further up therefore show.
A last line that has no newline or a wrong checksum is what a crash in mid-write leaves behind: it counts as never
written. More than one line cannot be left so, and is damage as any other. The chain guards against accidents, not
against somebody who can compute a CRC.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from zlib import crc32

from batchpol.journal.entries import FORMAT
from batchpol.model import JOURNAL_MAGIC
from batchpol.model.errors import JournalDamaged, JournalError, JournalMismatch

SEAL = b',"crc":"%08x"}\n'
SEAL_SIZE = len(SEAL % 0)
BLOCK = 1 << 18
LONGEST = 1 << 26
"""No line is longer (bytes): an input line is at most 1 MiB, and escaping makes at most six bytes of one."""

_FORMAT = re.compile(rb'\{"t":"run","format":(\d{1,9})[,}]')
_MORE_THAN_A_LINE = re.compile(rb',"crc":"[0-9a-f]{8}"\}[^\0]')
_START_OVER = (
    "restore it from a copy, or give `fresh` to set it aside (renamed, not deleted) and start over; "
    "what it says was applied is then sent again"
)


NAMED = "a run of tenants.csv keeps tenants.journal.jsonl, in the folder it was started in, or what its `journal` named"
"""Where to look, for whoever gave something else."""


class Chain:
    """One pass over a journal's bytes, front to back, each block verified before it is handed out.

    After the pass ``size`` is where the good lines end (bytes), ``seed`` the CRC-32 of everything up to there
    and ``torn`` how many bytes of a torn tail follow.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self._name = name
        self.size = 0
        self.seed = 0
        self.torn = 0

    @property
    def ahead(self) -> int:
        """How many bytes of the file lie behind the lines handed out so far."""
        return os.fstat(self.fd).st_size - self.size

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Whole, verified lines as (offset of the first byte, bytes); a block may hold any number of lines.

        Raises:
            JournalDamaged: a line that is not the last one was altered, or this is no journal.
            JournalMismatch: a newer batchpol wrote it.
            JournalError: it cannot be read.
        """
        self._recognise(self._read(64, 0))
        begun: list[bytes] = []  # What is read of a line whose end is not read yet.
        size = 0
        while chunk := self._read(BLOCK, self.size + size):
            begun.append(chunk)
            size += len(chunk)
            if b"\n" not in chunk:
                if size > LONGEST:
                    raise self._damaged("it is longer than any line of a journal")
                continue
            data = b"".join(begun)
            whole = data.rfind(b"\n") + 1
            block, begun = data[:whole], [data[whole:]]
            size -= whole
            good = block if self._accept(block) else self._good_lines(block)
            if good:
                start = self.size
                self.size += len(good)
                yield start, good
            if len(good) < len(block):
                self._judge_bad_line(block[len(good) :] + begun[0])
                return
        self._check_tail(b"".join(begun))
        self.torn = size

    def _read(self, size: int, offset: int) -> bytes:
        try:
            return os.pread(self.fd, size, offset)
        except OSError as error:
            hint = "see whether the disk or the volume is sound, then run the same command again"
            raise JournalError(f"{self._name} cannot be read: {error.strerror}", hint=hint) from error

    def _accept(self, lines: bytes) -> bool:
        """Whether the checksum that ends these lines vouches for every byte of them; if so, count them in."""
        if len(lines) < SEAL_SIZE:
            return False
        crc = crc32(memoryview(lines)[:-SEAL_SIZE], self.seed)
        seal = SEAL % crc
        if not lines.endswith(seal):
            return False
        self.seed = crc32(seal, crc)
        return True

    def _good_lines(self, block: bytes) -> bytes:
        """The lines before the first bad one, found one by one; the checksum of the whole block was wrong."""
        start = 0
        while stop := block.find(b"\n", start) + 1:
            if not self._accept(block[start:stop]):
                break
            start = stop
        return block[:start]

    def _judge_bad_line(self, tail: bytes) -> None:
        """A torn tail if nothing stands behind the bad line, else an error."""
        line, _, behind = tail.partition(b"\n")
        found = _FORMAT.match(line)
        if found:
            self.check_format(int(found[1]))
        if behind or os.pread(self.fd, 1, self.size + len(tail)):
            ends = " (line ends were turned into CRLF)" if line.endswith(b"\r") else ""
            raise self._damaged(f"it, or the line before it, is not as it was written{ends}")
        self._check_tail(line)
        self.torn = len(tail)

    def _check_tail(self, line: bytes) -> None:
        """Refuse a tail in which a seal is followed by more: that is several lines, whose ends were altered."""
        if _MORE_THAN_A_LINE.search(line):
            ends = " (line ends were turned into CR)" if b"\r" in line else ""
            raise self._damaged(f"it is more than one line, which no crash leaves behind{ends}")

    def _recognise(self, head: bytes) -> None:
        """Refuse what is no journal, before anything is made of its bytes."""
        if not head.startswith(JOURNAL_MAGIC[: len(head)]):
            raise JournalDamaged(f"{self._name} is not a batchpol journal", hint=NAMED)
        found = _FORMAT.match(head)
        if found:
            self.check_format(int(found[1]))

    def check_format(self, number: int) -> None:
        """Refuse a section of a format that is not known here."""
        if number > FORMAT:
            raise self._newer(number)

    def _newer(self, number: int) -> JournalError:
        return JournalMismatch(
            f"{self._name} was written by a newer batchpol (journal format {number}; this one reads up to {FORMAT})",
            hint="update batchpol, or give another `journal`",
        )

    def _damaged(self, what: str) -> JournalError:
        return JournalDamaged(f"{self._name}, line {self._lines() + 1}: {what}", hint=_START_OVER)

    def undecodable(self, why: str) -> JournalError:
        """The error for bytes whose checksum is right and whose meaning is not: something else wrote them."""
        return JournalDamaged(
            f"{self._name}, near line {self._lines()}: the checksum is right, but {why}",
            hint=_START_OVER,
        )

    def _lines(self) -> int:
        """How many good lines there are; counted for an error alone, since it takes a tenth of reading a journal."""
        starts = range(0, self.size, BLOCK)
        return sum(os.pread(self.fd, min(BLOCK, self.size - at), at).count(b"\n") for at in starts)


def line_at(fd: int, offset: int) -> bytes:
    """The line that begins at the offset, without its newline."""
    line = os.pread(fd, 4096, offset)
    while (stop := line.find(b"\n")) < 0:
        more = os.pread(fd, BLOCK, offset + len(line))
        if not more:
            raise JournalDamaged(f"the journal has no whole line at byte {offset} any more")
        line += more
    return line[:stop]
