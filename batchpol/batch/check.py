"""Validation of one input, alone and offline: what ``batchpol validate`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from batchpol.identity import UNVERIFIED
from batchpol.model import Finding, Record, Rule, Severity, Target
from batchpol.report import FindingsReport
from batchpol.rewriting.retarget import RULES as RETARGET_RULES
from batchpol.rewriting.template import Template, open_input
from batchpol.source import RULES as SOURCE_RULES
from batchpol.validation import RULES as VALIDATE_RULES
from batchpol.validation import Checker, Verdict

RULES: dict[str, Rule] = VALIDATE_RULES | {rule.code: rule for rule in (*SOURCE_RULES, *RETARGET_RULES, UNVERIFIED)}
"""Every finding code there is: of records as they are read, moved and checked, and as SES knows their identities."""


@dataclass(slots=True)
class Tally:
    """What a validation found: records by verdict, records with warnings, and findings by code."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    warned: int = 0
    codes: Counter[str] = field(default_factory=Counter)


def check_input(
    path: str,
    checker: Checker,
    *,
    format: str | None = None,
    template: Template | None = None,
    target: Target | None = None,
    report: Path | None = None,
    found: Callable[[Record, Finding], None] | None = None,
) -> Tally:
    """Check every record of an input.

    Args:
        path: a file, or ``-`` for standard input with its ``format``.
        template: what makes the policies or names of records that have none.
        target: the account and Region of records that name none, for the template.
        report: where to write one JSON line a record.
        found: told of each finding with its record; of a conflict, with the later one.

    Raises:
        InputError: the input as a whole is unusable.
        UsageError: the report cannot be written there.
    """
    tally, states = Tally(), bytearray()
    with ExitStack() as stack:
        source = stack.enter_context(open_input(path, format=format, template=template, digest=False))
        records = map(template.filler(target or Target("", "")), source) if template else source
        rows = stack.enter_context(FindingsReport(report)) if report else None
        check = checker.check
        for record in records:
            checked = check(record)
            states.append(_VERDICTS.index(checked.status))
            if checked.findings:
                tally.codes.update(finding.code for finding in checked.findings)
                tally.warned += any(finding.severity is Severity.WARNING for finding in checked.findings)
            if rows is not None:
                rows.add(record.line, record.identity, record.policy_name, checked.status, checked.findings)
            for number, status, finding in checked.amends:
                states[number] = _VERDICTS.index(status)
                if rows is not None:
                    rows.amend(number, status, finding)
            if found is not None:
                for finding in checked.findings:
                    found(record, finding)
    tally.verdicts.update({verdict: states.count(code) for code, verdict in enumerate(_VERDICTS)})
    return tally


_VERDICTS = tuple(Verdict)
"""A tuple, since a StrEnum's hash is computed in Python: looking one up in a dict takes longer than comparing it."""
