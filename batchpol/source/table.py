"""CSV and TSV: physical lines to rows to records, with quoting faults kept to the line they stand on."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Final

from batchpol.model import Finding, Record
from batchpol.model.mends import is_blank
from batchpol.source.fields import OURS, Layout, Names
from batchpol.source.header import DELIMITERS, read_header
from batchpol.source.policyfile import PolicyFiles
from batchpol.source.rules import COLUMNS, MAX_LINE, QUOTE
from batchpol.source.stream import BrokenText, texts

_MAX_SPAN_LINES: Final = 10_000
"""Physical lines that one quoted record may span; beyond that, or 1 MiB, its quote counts as not closed."""


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
        names: which columns stand for which fields.

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
        names: Names = OURS,
        policy_required: bool = True,
        name_required: bool = True,
    ) -> None:
        self._lines = texts(lines)
        self._file = file
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
        header = read_header(
            self._lines, delimiter, file, names, policy_required=policy_required, name_required=name_required
        )
        self._line, self.delimiter, self.layout = header.lines, header.delimiter, header.layout
        """Physical lines behind us, what separates cells, and the columns."""
        self.notes = header.notes
        self.columns = tuple(name for name, _ in self.layout.extra)
        self._make = _maker(self.layout, file, policies)

    def __iter__(self) -> Iterator[Record]:
        pending, broken, width, identity = self._pending, self._broken, self.layout.width, self.layout.identity
        make = self._make
        while True:
            reader = csv.reader(self._feed(), delimiter=self.delimiter, strict=True)
            try:
                for row in reader:
                    # A cell that begins visibly is not blank; to call for that would cost each row.
                    if (
                        len(row) == width
                        and not broken
                        and ("!" <= row[identity] < "\x7f" or not is_blank(row[identity]))
                    ):
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
        is_whole = len(self._pending) == 1 or len(row) == self.layout.width  # and not two quotes that lie about
        if not problems and is_whole and all(map(is_blank, row)):
            self._done()
            return None
        if len(row) != self.layout.width and len(self._pending) > 1 and self._stands_alone(self._pending[1]):
            return self._fault("the quote that opens on this line is not closed")
        if (whole := self._completed(row)) is not None:
            record = self._make(whole, line)
            record.problems += problems
        else:
            record = self._partial(row, problems or (self._miscounted(row),))
        self._done()
        return record

    def _completed(self, row: list[str]) -> list[str] | None:
        """A row with as many cells as the header: without empty ones behind, and with those that may be empty.

        A delimiter too many or too few at the end of a row is what spreadsheets and scripts leave there. None if it
        is not known which cell belongs to which column.
        """
        width = self.layout.width
        if len(row) >= width:
            return row[:width] if all(map(is_blank, row[width:])) else None
        needed = max(self.layout.identity, self.layout.policy_name, self.layout.policy)
        return row + [""] * (width - len(row)) if needed < len(row) else None

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
        if f"{self.delimiter}{{" in self._pending[0]:
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
                row = next(csv.reader(self._feed(), delimiter=self.delimiter, strict=True))
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
            return next(csv.reader([line], delimiter=self.delimiter), [])
        except csv.Error:
            return []

    def _stands_alone(self, line: str) -> bool:
        try:
            return len(next(csv.reader([line], delimiter=self.delimiter, strict=True), ())) == self.layout.width
        except csv.Error:
            return False

    def _partial(self, row: Sequence[str], problems: tuple[Finding, ...]) -> Record:
        """A rejected record: of the cells only those whose place is beyond doubt are kept."""
        places = self.layout
        identity, name = (row[at] if 0 <= at < len(row) else "" for at in (places.identity, places.policy_name))
        return Record(identity, name, line=self._line + 1, file=self._file, problems=problems)

    def _miscounted(self, row: list[str]) -> Finding:
        message = f"expected {self.layout.width} cells as in the header, found {len(row)}"
        cells = [cell.strip() for cell in row]
        hint = ""
        if any(cell.startswith("{") and not (cell.endswith("}") and '"' in cell) for cell in cells):
            hint = 'quote the policy and double the quotes inside it: "{""Version"": …}"'
        elif any(cell.startswith('"') for cell in cells):
            hint = "a quoted cell must begin right after the delimiter, without a blank before its quote"
        elif row:
            count = "many" if len(row) > self.layout.width else "few"
            hint = f"too {count} {DELIMITERS[self.delimiter]}: a cell has its place, though it may be empty"
        return COLUMNS.at("record", message, hint)


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
        if text[:1] != "{":
            text, problems = policies.document(text)
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
