"""What a validation finds, in the forms that people and CI read; each is told record by record.

Equal findings of a file are one line for people, and one annotation on GitHub, which shows ten a step. SARIF 2.1.0
(OASIS) and JUnit's XML (as GitLab and Jenkins read it) have them one by one.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from batchpol.batch.check import RULES, CheckObserver, Tally
from batchpol.cli.screen import commands
from batchpol.cli.screen.terminal import complain, offer, print_lines, said, tell, write
from batchpol.model import Finding, Record, Severity, visible
from batchpol.model.errors import BatchpolError, InputError, UsageError
from batchpol.model.remedies import REMEDIES
from batchpol.version import __version__

_HELD = 1000
"""Findings that differ, held back to see which come again."""

_UNUSABLE = "input-unusable"
"""The code of an input that could not be read, where findings have codes."""


class Findings(CheckObserver):
    """A form of findings; a context manager that completes it, also where an error ends the validation.

    Args:
        several: whether there is more than one input, so that an unusable one is no error of the command's.
    """

    def __init__(self, several: bool) -> None:
        self._several = several

    def unusable(self, path: str, error: InputError) -> None:
        if self._several:
            complain(error)
        self._unusable(
            Record("", "", line=1, file=path), Finding(Severity.ERROR, _UNUSABLE, "", str(error), error.hint)
        )

    def _unusable(self, record: Record, finding: Finding) -> None:
        """An input that could not be read, as a finding at its first line."""

    def end(self) -> None:
        """Everything was told."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, BatchpolError):
            self.end()


class Summed(Findings):
    """Equal findings of a file as one line; ``show`` prints it."""

    def __init__(self, several: bool, show: Callable[[str], None]) -> None:
        super().__init__(several)
        self._show = show
        self._held = dict[tuple[str, Finding], tuple[int, int, int]]()

    def found(self, record: Record, finding: Finding) -> None:
        key = record.file or "input", finding
        count, first, _ = self._held.get(key, (0, record.line, 0))
        self._held[key] = count + 1, first, record.line
        if len(self._held) > _HELD:
            self.end()

    def over(self, path: str) -> None:
        self.end()

    def end(self) -> None:
        for (file, finding), (count, first, last) in self._held.items():
            many = f"{count:,} records, lines {first} to {last}: " if count > 1 else ""
            self._show(self.line(file, first, many + finding.text, finding))
        self._held.clear()

    def line(self, file: str, line: int, text: str, finding: Finding) -> str:
        """As linters print them."""
        return said(f"{file}:{line}: {finding.severity}: {text} [{finding.code} at {finding.where}]")


class GitHub(Summed):
    """Workflow commands, of which GitHub makes annotations (GitHub Docs, Workflow commands for GitHub Actions)."""

    def __init__(self, several: bool) -> None:
        super().__init__(several, lambda line: print_lines([f"{line}\n".encode()]))

    def line(self, file: str, line: int, text: str, finding: Finding) -> str:
        where = f"file={_property(file)},line={line},title={_property(finding.code)}"
        return f"::{finding.severity} {where}::{_data(said(text))}"

    def _unusable(self, record: Record, finding: Finding) -> None:
        self.found(record, finding)


