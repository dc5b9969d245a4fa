"""The columns of a report and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from batchpol.identity import arn_of, partition_of
from batchpol.model import Finding, Outcome, Severity, Status

COLUMNS = (
    "line",
    "identity",
    "policy_name",
    "region",
    "account",
    "action",
    "status",
    "error_code",
    "message",
    "attempts",
    "request_id",
    "started_at",
    "duration_ms",
    "policy_sha256",
)
"""Every report has these, in this order; the input's extra columns follow."""

POLICY = "policy"
"""The column that follows :data:`COLUMNS` in a report that is to be an input again."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a cell begins that a spreadsheet may run."""

# The last two are other spellings of policy_name in an input.
_OURS = frozenset({*COLUMNS, POLICY, "findings", "name", "policyname"})

Value = str | int | float | None
_HARMLESS_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def extra_name(column: str) -> str:
    """Under which name an extra column stands in a report.

    One called like a column of ours, in whatever case, gets ``input_`` put before it. So does one that has such a
    name already: in a report of a report of a report, ``input_input_line`` is the oldest line number.
    """
    bare = column.casefold()
    while bare.startswith("input_"):
        bare = bare.removeprefix("input_")
    return f"input_{column}" if bare in _OURS else column


def values(outcome: Outcome) -> dict[str, Value]:
    """Our columns of one row; what is absent is None."""
    code, message = reason(outcome)
    return {
        "line": outcome.line or None,
        "identity": outcome.identity or None,
        "policy_name": outcome.policy_name or None,
        "region": outcome.region or None,
        "account": outcome.account or None,
        "action": outcome.action or None,
        "status": outcome.status.value,
        "error_code": code or None,
        "message": message or None,
        "attempts": outcome.attempts,
        "request_id": outcome.request_id or None,
        "started_at": outcome.started_at or None,
        "duration_ms": outcome.duration_ms,
        "policy_sha256": outcome.sha256 or None,
    }


def reason(outcome: Outcome) -> tuple[str, str]:
    """Code and message of a row: of a rejected one the first error's code and what all the errors say."""
    errors = [finding for finding in outcome.findings if finding.severity is Severity.ERROR]
    if outcome.status is Status.REJECTED and errors:
        return errors[0].code, "; ".join(finding.text for finding in errors)
    if outcome.status is Status.DUPLICATE and outcome.findings and not outcome.message:
        return outcome.findings[-1].code, outcome.findings[-1].message
    return outcome.error_code, outcome.message


def finding_object(finding: Finding) -> dict[str, str]:
    """A finding as JSON reports hold it; without a hint there is no such member."""
    members = {
        "severity": finding.severity.value,
        "code": finding.code,
        "where": finding.where,
        "message": finding.message,
    }
    return members | {"hint": finding.hint} if finding.hint else members


def as_input(outcome: Outcome, row: dict[str, Value]) -> dict[str, Value]:
    """The same row with the document, and an identity that no spreadsheet takes for a formula.

    An address may begin with ``=``; its ARN names the same identity and does not.
    """
    identity = outcome.identity
    if identity.startswith(FORMULA) and outcome.account and outcome.region:
        partition = partition_of(outcome.region) or "aws"
        row["identity"] = arn_of(partition, outcome.region, outcome.account, identity)
    row[POLICY] = outcome.policy.strip(" \t\r\n") or None
    return row


def cells(row: Mapping[str, Value], extra: Iterable[str]) -> list[Value]:
    """A row for CSV: every text that a spreadsheet would run gets an apostrophe before it."""
    ours = [neutral(column, value) if isinstance(value, str) else value for column, value in row.items()]
    return [*ours, *(neutral("", value) for value in extra)]


def neutral(column: str, text: str) -> str:
    """The text, unless it begins like a formula: then with an apostrophe before it.

    A policy name of the characters that SES allows stays as it is, so that the report can be an input: it may
    begin with ``-``, but nothing that can be written in it makes a spreadsheet call or open anything.
    """
    if not text.startswith(FORMULA) or (column == "policy_name" and _HARMLESS_NAME.fullmatch(text)):
        return text
    return f"'{text}"
