"""The header of a table: what separates its cells, which columns it has, and what people leave above it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from batchpol.model.errors import InputError
from batchpol.model.mends import is_blank
from batchpol.source.fields import OURS, Layout, Names, check_repeated
from batchpol.source.stream import BrokenText

DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What separates cells, and what people call it."""

_TRIED: Final = (",", ";", "\t")
_MAX_HEADER_LINES: Final = 50
_LOOKED_AHEAD: Final = 20
"""Lines behind a header without the columns among which the real one is looked for."""
_SEPARATOR = re.compile(r'"?sep=([,;\t|])"?[,;\t|"\s]*', re.IGNORECASE)
_EMPTY_CELLS = str.maketrans("", "", ',;\t|"')


class Header(NamedTuple):
    """What a table's first lines say: how many they are, the delimiter, the columns, and notes for the user."""

    lines: int
    delimiter: str
    layout: Layout
    notes: list[str]


def read_header(
    lines: Iterator[str], delimiter: str, file: str, names: Names = OURS, *, policy_required: bool, name_required: bool
) -> Header:
    """Read a table's header, and what stands above it without being one: lines of empty cells, ``sep=;``.

    Args:
        delimiter: what should separate cells. If the header names the required columns only when split at another
            one (spreadsheets write semicolons in half of Europe), that one is taken and noted.
        file: the name of the input for messages.
        names: which columns stand for which fields.

    Raises:
        InputError: no usable header; with the line that looks like one, if there is any.
    """
    above = _Above(lines, file)
    physical = above.header()
    if (said := _SEPARATOR.fullmatch(physical[0].rstrip("\r\n"))) is not None:
        # Spreadsheets write and read this line above the header to name the delimiter.
        delimiter, physical = said[1], above.header()
    candidates = (delimiter, *(other for other in _TRIED if other != delimiter))
    widest: list[str] = []
    broken: InputError | None = None
    for candidate in candidates:
        try:
            cells = above.split(physical, candidate)
        except InputError as error:  # a quote counts only behind what separates cells
            broken = broken or error
            continue
        layout = Layout.of(cells, names)
        if not layout.missing(policy_required=policy_required, name_required=name_required):
            check_repeated(file, cells, names)
            notes = [f"cells are separated by {DELIMITERS[candidate]}"] if candidate != delimiter else []
            return Header(above.line, candidate, layout, notes + layout.doubts())
        widest = max(widest, cells, key=len)
    if broken is not None and not widest:
        raise broken
    layout, line = Layout.of(widest, names), above.line
    missing = layout.missing(policy_required=policy_required, name_required=name_required)
    refusal = layout.refuse(f"{file}, line {line}", widest, missing)
    for number, later in enumerate(islice(lines, _LOOKED_AHEAD), line + 1):
        for candidate in candidates:
            if not _cells(later, candidate, names).missing(
                policy_required=policy_required, name_required=name_required
            ):
                which = "line 1" if number == 2 else f"lines 1 to {number - 1}"
                raise InputError(str(refusal), hint=f"the header seems to be line {number}: remove {which}")
    raise refusal


def _cells(line: str, delimiter: str, names: Names) -> Layout:
    """The columns that a line would name, if it were the header."""
    try:
        return Layout.of(next(csv.reader([line], delimiter=delimiter), []), names)
    except csv.Error:
        return Layout.of([], names)


class _Above:
    """The first lines of a table, counted."""

    def __init__(self, lines: Iterator[str], file: str) -> None:
        self._lines, self._file, self.line = lines, file, 0

    def header(self) -> list[str]:
        """The next physical lines that can be a header: several if the name of a column is quoted over them."""
        lines: list[str] = []
        quotes = 0
        while (not lines or quotes % 2) and len(lines) < _MAX_HEADER_LINES:
            if (line := next(self._lines, None)) is None:
                break
            self.line += 1
            if isinstance(line, BrokenText):
                raise self._bad(line.problem.message, line.problem.hint)
            if lines or not is_blank(line.translate(_EMPTY_CELLS)):
                lines.append(line)
                quotes += line.count('"')
        if not lines:
            raise InputError(f"{self._file} is empty", hint="it needs a header, and a row for each record")
        if any("\r" in line.rstrip("\r\n") for line in lines):
            hint = "save it as CSV UTF-8, or turn the line ends: tr '\\r' '\\n' < old.csv > new.csv"
            raise self._bad("lines end in a lone carriage return", hint)
        if quotes % 2:
            # Not JSON by mistake? Then the better error is that there is no header.
            lines = lines[:1]
            if not lines[0].lstrip().startswith("{"):
                raise self._bad("a quote is not closed", "close it, or remove it")
        return lines

    def split(self, lines: list[str], delimiter: str) -> list[str]:
        """The cells of a header."""
        try:
            row, *more = csv.reader(lines, delimiter=delimiter)
        except csv.Error as error:
            raise self._bad(str(error)) from error
        if more:
            raise self._bad("a quote is not closed", "close it, or remove it")
        return row

    def _bad(self, why: str, hint: str = "") -> InputError:
        return InputError(f"{self._file}, line {self.line}: the header cannot be read: {why}", hint=hint)
