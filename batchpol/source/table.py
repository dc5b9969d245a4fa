"""CSV and TSV: physical lines to rows to records, with quoting faults kept to the line they stand on."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Final

from batchpol.errors import InputError
from batchpol.model import Finding, Record
from batchpol.source.fields import Layout, check_repeated
from batchpol.source.policyfile import PREFIX, PolicyFiles
from batchpol.source.rules import COLUMNS, ENCODING, MAX_LINE, QUOTE
from batchpol.source.stream import BrokenLine

_MAX_SPAN_LINES: Final = 10_000
"""Physical lines that one quoted record may span; beyond that, or 1 MiB, its quote counts as not closed."""
_MAX_HEADER_LINES: Final = 50
_DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SEPARATORS: Final = (",", ";", "\t", "|")


class BrokenText(str):
    """A line with something wrong: ``problem`` says what. ``kept`` tells whether its text could be kept."""

    __slots__ = ("kept", "problem")
    problem: Finding
    kept: bool


class Unclosed(csv.Error):
    """A quote is still open where its record must end at the latest."""


class Table:
    """The rows of a CSV or TSV file as records.

    The header is read at once.

    Args:
        lines: physical lines; the first one that is not blank begins the header.
        delimiter: what should separate cells. If the header names the required columns only when split at
            another delimiter (spreadsheets write semicolons in half of Europe), that one is taken and noted.
        file: the name of the input for messages and records.
        policies: where ``file://`` cells are read.

    Raises:
        InputError: no usable header.
    """

    def __init__(
        self,
        lines: Iterator[bytes],
        *,
        delimiter: str,
        file: str,
        policies: PolicyFiles,
        policy_required: bool = True,
        name_required: bool = True,
    ) -> None:
        self._lines = _texts(lines)
        self._file = file
        self._line = 0
        """Physical lines behind us."""
        self._again: deque[str] = deque()
        """Lines to be read a second time, after a quoting fault in a line before them."""
        self._pending: list[str] = []
        """Lines of the record in hand."""
        self._broken: list[Finding] = []
        """What is wrong with them."""
        self._span = 0
        """Characters of the record in hand; kept up only once it spans lines."""
        self._open_until = 0
        """Every line end before this line is known to be inside quotes once a quote is open there (see _fault)."""
        self.notes: list[str] = []
        header = self._header(delimiter, policy_required, name_required)
        self.layout = Layout.of(header)
        self.columns = tuple(name for name, _ in self.layout.extra)
        self.notes += self.layout.doubts()
        self._make = _maker(self.layout, file, policies)

    # The header

    def _header(self, delimiter: str, policy_required: bool, name_required: bool) -> list[str]:
        lines = self._header_lines()
        if (hint := lines[0].rstrip("\r\n"))[:4].casefold() == "sep=" and hint[4:] in _SEPARATORS:
            # Spreadsheets write and read this line above the header to name the delimiter.
            delimiter, lines = hint[4:], self._header_lines()
        widest: list[str] = []
        for candidate in (delimiter, *(other for other in _DELIMITERS if other != delimiter)):
            header = self._split(lines, candidate)
            layout = Layout.of(header)
            if not layout.missing(policy_required=policy_required, name_required=name_required):
                check_repeated(self._file, header)
                if candidate != delimiter:
                    self.notes.append(f"cells are separated by {_DELIMITERS[candidate]}")
                self._delimiter = candidate
                return header
            widest = max(widest, header, key=len)
        layout = Layout.of(widest)
        missing = layout.missing(policy_required=policy_required, name_required=name_required)
        raise layout.refuse(f"{self._file}, line {self._line}", widest, missing)

    def _header_lines(self) -> list[str]:
        """The header's physical lines: several if the name of a column is quoted over them."""
        lines: list[str] = []
        quotes = 0
        while (not lines or quotes % 2) and len(lines) < _MAX_HEADER_LINES:
            if (line := next(self._lines, None)) is None:
                break
            self._line += 1
            if isinstance(line, BrokenText):
                raise self._bad_header(line.problem.message, line.problem.hint)
            if lines or line.strip():
                lines.append(line)
                quotes += line.count('"')
        if not lines:
            raise InputError(f"{self._file} is empty", hint="it needs a header, and a row for each record")
        if any("\r" in line.rstrip("\r\n") for line in lines):
            hint = "save it as CSV UTF-8, or turn the line ends: tr '\\r' '\\n' < old.csv > new.csv"
            raise self._bad_header("lines end in a lone carriage return", hint)
        if quotes % 2:
            # Not JSON by mistake? Then the better error is that there is no header.
            lines = lines[:1]
            if not lines[0].lstrip().startswith("{"):
                raise self._bad_header("a quote is not closed", "close it, or remove it")
        return lines

    def _split(self, lines: list[str], delimiter: str) -> list[str]:
        try:
            row, *more = csv.reader(lines, delimiter=delimiter)
        except csv.Error as error:
            raise self._bad_header(str(error)) from error
        if more:
            raise self._bad_header("a quote is not closed", "close it, or remove it")
        return row

    def _bad_header(self, why: str, hint: str = "") -> InputError:
        return InputError(f"{self._file}, line {self._line}: the header cannot be read: {why}", hint=hint)

    # The rows

    def __iter__(self) -> Iterator[Record]:
        pending, broken, width, identity = self._pending, self._broken, self.layout.width, self.layout.identity
        make = self._make
        while True:
            reader = csv.reader(self._feed(), delimiter=self._delimiter, strict=True)
            try:
                for row in reader:
                    if len(row) == width and not broken and row[identity]:
                        record: Record | None = make(row, self._line + 1)
                        self._line += len(pending)
                        pending.clear()
                    else:
                        record = self._settle(row)
                    if record is not None:
                        yield record
                return
            except csv.Error as error:
                record = self._after(error)
            if record is not None:
                yield record

    def _feed(self) -> Iterator[str]:
        """Lines for the ``csv`` module; asked for one while a record is in hand, that record is inside quotes."""
        again, pending, lines = self._again, self._pending, self._lines
        while True:
            line = again.popleft() if again else next(lines, None)
            if line is None:
                return
            if pending and not self._may_go_on(line):
                again.appendleft(line)
                raise Unclosed
            if line.__class__ is not str:
                self._broken.append(line.problem)  # type: ignore[attr-defined]
            pending.append(line)
            yield line

    def _may_go_on(self, line: str) -> bool:
        if len(self._pending) == 1:
            self._span = len(self._pending[0])
        self._span += len(line)
        known_open = self._line + len(self._pending) < self._open_until
        fits = self._span <= MAX_LINE and len(self._pending) < _MAX_SPAN_LINES
        return fits and not known_open and (not isinstance(line, BrokenText) or line.kept)

    def _settle(self, row: list[str]) -> Record | None:
        """A row that is not plainly good; None for a blank one."""
        line, problems = self._line + 1, tuple(self._broken)
        if not problems and len(self._pending) == 1 and not any(cell.strip() for cell in row):
            self._done()
            return None
        if len(row) == self.layout.width:
            record = self._make(row, line)
            record.problems += problems
        elif len(self._pending) > 1 and self._stands_alone(self._pending[1]):
            return self._fault("the quote that opens on this line is not closed")
        else:
            record = self._partial(row, problems or (self._miscounted(row),))
        self._done()
        return record

    def _done(self) -> None:
        self._line += len(self._pending)
        self._pending.clear()
        self._broken.clear()

    def _after(self, error: csv.Error) -> Record | None:
        if isinstance(error, Unclosed):
            return self._fault("the quote that opens on this line is not closed")
        if "field limit" in str(error):
            return self._read_wide()
        if "new-line" in str(error):
            return self._fault("a lone carriage return stands outside quotes")
        if "unexpected end" in str(error):
            return self._fault("the quote that opens on this line is not closed before the file ends")
        if len(self._pending) > 1:
            line = self._line + len(self._pending)
            return self._fault(f"the quote that opens on this line is closed on line {line}, and text follows it")
        if f"{self._delimiter}{{" in self._pending[0]:
            # Bare JSON: its commas part it into cells, and its strings look like quoted ones.
            return self._fault(self._miscounted(self._loosely(self._pending[0])))
        return self._fault("text follows a closing quote")

    def _read_wide(self) -> Record | None:
        """Read the record in hand once more, with room for long cells."""
        self._again.extendleft(reversed(self._pending))
        self._pending.clear()
        self._broken.clear()
        try:
            with _long_cells():
                row = next(csv.reader(self._feed(), delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            return self._after(error)
        return self._settle(row)

    def _fault(self, fault: str | Finding) -> Record:
        """Reject the first line of the record in hand and go on at the line after it.

        The lines up to the fault were all read inside quotes. Read again, one of them may open a quote that stays
        open at its end; then the rest would be read exactly as before, and fail in the same place. That is
        remembered, so that hostile input cannot have every line read a thousand times.
        """
        first, *rest = self._pending
        self._open_until = max(self._open_until, self._line + len(self._pending))
        self._again.extendleft(reversed(rest))
        if isinstance(first, BrokenText):
            fault = first.problem
        elif isinstance(fault, str):
            fault = QUOTE.at("record", fault, 'inside a quoted cell each " is doubled: "{""Version"": …}"')
        del self._pending[1:]
        record = self._partial(self._loosely(first), (fault,))
        self._done()
        return record

    def _loosely(self, line: str) -> list[str]:
        try:
            return next(csv.reader([line], delimiter=self._delimiter), [])
        except csv.Error:
            return []

    def _stands_alone(self, line: str) -> bool:
        try:
            return len(next(csv.reader([line], delimiter=self._delimiter, strict=True), ())) == self.layout.width
        except csv.Error:
            return False

    def _partial(self, row: Sequence[str], problems: tuple[Finding, ...]) -> Record:
        """A rejected record: of the cells only those whose place is beyond doubt are kept."""
        places = self.layout
        identity, name = (row[at] if 0 <= at < len(row) else "" for at in (places.identity, places.policy_name))
        return Record(identity, name, line=self._line + 1, file=self._file, problems=problems)

    def _miscounted(self, row: list[str]) -> Finding:
        message = f"expected {self.layout.width} cells as in the header, found {len(row)}"
        hint = ""
        if any(cell.lstrip().startswith("{") for cell in row):
            hint = 'quote the policy and double the quotes inside it: "{""Version"": …}"'
        elif any(cell.lstrip().startswith('"') for cell in row):
            hint = "a quoted cell must begin right after the delimiter, without a blank before its quote"
        return COLUMNS.at("record", message, hint)


def _texts(lines: Iterator[bytes]) -> Iterator[str]:
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


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let the ``csv`` module take cells of any length we do. Its limit belongs to the whole process: given back."""
    before = csv.field_size_limit(MAX_LINE + 2)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _maker(layout: Layout, file: str, policies: PolicyFiles) -> Callable[[list[str], int], Record]:
    """From a row of the right width to its record, all positions settled beforehand (the hot path)."""
    identity, name, policy = layout.identity, layout.policy_name, layout.policy
    region, account, action = layout.region, layout.account, layout.action
    names = tuple(column for column, _ in layout.extra)
    # Two places more than there are extra columns, so that itemgetter always gives a tuple.
    cells = itemgetter(*(at for _, at in layout.extra), -1, -1)

    def make(row: list[str], line: int) -> Record:
        row.append("")
        text = row[policy]
        problems: tuple[Finding, ...] = ()
        if text.startswith(PREFIX):
            text, problems = policies.read(text)
        return Record(
            row[identity],
            row[name],
            text,
            row[action] or "put",
            row[region] or None,
            row[account] or None,
            line,
            file,
            dict(zip(names, cells(row), strict=False)) if names else {},
            problems,
        )

    return make
