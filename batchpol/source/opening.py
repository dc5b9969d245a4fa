"""Opening an input: its format, its compression, and files that are none."""

from __future__ import annotations

import codecs
import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final, Self

from batchpol.model import JOURNAL_MAGIC, Record, shown
from batchpol.model.errors import InputError
from batchpol.source.fields import OURS, Layout, Names
from batchpol.source.jsonlines import JsonLines
from batchpol.source.policyfile import PolicyFiles
from batchpol.source.stream import BOM, GZIP_MAGIC, Counted, Damage, Gunzip, bounded_lines
from batchpol.source.table import Table

FORMATS: Final = ("csv", "tsv", "jsonl")
PIPED: Final = "jsonl"
"""What standard input is unless its format is given: commands speak JSON Lines to each other."""
MAX_UNPACKED: Final = 8 << 30
"""Most bytes that a compressed input may unpack to (8 GiB: some million records of the largest policies)."""
_SUFFIXES: Final = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_BUFFER: Final = 1 << 17
_SNIFF: Final = 4096

_SAVE_AS: Final = "save it as CSV UTF-8 (File, Save As), and give that file"
_SPREADSHEETS: Final = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
_UNPACK: Final = "unpack it first, or compress it with gzip"
_ARCHIVES: Final = (".zip", ".bz2", ".xz", ".zst", ".7z", ".rar")
_MAGIC: Final = (
    (b"PK\x03\x04", "a zip archive or a spreadsheet (.xlsx, .ods)", _SAVE_AS),
    (b"\xd0\xcf\x11\xe0", "an old Office document (.xls)", _SAVE_AS),
    (b"%PDF", "a PDF document", "give the table it was made from, saved as CSV UTF-8"),
    (b"\xff\xfe\x00\x00", "UTF-32 text", ""),
    (b"\x00\x00\xfe\xff", "UTF-32 text", ""),
    (b"\xff\xfe", "UTF-16 text", ""),
    (b"\xfe\xff", "UTF-16 text", ""),
    (b"BZh", "compressed with bzip2", _UNPACK),
    (b"\xfd7zXZ", "compressed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
    (b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK),
)


class Source:
    """One input being read: an iterator of records, once through, and a context manager.

    ``name`` is the input as messages call it; ``format`` one of :data:`FORMATS`; ``columns`` the extra columns of
    a table's header, in order (none for JSON Lines), and ``layout`` that header (None for JSON Lines); ``sheet`` how a
    report is to be written so that the program opens it that wrote this: a byte order mark, a semicolon; ``notes``
    what the user should be told about how it is read. Raises InputError if there is no record.
    """

    def __init__(self, name: str, format: str, raw: Counted, reader: Table | JsonLines, *, marked: bool) -> None:
        self.name, self.format = name, format
        self.sheet = ("\ufeff" if marked else "") + ";" * (isinstance(reader, Table) and reader.delimiter == ";")
        self.columns: tuple[str, ...] = reader.columns
        self.layout: Layout | None = reader.layout if isinstance(reader, Table) else None
        self.notes: list[str] = reader.notes
        self._raw = raw
        records = iter(reader)
        if (first := next(records, None)) is None:
            what = "a header and no record" if isinstance(reader, Table) else "no record"
            raise InputError(f"{name} has {what}: there is nothing to do", hint="was it written to the end?")
        self._records = chain((first,), records)

    @property
    def sha256(self) -> str:
        """SHA-256, in hex, of the bytes read so far; of the whole input once it was read to its end.

        Empty if the source was opened without ``digest``.
        """
        return self._raw.hexdigest()

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def close(self) -> None:
        """Close the file; standard input stays open. Closing twice is fine."""
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    names: Names = OURS,
    policy_required: bool = True,
    name_required: bool = True,
    max_bytes: int = MAX_UNPACKED,
    digest: bool = True,
) -> Source:
    """Open an input and read as much of it as shows that it is one.

    Args:
        path: a file, or ``-`` for standard input.
        format: ``csv``, ``tsv`` or ``jsonl``; by default the file's suffix says it; standard input is JSON Lines.
        names: which columns or keys stand for which fields.
        policy_required, name_required: whether records need a policy and a name of their own (not where a template
            makes them).
        max_bytes: most bytes that a compressed input may unpack to; what follows is not read.
        digest: compute :attr:`Source.sha256` on the way, which takes a sixth of the time.

    Raises:
        InputError: absent, unreadable, empty, of unknown format, without a usable header, or not text.
    """
    name = os.fsdecode(path)
    if format is not None and format not in FORMATS:
        raise InputError(f"{shown(format)} is no format of input", hint=f"give one of {', '.join(FORMATS)}")
    if name == "-":
        format, name = format or PIPED, "standard input"
        raw = _open_stdin(name, digest)
        folder = "."
    else:
        raw = _open_file(name, digest)
        folder = str(Path(name).parent)
    try:
        format = format or _format_of(name)
        stream = _unpacked(raw, name, format, max_bytes)
        marked = stream.peek(len(BOM)).startswith(BOM)
        lines = bounded_lines(stream)
        policies = PolicyFiles(folder, bare=names.templates)
        reader: Table | JsonLines
        if format == "jsonl":
            reader = JsonLines(lines, file=name, policies=policies, names=names, name_required=name_required)
        else:
            reader = Table(
                lines,
                delimiter="\t" if format == "tsv" else ",",
                file=name,
                policies=policies,
                names=names,
                policy_required=policy_required,
                name_required=name_required,
            )
        return Source(name, format, raw, reader, marked=marked)
    except BaseException:
        raw.close()
        raise


