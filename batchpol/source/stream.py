"""From a file or standard input to bounded physical lines, and to text: counting, digest, decompression, damage."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from batchpol.model import Finding
from batchpol.model.errors import InputError
from batchpol.source.rules import CUT_OFF, ENCODING, MAX_LINE, TOO_LONG

GZIP_MAGIC: Final = b"\x1f\x8b"
BOM: Final = b"\xef\xbb\xbf"


class BrokenLine(bytes):
    """A line that could not be read; its text is lost, ``problem`` says why."""

    problem: Finding

    @classmethod
    def because(cls, problem: Finding) -> BrokenLine:
        """An empty line that carries ``problem``."""
        line = cls()
        line.problem = problem
        return line


class Damage(Exception):
    """The rest of a compressed stream cannot be read; never leaves this package."""


class Counted(io.RawIOBase):
    """Raw bytes as they come from disk, counted and digested on the way through."""

    def __init__(
        self,
        readinto: Callable[[Any], int | None],
        name: str,
        *,
        digest: bool,
        shut: Callable[[], None] | None = None,
    ) -> None:
        self._readinto, self._name, self._shut = readinto, name, shut
        self._digest = hashlib.sha256() if digest else None
        self._head, self._over = b"", False
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if self._head:
            size = min(len(buffer), len(self._head))
            buffer[:size], self._head = self._head[:size], self._head[size:]
            return size
        if self._over:  # a terminal would have to be told so again, with another Ctrl-D
            return 0
        try:
            size = self._readinto(buffer) or 0
        except OSError as error:
            raise InputError(f"{self._name}: reading failed after {self.count} bytes: {error.strerror}") from error
        if self._digest is not None:
            self._digest.update(memoryview(buffer)[:size])
        self.count += size
        self._over = not size
        return size

    def head(self, size: int) -> bytes:
        """The first bytes (fewer only at the end of the file), to be read again afterwards."""
        held = bytearray()
        while len(held) < size and (part := self.read(size - len(held))):
            held += part
        self._head = bytes(held)
        return self._head

    def close(self) -> None:
        if self._shut is not None:
            self._shut()
        super().close()

    def hexdigest(self) -> str:
        """SHA-256 of all bytes read so far; empty if none is kept."""
        return self._digest.hexdigest() if self._digest is not None else ""


class Gunzip(io.RawIOBase):
    """Decompresses gzip, of one member or several, a buffer at a time.

    ``gzip.GzipFile.read`` drops what it had unpacked when damage follows within the same call; ``read1`` hands it
    out first. Damage, and output beyond ``max_bytes``, is a :class:`Damage`.
    """

    def __init__(self, raw: Counted, max_bytes: int) -> None:
        self._file = gzip.GzipFile(fileobj=raw, mode="rb")
        self._left = max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            data = self._file.read1(len(buffer))
        except EOFError as error:
            raise Damage("the compressed file ends early") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise Damage("the compressed file is damaged") from error
        self._left -= len(data)
        if self._left < 0:
            raise Damage("the file unpacks to more than the limit")
        buffer[: len(data)] = data
        return len(data)


def bounded_lines(stream: io.BufferedReader[Any]) -> Iterator[bytes]:
    """Physical lines with their ends, the byte order mark removed.

    A line over ``MAX_LINE`` bytes, or damage of the stream, comes as a :class:`BrokenLine`; nothing follows damage.
    """
    readline = stream.readline
    try:
        line = readline(MAX_LINE + 2)
        line = line.removeprefix(BOM)
        while line:
            if len(line) > MAX_LINE and len(line.rstrip(b"\r\n")) > MAX_LINE:
                yield _skip_rest(line, readline)
            else:
                yield line
            line = readline(MAX_LINE + 2)
    except Damage as damage:
        yield BrokenLine.because(
            CUT_OFF.at("record", f"{damage}; whatever should follow is not known", "get a whole copy of the file")
        )


def _skip_rest(line: bytes, readline: Callable[[int], bytes]) -> BrokenLine:
    size = len(line)
    while line and not line.endswith(b"\n"):
        line = readline(MAX_LINE)
        size += len(line)
    size -= len(line) - len(line.rstrip(b"\r\n"))
    return BrokenLine.because(TOO_LONG.at("record", f"the line is {size:,} bytes long; the limit is {MAX_LINE:,}"))


class BrokenText(str):
    """A line with something wrong: ``problem`` says what. ``kept`` tells whether its text could be kept."""

    __slots__ = ("kept", "problem")
    problem: Finding
    kept: bool


def texts(lines: Iterator[bytes]) -> Iterator[str]:
    """Lines as text; one that is no UTF-8 comes as a :class:`BrokenText`."""
    for line in lines:
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            at, byte = error.start, line[error.start]
            problem = ENCODING.at("record", f"byte 0x{byte:02X} at byte {at + 1} of the line is not UTF-8", _UTF8)
            text = _broken(line.decode(errors="replace"), problem, kept=True)
        if "\0" in text:
            problem = ENCODING.at("record", f"a NUL byte at byte {line.index(0) + 1} of the line", _UTF8)
            text = _broken(text.replace("\0", "\ufffd"), problem, kept=True)
        elif not line and isinstance(line, BrokenLine):
            # Blank text: the reader must see a whole row for it.
            text = _broken("\n", line.problem, kept=False)
        yield text


_UTF8: Final = "save the file as UTF-8 (in spreadsheets: CSV UTF-8)"


def _broken(text: str, problem: Finding, *, kept: bool) -> BrokenText:
    broken = BrokenText(text)
    broken.problem, broken.kept = problem, kept
    return broken
