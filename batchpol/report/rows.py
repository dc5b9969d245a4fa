"""The columns of a report and what stands in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import msgspec

from batchpol.identity import arn_of, partition_of
from batchpol.model import FATE, Finding, Outcome, Severity, Status

_APART = frozenset({"number", "retryable", "findings", "carried", "effect", "sha256", "extra", "policy"})
"""Fields of an outcome that are no columns; most of them stand in some reports in another way."""

ASKED = tuple(name for name in Outcome.__struct_fields__ if name not in {*FATE, *_APART})
"""The columns that say which record it is."""
_FIELDS = (*ASKED, *(name for name in FATE if name not in _APART))
COLUMNS = (*_FIELDS, "policy_sha256")
"""Every report has these, in this order; the input's extra columns follow."""
_LINE, _IDENTITY, _CODE, _MESSAGE = map(COLUMNS.index, ("line", "identity", "error_code", "message"))

POLICY = "policy"
"""The column that follows :data:`COLUMNS` in a report that is to be an input again."""

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
"""How a cell begins that a spreadsheet may run."""

INSIDE = re.compile(r'[,;|\s](?:"*(?=[=@＝＠])|(?<! )"*(?=[+\-＋－]))')
"""Where a cell would begin like that, were the file split at another character than the comma: at a semicolon, as in
half of Europe, a bar, a tab, the end of a line, which ends a cell too where the quotes around it do not count, or a
blank (at which ``-5`` and ``+49`` do not count: so many texts have them)."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_IN_STRING = re.compile(r'(?<=[",;|\s])[=+\-@＝＋－＠]')

# The last two are other spellings of policy_name in an input.
_OURS = frozenset({*COLUMNS, POLICY, "findings", "name", "policyname"})

Value = str | int | float | None
_encode = msgspec.json.Encoder().encode
HARMLESS = {
    "policy_name": re.compile(r"[A-Za-z0-9_-]{1,64}"),
    "identity": re.compile(r'[^\s,;"=+\-@＝＋－＠][^\s,;"]*'),
}


def extra_name(column: str) -> str:
    """Under which name an extra column stands in a report.

    One called like a column of ours, in whatever case, gets ``input_`` put before it. So does one that has such a
    name already: in a report of a report of a report, ``input_input_line`` is the oldest line number.
    """
    bare = column.casefold()
    while bare.startswith("input_"):
        bare = bare.removeprefix("input_")
    return f"input_{column}" if bare in _OURS else column


def values(outcome: Outcome) -> list[Value]:
    """What stands in :data:`COLUMNS`; what is absent is None."""
    found: list[Value] = [value or (None if value == "" else value) for value in _values_of(outcome)]
    found[_LINE] = outcome.line or None
    if outcome.findings:
        code, message = reason(outcome)
        found[_CODE], found[_MESSAGE] = code or None, message or None
    return found


_values_of = attrgetter(*_FIELDS, "sha256")


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


def as_input(outcome: Outcome) -> list[Value]:
    """The same with the document in :data:`POLICY`, and an identity that no spreadsheet takes for a formula.

    An address may begin with ``=``; its ARN names the same identity and does not.
    """
    found = values(outcome)
    identity = outcome.identity
    if identity.startswith(FORMULA) and outcome.account and outcome.region:
        partition = partition_of(outcome.region) or "aws"
        found[_IDENTITY] = arn_of(partition, outcome.region, outcome.account, identity)
    return [*found, outcome.policy.strip(" \t\r\n") or None]


def cells(columns: Iterable[str], row: Iterable[Value]) -> list[Value]:
    """A row for CSV: in every text that a spreadsheet would run there is an apostrophe before that."""
    return [
        # Few are like that: asked here, it takes a call less for each cell.
        neutral(column, value)
        if isinstance(value, str) and (value.startswith(FORMULA) or INSIDE.search(value))
        else value
        for column, value in zip(columns, row, strict=True)
    ]


def neutral(column: str, text: str) -> str:
    """The text, with an apostrophe before whatever a spreadsheet may take for the beginning of a formula.

    So that the report can be an input, an identity and a policy name of harmless characters stay as they are: they may
    begin with ``-`` or have a bar, but nothing that can be written in them makes a spreadsheet call or open anything. A
    document says such a character as JSON can, ``\\u003d``, and so means what it meant.
    """
    if (harmless := HARMLESS.get(column)) and harmless.fullmatch(text):
        return text
    if column == POLICY and INSIDE.search(text) and _is_json(text):
        return _STRING.sub(lambda string: _IN_STRING.sub(lambda char: f"\\u{ord(char[0]):04x}", string[0]), text)
    text = INSIDE.sub(r"\g<0>'", text)
    return f"'{text}" if text.startswith(FORMULA) else text


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def json_line(row: dict[str, Any]) -> bytes:
    """One object as a line; a lone surrogate, which has no UTF-8, becomes a question mark."""
    try:
        return _encode(row) + b"\n"
    except UnicodeEncodeError:
        return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
