"""Validation of inputs, alone and offline: what ``batchpol validate`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from batchpol.identity import UNVERIFIED
from batchpol.model import Finding, Record, Rule, Severity, Target
from batchpol.model.errors import InputError
from batchpol.model.settings import Reading
from batchpol.outputs import TABLE, begins_as
from batchpol.report import FindingsReport
from batchpol.rewriting.alone import Alone, read_alone
from batchpol.rewriting.retarget import RULES as RETARGET_RULES
from batchpol.rewriting.template import Template, open_input
from batchpol.source import RULES as SOURCE_RULES
from batchpol.source import is_input_name
from batchpol.validation import RULES as VALIDATE_RULES
from batchpol.validation import Checker, Verdict

RULES: dict[str, Rule] = VALIDATE_RULES | {rule.code: rule for rule in (*SOURCE_RULES, *RETARGET_RULES, UNVERIFIED)}
"""Every finding code there is: of records as they are read, moved and checked, and as SES knows their identities."""


@dataclass(slots=True)
class Tally:
    """What a validation found: records by verdict, records with warnings, findings by code, and inputs by what became
    of them."""

    verdicts: Counter[Verdict] = field(default_factory=lambda: Counter(dict.fromkeys(Verdict, 0)))
    warned: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    unusable: int = 0

    @property
    def rejected(self) -> int:
        return self.verdicts[Verdict.REJECTED]


class CheckObserver:
    """Who is told of a validation; this one heeds nothing."""

    def found(self, record: Record, finding: Finding) -> None:
        """A finding and its record; of a conflict, the later one; of a policy alone, with the finding's own line."""

    def over(self, path: str) -> None:
        """An input was read to its end."""

    def unusable(self, path: str, error: InputError) -> None:
        """An input could not be read; the others are."""


def inputs_in(given: Iterable[str], *, named: bool = False) -> tuple[list[str], list[str]]:
    """Every file that was named or is in a folder that was, once, and those of a folder that are nobody's input.

    Args:
        named: whether columns of other names are given, so that a table need not have ours.

    Raises:
        InputError: a folder has none.
    """
    inputs, others = list[str](), list[str]()
    read = {"an input", "a policy"} | ({TABLE} if named else set())
    for name in given:
        if not Path(name).is_dir():
            inputs.append(name)
            continue
        files = [it for it in sorted(Path(name).rglob("*")) if is_input_name(it.name) and it.is_file()]
        kinds = {it: begins_as(it) for it in files if not any(part[0] == "." for part in it.relative_to(name).parts)}
        if not any(kind in read for kind in kinds.values()):
            raise InputError(f"the folder {name} has no list of records and no policy", hint="name the files")
        inputs += [str(it) for it, kind in kinds.items() if kind in read]
        others += [str(it) for it, kind in kinds.items() if kind in {"", TABLE} - read]
    return [*dict.fromkeys(inputs)], [*dict.fromkeys(others)]


def check_inputs(
    paths: Sequence[str],
    checker: Callable[[bool], Checker],
    *,
    reading: Reading,
    template: Template | None = None,
    target: Target | None = None,
    report: Path | None = None,
    observer: CheckObserver | None = None,
) -> Tally:
    """Check every record of every input; each is a batch of its own.

    Args:
        paths: files, or ``-`` for standard input; a file ``.json`` is one policy or one template.
        checker: makes one for an input; told whether that is one policy alone.
        reading: how they are read.
        template: what makes the policies or names of records that have none.
        target: the account and Region of records that name none, for the template.
        report: where to write one JSON line a record.

    Raises:
        InputError: the only input is unusable.
        UsageError: the report cannot be written there.
    """
    tally, target, observer = Tally(), target or Target("", ""), observer or CheckObserver()
    with FindingsReport(report) if report else nullcontext() as rows:
        for path in paths:
            try:
                if _is_policy(path, reading.format):
                    _check_alone(read_alone(path, target), checker(True), tally, rows, observer)
                else:
                    with open_input(path, reading, template, digest=False) as source:
                        records = map(template.filler(target), source) if template else source
                        _check_records(records, checker(False), tally, rows, observer)
            except InputError as error:
                observer.unusable(path, error)
                tally.unusable += 1
                if len(paths) == 1:
                    raise
            else:
                observer.over(path)
    return tally


def _is_policy(path: str, format: str | None) -> bool:
    """Whether a file is one document: ``.json``, and no record."""
    return format is None and path.casefold().endswith(".json") and begins_as(Path(path)) != "an input"


def _check_records(
    records: Iterable[Record], checker: Checker, tally: Tally, rows: FindingsReport | None, observer: CheckObserver
) -> None:
    states, first, found, check = bytearray(), rows.count if rows else 0, observer.found, checker.check
    for record in records:
        checked = check(record)
        states.append(_VERDICTS.index(checked.status))
        if checked.findings:
            tally.codes.update(finding.code for finding in checked.findings)
            tally.warned += any(finding.severity is Severity.WARNING for finding in checked.findings)
        if rows is not None:
            rows.add(record, checked.status, checked.findings)
        for number, status, finding in checked.amends:
            states[number] = _VERDICTS.index(status)
            if rows is not None:
                rows.amend(first + number, status, finding)
        for finding in checked.findings:
            found(record, finding)
    tally.verdicts.update({verdict: states.count(code) for code, verdict in enumerate(_VERDICTS)})


def _check_alone(
    alone: Alone, checker: Checker, tally: Tally, rows: FindingsReport | None, observer: CheckObserver
) -> None:
    said = [*alone.said(checker.check(alone.record).findings)]
    findings = [finding for _, finding in said]
    severities = {finding.severity for finding in findings}
    verdict = Verdict.REJECTED if Severity.ERROR in severities else Verdict.VALID
    tally.verdicts[verdict] += 1
    tally.warned += Severity.WARNING in severities
    tally.codes.update(finding.code for finding in findings)
    if rows is not None:
        rows.add(alone.record, verdict, findings)
    for record, finding in said:
        observer.found(record, finding)


_VERDICTS = tuple(Verdict)
"""A tuple, since a StrEnum's hash is computed in Python: looking one up in a dict takes longer than comparing it."""
