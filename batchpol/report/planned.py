"""The report of ``batchpol plan``: what each record would do, one JSON line a record."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from batchpol.files import Replacement
from batchpol.model import Outcome, Status
from batchpol.report.rows import finding_object, reason
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


def _row(outcome: Outcome) -> dict[str, object]:
    free = bool(outcome.effect) and outcome.status in (Status.NOT_ATTEMPTED, Status.UNCHANGED)
    code, message = reason(outcome)
    return {
        "line": outcome.line or None,
        "identity": outcome.identity or None,
        "policy_name": outcome.policy_name or None,
        "region": outcome.region or None,
        "account": outcome.account or None,
        "action": outcome.action,
        "effect": outcome.effect or None,
        # A line each; whatever breaks lines inside of one is escaped there.
        "changes": message.split("\n") if free and message else [],
        "status": None if free else outcome.status.value,
        "error_code": code or None,
        "message": None if free else message or None,
        "policy_sha256": outcome.sha256 or None,
        "findings": [finding_object(finding) for finding in outcome.findings],
    }