def _data(text: str) -> str:
    """The message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


class Sarif(Findings):
    """One run of SARIF 2.1.0, each result written as it is found, the rules that they name at the end."""

    def __init__(self, several: bool) -> None:
        super().__init__(several)
        schema = "https://json.schemastore.org/sarif-2.1.0.json"
        self._before = f'{{"$schema": "{schema}", "version": "2.1.0", "runs": [{{"results": [\n'
        self._codes = dict[str, None]()
        self._failures = list[dict[str, Any]]()

    def found(self, record: Record, finding: Finding) -> None:
        self._codes[finding.code] = None
        level = str(finding.severity)
        self._write({"ruleId": finding.code, "level": level, **_described(record, finding)})

    def _unusable(self, record: Record, finding: Finding) -> None:
        self._failures.append({"level": "error", "descriptor": {"id": finding.code}, **_described(record, finding)})

    def _write(self, result: dict[str, Any]) -> None:
        print_lines([f"{self._before}{json.dumps(result)}".encode()])
        self._before = ",\n"

    def end(self) -> None:
        driver = {
            "name": "batchpol",
            "version": __version__,
            "rules": [_rule(code) for code in self._codes],
            "notifications": [{"id": _UNUSABLE}] if self._failures else [],
        }
        invocation = {"executionSuccessful": not self._failures, "toolExecutionNotifications": self._failures}
        rest = json.dumps({"tool": {"driver": driver}, "invocations": [invocation]})
        head = self._before if self._before != ",\n" else ""
        print_lines([f"{head}\n], {rest[1:]}]}}\n".encode()])


def _described(record: Record, finding: Finding) -> dict[str, Any]:
    """Message and place, as results and notifications have them."""
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(record.file or "input")}}
    place["region"] = {"startLine": max(record.line, 1)}
    logical = [{"fullyQualifiedName": finding.where}] if finding.where else []
    named = {"logicalLocations": logical} if logical else {}
    return {"message": {"text": said(finding.text)}, "locations": [{"physicalLocation": place, **named}]}


def _rule(code: str) -> dict[str, Any]:
    rule = RULES[code]
    return {
        "id": code,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": said(rule.why)},
        "help": {"text": said(REMEDIES[code])},
        "defaultConfiguration": {"level": str(rule.severity)},
    }


class JUnit(Findings):
    """A suite for each input, in it a case for each record that has findings, and one for all the others.

    What GitLab and Jenkins make of it: a rejected record is a failed test; warnings are the output of a passed one.
    """

    def __init__(self, several: bool) -> None:
        super().__init__(several)
        self._before = '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="batchpol validate">\n'
        self._cases = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (closed at the end)
        self._record, self._findings = Record("", ""), list[Finding]()
        self._tests = self._failures = 0

    def found(self, record: Record, finding: Finding) -> None:
        if (record.file, record.line) != (self._record.file, self._record.line):
            self._write_case()
        self._record = record
        self._findings.append(finding)

    def _write_case(self) -> None:
        if not self._findings:
            return
        it = self._record
        who = " / ".join(filter(None, (it.identity, it.policy_name)))
        texts = {severity: [f for f in self._findings if f.severity is severity] for severity in Severity}
        errors, warnings = texts[Severity.ERROR], texts[Severity.WARNING]
        inner = ""
        if errors:
            kind, message = quoteattr(errors[0].code), quoteattr(said(errors[0].text))
            inner = f"<failure type={kind} message={message}>{_listed(errors)}</failure>"
        inner += f"<system-out>{_listed(warnings)}</system-out>" if warnings else ""
        self._write(it.file or "input", f"line {it.line}: {visible(who)}", inner, it.line, failed=bool(errors))
        self._findings.clear()

    def _write(self, file: str, name: str, inner: str, line: int = 1, *, failed: bool = False) -> None:
        place = quoteattr(visible(file))
        case = f'<testcase classname={place} name={quoteattr(name)} file={place} line="{line}">{inner}</testcase>\n'
        self._cases.write(case)
        self._tests, self._failures = self._tests + 1, self._failures + failed

    def over(self, path: str) -> None:
        self._write_case()
        self._write("standard input" if path == "-" else path, "every other record", "")
        self._write_suite(path)

    def _unusable(self, record: Record, finding: Finding) -> None:
        self._write_case()
        text = said(finding.text)
        error = f"<error type={quoteattr(finding.code)} message={quoteattr(text)}>{escape(text)}</error>"
        self._write(record.file, "the file can be read", error)
        self._write_suite(record.file, errors=1)

    def _write_suite(self, path: str, errors: int = 0) -> None:
        self._cases.seek(0)
        counts = f'tests="{self._tests}" failures="{self._failures}" errors="{errors}"'
        print_lines([f"{self._before}<testsuite name={quoteattr(visible(path))} {counts}>\n".encode()])
        print_lines(line.encode() for line in self._cases)
        print_lines([b"</testsuite>\n"])
        self._cases.seek(0)
        self._cases.truncate()
        self._before, self._tests, self._failures = "", 0, 0

    def end(self) -> None:
        self._cases.close()
        print_lines([f"{self._before}</testsuites>\n".encode()])


def _listed(findings: list[Finding]) -> str:
    return escape("\n".join(f"{said(it.text)} [{it.code} at {it.where}]" for it in findings))


_DOCUMENTS: dict[str, type[GitHub | Sarif | JUnit]] = {"github": GitHub, "sarif": Sarif, "junit": JUnit}


def findings_as(output: str, report: Path | None, *, quiet: bool, several: bool) -> Findings:
    """Who prints what is found, in the form that was asked for.

    Raises:
        UsageError: standard output is wanted for the report, too.
    """
    if document := _DOCUMENTS.get(output):
        if report == Path("-"):
            hint = "give `report` a file"
            raise UsageError(f"standard output cannot have both `report` and `output={output}`", hint=hint)
        return document(several)
    if quiet:
        return Findings(several)
    return Summed(several, tell if output == "json" else _print(report))


def _print(report: Path | None) -> Callable[[str], None]:
    """A report is complete, whoever reads what is printed beside it."""
    return offer if report else write


def sum_up(tally: Tally, paths: Sequence[str], output: str, report: Path | None, given: Sequence[Any]) -> None:
    """The counts of a validation: on standard output, unless a document has it.

    Args:
        given: settings of how the inputs were read, which the next command needs, too.
    """
    counts = {verdict.value: count for verdict, count in tally.verdicts.items()} | {"with_warnings": tally.warned}
    if output == "json":
        causes = [
            {"code": code, "count": count, "severity": RULES[code].severity.value, "remedy": said(REMEDIES[code])}
            for code, count in tally.codes.most_common()
        ]
        following = [it.as_json() for it in commands.checked(paths, tally.rejected, given)]
        _print(report)(json.dumps({**counts, "unusable": tally.unusable, "causes": causes, "next": following}))
        return
    words = [f"{count:,} {word.replace('_', ' ')}" for word, count in counts.items()]
    if tally.unusable:
        words.append(f"{tally.unusable:,} of {len(paths):,} inputs unusable")
    show = _print(report) if output == "text" else tell
    show(", ".join(words))
