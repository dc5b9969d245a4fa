"""What an output may take the place of: a report of ours, or anything that no command would ever read.

Found out before anything is read. Whatever can be an input (records, a plan, a journal, a policy) is never replaced,
whoever made it: nobody can tell whether somebody has gone on with it since.
"""

from __future__ import annotations

import csv
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from batchpol.files import STANDARD_OUTPUT, NotPlain, check_folder, check_place, is_held, open_plain
from batchpol.model import JOURNAL_MAGIC
from batchpol.model.errors import UsageError
from batchpol.report import check_suffix
from batchpol.source.fields import OURS
from batchpol.source.stream import GZIP_MAGIC

TABLE = "a table that may be an input"
"""What a list is of which only its owner knows which column holds an identity."""

EXPORT_MAGIC = b'{"batchpol_export":'
"""How begins what an export keeps beside its output."""

_HEAD = 1 << 21
"""Bytes that are looked at: more than a record has."""

_KEY = re.compile(r'"([A-Za-z_ ]+)"\s*:')
_REPORT, _ARRIVALS = {"line", "status"}, {"operation", "wall"}


Inputs = Mapping[str, object]
"""What a command reads, by what it is called (``the input``): paths, standard input (``-``), or what is no file."""


def check_run(inputs: Inputs, journal: Path | None, reports: Sequence[Path]) -> None:
    """Refuse files of a run that are not different ones, or cannot be written.

    Raises:
        UsageError: as :func:`check_outputs` does; or a report has no known format.
    """
    if journal is not None:
        check_different([journal], inputs, setting="journal")
        check_folder(journal, f"the journal {journal}")
        if os.path.isdir(journal):  # noqa: PTH112 - which never raises
            hint = "name a file with `journal`; a folder is what the workers of a batch share, each with its `shard`"
            raise UsageError(f"the journal {journal} is a folder", hint=hint)
    for path in reports:
        check_suffix(path)
    check_outputs(reports, {"the journal": journal, **inputs})


def check_outputs(outputs: Sequence[Path], inputs: Inputs, *, setting: str = "reports") -> None:
    """Refuse outputs that would destroy something, or cannot be written.

    Args:
        setting: that names the outputs.

    Raises:
        UsageError: one is an input or another output (:func:`check_different`); begins as somebody's input; or has no
            place (:func:`~batchpol.files.check_place`).
    """
    if outputs:
        check_different(outputs, inputs, setting=setting)
    for path in outputs:
        check_place(path, setting)
        if path != STANDARD_OUTPUT:
            check_no_input(path, setting)


def check_no_input(path: Path, setting: str) -> None:
    """Refuse an output where somebody's input stands. Raises UsageError."""
    if kind := begins_as(path):
        hint = f"name another file with `{setting}`, or move that one away first"
        raise UsageError(f"{path} is {kind}, which no output replaces", hint=hint)


def check_different(outputs: Sequence[Path], inputs: Inputs, *, setting: str) -> None:
    """Refuse an output that is an input or another output, whatever links lead there.

    Raises:
        UsageError: names both.
    """
    taken = {
        _file(Path(it)): f"{what} itself"
        for what, it in inputs.items()
        if isinstance(it, str | Path) and str(it) != "-"
    }
    for path in outputs:
        file = _file(path)
        if file in taken:
            name = "standard output" if path == STANDARD_OUTPUT else str(path)
            raise UsageError(f"{name} is {taken[file]}", hint=f"name another file with `{setting}`")
        taken[file] = "given for two outputs"


def _file(path: Path) -> object:
    """What is the same for two paths that lead to one file."""
    try:
        found = os.fstat(1) if path == STANDARD_OUTPUT else path.stat()
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def begins_as(path: Path) -> str:
    """What a file is by its first bytes (``an input``), if a command could read it; empty for all others."""
    try:
        fd = open_plain(path, os.O_RDONLY | os.O_NOFOLLOW)
    except (NotPlain, OSError):
        return ""
    with os.fdopen(fd, "rb") as file:
        if is_held(fd):
            return "being written by another run"
        head = file.read(_HEAD)
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD)
        except zlib.error:
            return ""
    if head.startswith(EXPORT_MAGIC):
        return "what an export has read so far"
    if head.startswith(JOURNAL_MAGIC):  # in the text of its header a quotation mark has a backslash
        return "a saved plan" if b'"plan":true' in head.partition(b"\n")[0] else "a journal"
    return _by_names(_names(head.decode("utf-8-sig", "replace")))


def _by_names(names: set[str]) -> str:
    if "identity" not in names:
        # A list's own name for the identity is given by `columns`, so a table of anything may be somebody's list.
        return "a policy" if "Statement" in names else TABLE if len(names) > 1 else ""
    if "effect" in names:
        return "a plan"
    return "" if "policy" not in names and (names >= _REPORT or names >= _ARRIVALS) else "an input"


def _names(text: str) -> set[str]:
    """The columns or keys with which a text begins, fields by their own names."""
    lines = (line for line in text.splitlines() if line.strip() and not line.casefold().startswith("sep="))
    first = next(lines, "")
    if first.lstrip().startswith("{"):
        found = _KEY.findall(first if _KEY.search(first) else text)
    else:
        found = next(csv.reader([first], delimiter=max(",;\t|", key=first.count)), [])
    return {OURS.field_of(name) or name.strip() for name in found}