def _unpacked(raw: Counted, name: str, format: str, max_bytes: int) -> io.BufferedReader[io.RawIOBase]:
    """The input's bytes, of which the first ones are text."""
    packed = raw.head(_SNIFF).startswith(GZIP_MAGIC)
    if name.casefold().endswith(".gz") and not packed:
        raise InputError(f"{name} is not compressed with gzip", hint="take the .gz off its name, or compress it")
    bytes_in: io.RawIOBase = Gunzip(raw, max_bytes) if packed else raw
    stream = io.BufferedReader(bytes_in, _BUFFER)
    try:
        _check_text(name, format, stream.peek(_SNIFF)[:_SNIFF])
    except Damage as damage:
        raise InputError(f"{name}: {damage}", hint="get a whole copy of the file") from damage
    return stream


def _format_of(name: str) -> str:
    path = Path(name.casefold())
    if path.suffix == ".gz":
        path = path.with_suffix("")
    if path.suffix in _SPREADSHEETS:
        raise InputError(f"{name} is a spreadsheet, which batchpol cannot read", hint=_SAVE_AS)
    if path.suffix in _ARCHIVES:
        raise InputError(f"{name} is an archive, which batchpol cannot read", hint=_UNPACK)
    if path.suffix == ".json":
        hint = (
            f"one object a line? Then give `format=jsonl`. An array? jq -c '.[]' {name} > records.jsonl. A policy for "
            "all of a list? Give the list, and this as `policy_template`"
        )
        raise InputError(f"{name}: .json may be an array; batchpol reads JSON Lines", hint=hint)
    if path.suffix not in _SUFFIXES:
        known = ", ".join(_SUFFIXES)
        raise InputError(
            f"{name}: its suffix tells no format; those that do are {known}, each also with .gz behind it",
            hint=f"rename it, or give `format={'|'.join(FORMATS)}`",
        )
    return _SUFFIXES[path.suffix]


def is_input_name(name: str) -> bool:
    """Whether a file is called like a list of records, or like a policy in a file of its own."""
    path = Path(name.casefold())
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix in (*_SUFFIXES, ".json")


