"""The report of ``batchpol plan``: what each record would do, one JSON line a record."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batchpol.files import Replacement
from batchpol.model import Outcome, Status
from batchpol.report.rows import ASKED, COLUMNS, finding_object, values
from batchpol.report.write import json_line


def write_plan(outcomes: Iterable[Outcome], path: str | os.PathLike[str]) -> None:
    """Write a plan: ``effect`` is create, update, unchanged, delete, or null where the record was not compared;
    ``changes`` says what an update changes. ``status`` is null where nothing stands in the way of that effect; else
    it is the fate that the record has already or would have, and ``error_code`` and ``message`` say why.

    Raises:
        UsageError: its place is no plain file.
        BatchpolError: it cannot be written.
    """
    with Replacement(Path(path)) as target:
        for outcome in outcomes:
            target.file.write(json_line(_row(outcome)))


_OF_SENDING = ("attempts", "request_id", "started_at", "duration_ms")
"""Columns of a report that a plan has not: nothing is sent."""


def _row(outcome: Outcome) -> dict[str, Any]:
    free = bool(outcome.effect) and outcome.status in (Status.NOT_ATTEMPTED, Status.UNCHANGED)
    row: dict[str, Any] = dict.fromkeys((*ASKED, "effect", "changes")) | dict(
        zip(COLUMNS, values(outcome), strict=True)
    )
    for column in _OF_SENDING:
        del row[column]
    # A line each; whatever breaks lines inside of one is escaped there.
    row |= {"effect": outcome.effect or None, "changes": row["message"].split("\n") if free and row["message"] else []}
    if free:
        row["status"] = row["message"] = None
    return row | {"findings": [finding_object(finding) for finding in outcome.findings]}
