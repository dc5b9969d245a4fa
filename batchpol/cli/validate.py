"""``batchpol validate``: the first pass alone, offline, with no AWS configuration present."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from batchpol.cli.options import Form, Part, Quiet, Rows, flattened
from batchpol.cli.screen.terminal import finding_line, offer, reserve_output, said, tell, write
from batchpol.cli.spelling import spelled
from batchpol.errors import UsageError
from batchpol.model import Finding, Record, Rule, Target, did_you_mean
from batchpol.model.remedies import REMEDIES
from batchpol.model.settings import Assumed, Checks, Connection, Reading, setting

EPILOG = (
    "Examples:\n"
    "batchpol validate tenants.csv --region eu-west-1 --account 123456789012 --report findings.jsonl\n"
    "batchpol validate --explain resource-mismatch\n"
    "Exit: 0 nothing is rejected, 1 some records are, 2 unusable arguments or input."
)


@dataclass(frozen=True, kw_only=True)
class Explained:
    HEADING: ClassVar[str] = "Checks"

    explain: str | None = setting(None, "Explain a finding: the rule, its source, an example.", metavar="CODE")


@flattened
def validate(
    input: Annotated[
        str | None,
        typer.Argument(metavar="INPUT", help="CSV, TSV or JSON Lines, also .gz, or - for stdin (JSON Lines)."),
    ] = None,
    *,
    reading: Annotated[Reading, Part(but=("limit",))],
    assumed: Assumed,
    connection: Annotated[Connection, Part("facts")],
    checks: Annotated[Checks, Part(but=("strict",))],
    rows: Rows,
    form: Form,
    quiet: Annotated[Quiet, Part(quiet="The summary only.")],
    explained: Explained,
) -> None:
    """Check every record of INPUT offline; nothing is sent and no AWS configuration is needed."""
    from batchpol.batch.check import RULES, check_input
    from batchpol.cli.screen import commands
    from batchpol.facts import read_facts
    from batchpol.outputs import check_outputs
    from batchpol.rewriting.template import Template
    from batchpol.source import RULES as SOURCE_RULES
    from batchpol.validation import Checker

    if explained.explain is not None:
        if (rule := RULES.get(explained.explain)) is None:
            if remedy := REMEDIES.get(explained.explain):  # of an answer of SES's, or of ours
                write(f"{explained.explain}: {said(remedy)}")
                raise typer.Exit
            hint = did_you_mean(explained.explain, REMEDIES)
            raise UsageError(f"there is no finding code {explained.explain!r}", hint=hint)
        _explain(rule)
        raise typer.Exit
    if input is None:
        raise UsageError("there is no INPUT", hint="name a file, or - for standard input")
    check_outputs(rows.reports, {"the input": input, "the template": reading.policy_template})
    reserve_output(rows.reports)
    print_ = offer if rows.report else write  # a report is complete, whoever reads the findings here
    show = tell if form.is_json else print_  # beside a JSON summary on standard error

    def found(record: Record, finding: Finding) -> None:
        show(finding_line(record, finding))

    target = Target(assumed.account or "", assumed.region or "")
    tally = check_input(
        input,
        Checker(
            checks,
            target=target,
            changes=False,
            also=SOURCE_RULES,
            doubts=read_facts(connection.facts).doubts,
        ),
        format=reading.format,
        template=Template.of(reading.policy_template, reading.policy_name),
        target=target,
        report=rows.report,
        found=None if quiet.quiet else found,
    )
    counts = {verdict.value: tally.verdicts[verdict] for verdict in tally.verdicts} | {"with_warnings": tally.warned}
    if form.is_json:
        causes = [
            {"code": code, "count": count, "severity": RULES[code].severity.value, "remedy": REMEDIES[code]}
            for code, count in tally.codes.most_common()
        ]
        print_(
            json.dumps({**counts, "causes": causes, "next": [commands.checked(input, counts["rejected"]).as_json()]})
        )
    else:
        print_(", ".join(f"{count:,} {word.replace('_', ' ')}" for word, count in counts.items()))
    raise typer.Exit(1 if counts["rejected"] else 0)


def _explain(rule: Rule) -> None:
    write(f"{rule.code} ({rule.severity}): {rule.title}\n\n{rule.why}\nSource: {spelled(rule.source)}")
    write(f"\nMend: {said(REMEDIES[rule.code])}")
    write(f"\nBad:\n{_indented(rule.bad)}\n\nGood:\n{_indented(rule.good)}")


def _indented(text: str) -> str:
    """An example, kept short: the whole of a large one helps nobody."""
    lines = text.splitlines() or [""]
    shown = [line if len(line) <= 400 else line[:400] + " ..." for line in lines[:8]]
    return "\n".join(f"  {said(line)}" for line in shown + (["..."] if len(lines) > 8 else []))