def _open_file(name: str, digest: bool) -> Counted:
    try:
        file = io.FileIO(name)
    except IsADirectoryError as error:
        raise InputError(f"{name} is a folder", hint="give a file in it") from error
    except FileNotFoundError as error:
        if there := _ELSEWHERE.match(name):
            raise _elsewhere(name, there[1].lower()) from error
        raise InputError(
            f"{name}: there is no such file", hint="check the path; a relative one starts at the working directory"
        ) from error
    except PermissionError as error:
        raise InputError(f"{name} may not be read by this user", hint="change its permissions or its owner") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(name)} cannot be opened: {error}") from error
    return Counted(file.readinto, name, digest=digest, shut=file.close)


_ELSEWHERE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BRINGS: Final = {
    "s3": ("an object in Amazon S3", "aws s3 cp {} ."),
    "gs": ("an object in Google Cloud Storage", "gcloud storage cp {} ."),
    "http": ("a web address", "curl -fsSO {}"),
    "https": ("a web address", "curl -fsSO {}"),
}
"""What is not on this machine, by scheme, and what brings it."""


def _elsewhere(name: str, scheme: str) -> InputError:
    """The error for an address, and how what is there becomes an input."""
    what, brings = _BRINGS.get(scheme, ("an address", ""))
    suffix = Path(name.casefold().removesuffix(".gz")).suffix
    if suffix in _SPREADSHEETS:
        hint = f"fetch it, {_SAVE_AS}"
    elif brings:
        hint = f"fetch it, and give that file: {brings.format(shlex.quote(name))}"
    else:
        hint = "give the path of a file, or pipe it in, with - as INPUT"
    return InputError(f"{shown(name)} is {what}, and batchpol reads files", hint=hint)


def _open_stdin(name: str, digest: bool) -> Counted:
    if sys.stdin is None:
        raise InputError("standard input is closed", hint="give a file")
    buffer: Any = sys.stdin.buffer
    # readinto1: a pipe's bytes as they come, instead of waiting until a whole buffer is full.
    return Counted(buffer.readinto1, name, digest=digest)


def _check_text(name: str, format: str, head: bytes) -> None:
    """Refuse what is no text at all, by its first bytes.

    Raises:
        InputError: what it is, and the mend.
    """
    if not head:
        raise InputError(f"{name} is empty", hint="it needs records; was it written to the end?")
    if head.startswith(JOURNAL_MAGIC):
        hint = "give what the run was given; batchpol status and batchpol undo take a journal, and apply a saved .plan"
        raise InputError(f"{name} is a journal, and no list of records", hint=hint)
    for magic, what, hint in _MAGIC:
        if head.startswith(magic):
            raise InputError(f"{name} is {what}, not UTF-8 text", hint=hint or _as_utf8(name, format, what[:6]))
    zeros = head.count(0)
    if zeros > 8 and zeros * 3 > len(head):
        raise InputError(
            f"{name} is UTF-16 text or a binary file, not UTF-8 text", hint=_as_utf8(name, format, "UTF-16")
        )
    control = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in head)
    if control > 8 and control * 20 > len(head) and (zeros or not _is_utf8(head)):
        raise InputError(f"{name} is a binary file, not text", hint="give a CSV, TSV or JSON Lines file")


def _as_utf8(name: str, format: str, encoding: str) -> str:
    """How text in another encoding becomes UTF-8: a spreadsheet saves it so, a program writes it so."""
    if format != "jsonl":
        return f"{_SAVE_AS}; PowerShell's Export-Csv writes it with -Encoding utf8"
    file = "FILE" if name == "standard input" else shlex.quote(name)
    turned = f"iconv -f {encoding} -t UTF-8"
    command = f"gunzip -c {file} | {turned}" if name.casefold().endswith(".gz") else f"{turned} {file}"
    return f"{command} > utf8.jsonl; PowerShell writes UTF-8 with -Encoding utf8"


def _is_utf8(head: bytes) -> bool:
    """True if these are the first bytes of UTF-8 text; the last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
