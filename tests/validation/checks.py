"""Short ways for these tests to have something checked."""

from __future__ import annotations

import json
from typing import Any

from batchpol.model import Finding, Record, Severity, Target
from batchpol.model.settings import Checks
from batchpol.policy.example import OWN_ARN, STATEMENT, document, example
from batchpol.validation import RULES, Checked, Checker

TARGET = Target("111122223333", "us-east-1")
GOOD = example()

__all__ = [
    "GOOD", "OWN_ARN", "STATEMENT", "TARGET", "checker", "codes", "document", "errors", "example", "of_text", "put",
    "rows",
]  # fmt: skip


def put(identity: str = "example.com", name: str = "sending", policy: str = GOOD, **fields: Any) -> Record:
    return Record(identity, name, policy, **fields)


def of_text(policy: str, identity: str = "example.com", **options: Any) -> Checked:
    """The verdict on one policy of one identity, alone in its batch."""
    return checker(**options).check(put(identity, policy=policy))


def checker(**options: Any) -> Checker:
    """A checker by its own options and by the settings that it acts by."""
    checks = {name: options.pop(name) for name in ("select", "ignore", "warnings_as_errors") if name in options}
    return Checker(Checks(**checks), **options)


def codes(findings: Checked | tuple[Finding, ...] | list[Finding]) -> set[str]:
    return {it.code for it in (findings.findings if isinstance(findings, Checked) else findings)}


def errors(checked: Checked) -> set[str]:
    return {it.code for it in checked.findings if it.severity is Severity.ERROR}


def rows(lines: str) -> list[Record]:
    """The records of a rule's example: one JSON object a line; a policy that is an object stands for its text."""
    found = []
    for number, line in enumerate(lines.split("\n"), 1):
        row = json.loads(line)
        if isinstance(row.get("policy"), dict):
            row["policy"] = json.dumps(row["policy"])
        extra = {"if_match": row.pop("if_match")} if "if_match" in row else {}
        found.append(Record(**{"policy": "", "action": "put", **row}, line=number, extra=extra))
    return found


assert RULES
