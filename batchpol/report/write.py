"""A report written to its file: CSV, JSON Lines or HTML, one row a record, in the order of the outcomes."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from batchpol.files import STANDARD_OUTPUT, Replacement
from batchpol.model import Outcome, Status
from batchpol.model.errors import UsageError
from batchpol.report.html import write_page
from batchpol.report.rows import COLUMNS, POLICY, Value, as_input, cells, extra_name, finding_object, json_line, values

Sent = tuple[str, str, str, int]
"""One request: account, Region, when it left (ISO 8601), which attempt of its record it was (from 1)."""


def is_json_lines(path: str | os.PathLike[str]) -> bool:
    """Whether JSON Lines are what this name, or standard output, asks for."""
    return Path(path) == STANDARD_OUTPUT or Path(path).suffix.lower() == ".jsonl"


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The format that a report's name asks for, as its suffix in lower case.

    Raises:
        UsageError: there is no such format; the message names those there are.
    """
    suffix = ".jsonl" if is_json_lines(path) else Path(path).suffix.lower()
    if suffix not in RENDERINGS:
        *others, last = RENDERINGS
        known = f"{', '.join(others)} or {last}"
        what = f"no report format is called {suffix}" if suffix else "the name of the report says no format"
        raise UsageError(f"{what}: {path}", hint=f"let its name end in {known}")
    return suffix


def write_report(
    outcomes: Iterable[Outcome],
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] = (),
    sheet: str = "",
    only: Collection[Status] = (),
    about: Mapping[str, str] | None = None,
    sends: Iterable[Sent] = (),
    runs: Sequence[Mapping[str, Any]] = (),
    next_steps: Sequence[tuple[str, str]] = (),
) -> None:
    """Write a report to a file, in the format of its suffix.

    It is written beside its place and renamed over it, with mode 0600; a symbolic link there is refused.

    Args:
        columns: the input's extra columns in order. JSON Lines have any other one a record carries as well.
        sheet: what a table needs so that the program opens it that wrote the input: a byte order mark, a semicolon
            between cells instead of a comma.
        only: leave out records of other statuses. Such a report has a ``policy`` column, so that it can be the
            input of another run; a page (HTML) has not.
        about: facts about the run, which a page shows above the rows; see :func:`~batchpol.report.html.write_page`.
        sends: every request of the run, for a page's timelines; not touched where no page is written.
        runs: every run of the journal, for a page's list of them.
        next_steps: what to do now, for a page: for what, and the command to type.

    Raises:
        UsageError: no such format, or its place is no plain file.
        BatchpolError: it cannot be written.
    """
    suffix = check_suffix(path)
    chosen = (outcome for outcome in outcomes if outcome.status in only) if only else outcomes
    with Replacement(Path(path)) as target:
        RENDERINGS[suffix](chosen, target.file, _Wanted(columns, sheet, only, about, sends, runs, next_steps))


class _Wanted(NamedTuple):
    """What a rendering may be asked for; each heeds what it has a place for."""

    columns: Sequence[str]
    sheet: str
    only: Collection[Status]
    about: Mapping[str, str] | None
    sends: Iterable[Sent]
    runs: Sequence[Mapping[str, Any]]
    next_steps: Sequence[tuple[str, str]]


def _html(outcomes: Iterable[Outcome], stream: BinaryIO, wanted: _Wanted) -> None:
    write_page(outcomes, stream, **wanted._asdict())


def _csv(outcomes: Iterable[Outcome], stream: BinaryIO, wanted: _Wanted) -> None:
    stream.write(b"\xef\xbb\xbf" if wanted.sheet.startswith("\ufeff") else b"")
    writer = csv.writer(_Lines(stream), delimiter=";" if wanted.sheet.endswith(";") else ",", lineterminator="\r\n")
    names, values_of = _ours(wanted)
    header = (*names, *map(extra_name, wanted.columns))
    writer.writerow(cells(header, header))
    for outcome in outcomes:
        extra = [outcome.extra.get(column, "") for column in wanted.columns]
        writer.writerow(cells(header, [*values_of(outcome), *extra]))


def _ours(wanted: _Wanted) -> tuple[tuple[str, ...], Callable[[Outcome], list[Value]]]:
    """Our columns, and what stands in them: with the policy where the report is to be an input again."""
    return ((*COLUMNS, POLICY), as_input) if wanted.only else (COLUMNS, values)


class _Lines:
    r"""Takes rows from the ``csv`` module and ends each with ``\n``.

    That is what ``cut``, ``awk`` and ``diff`` expect, and spreadsheets take it. The module itself is told
    ``\r\n``, since it quotes cells that hold a carriage return only then (before Python 3.13).
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, row: str) -> None:
        self._stream.write((row[:-2] + "\n").encode("utf-8", "replace"))


def _json_lines(outcomes: Iterable[Outcome], stream: BinaryIO, wanted: _Wanted) -> None:
    names, values_of = _ours(wanted)
    extra_names = {column: extra_name(column) for column in wanted.columns}
    for outcome in outcomes:
        row: dict[str, Any] = dict(zip(names, values_of(outcome), strict=True))
        row["findings"] = [finding_object(finding) for finding in outcome.findings]
        for column, name in extra_names.items():
            row[name] = outcome.extra.get(column)
        for column, value in outcome.extra.items():
            if column not in extra_names:
                row[extra_name(column)] = value
        stream.write(json_line(row))


RENDERINGS = {".csv": _csv, ".jsonl": _json_lines, ".html": _html}
"""How each format is written, by suffix."""
