"""The report of ``batchpol validate``: one JSON line a record, its verdict and everything found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from batchpol.files import Replacement
from batchpol.model import Finding, Record
from batchpol.model.errors import UsageError
from batchpol.report.rows import finding_object, json_line
from batchpol.report.write import is_json_lines


class FindingsReport:
    """Written while the input is read, in its order; a context manager that completes the file.

    A later record may change what an earlier one is (two documents for one name reject each other). Such
    amendments are kept in memory and worked in when the rows are copied at the end; without any the rows are
    complete as they stand, and nothing is copied.

    Raises:
        UsageError: its name does not end in ``.jsonl``, or its place is no plain file.
        BatchpolError: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not is_json_lines(path):
            raise UsageError(f"the report of a validation is JSON Lines: {path}", hint="let its name end in .jsonl")
        self._rows = Replacement(Path(path))
        self._amended: dict[int, tuple[str, list[Finding]]] = {}
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def add(self, record: Record, status: str, findings: Sequence[Finding]) -> None:
        """Write the row of the next record; the first one has number 0, and ``count`` is the next one's."""
        self.count += 1
        row = {
            "file": record.file,
            "line": record.line,
            "identity": record.identity,
            "policy_name": record.policy_name,
            "status": str(status),
            "findings": [finding_object(finding) for finding in findings],
        }
        self._rows.file.write(json_line(row))

    def amend(self, number: int, status: str, finding: Finding) -> None:
        """Change the status of an earlier record and add a finding to it."""
        _, findings = self._amended.get(number, ("", []))
        self._amended[number] = (str(status), [*findings, finding])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or not self._amended:
            self._rows.__exit__(kind, error, trace)
            return
        try:
            with Replacement(self._rows.path) as final:
                self._copy(final)
        finally:
            self._rows.discard()

    def _copy(self, final: Replacement) -> None:
        self._rows.file.seek(0)
        for number, line in enumerate(self._rows.file):
            amendment = self._amended.get(number)
            final.file.write(line if amendment is None else _amend(line, *amendment))


def _amend(line: bytes, status: str, findings: list[Finding]) -> bytes:
    row: dict[str, Any] = msgspec.json.decode(line)
    row["status"] = status
    row["findings"] += [finding_object(finding) for finding in findings]
    return json_line(row)
