"""``batchpol validate``: the first pass alone, offline, with no AWS configuration present."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import typer

from batchpol.cli.options import Form, Part, Quiet, RowReport, flattened
from batchpol.cli.screen.terminal import reserve_output, said, tell, write
from batchpol.cli.spelling import spelled
from batchpol.model import Rule, Target, did_you_mean, shown, visible
from batchpol.model.errors import UsageError
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


@dataclass(frozen=True, kw_only=True)
class Forms(Form):
    output: str = setting(
        "text", "Form of what is found.", metavar="text|json|github|sarif|junit", also=("--output-format",)
    )


@flattened
def validate(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT", help="CSV, TSV or JSON Lines, a policy or template (.json), a folder, or - for stdin."
        ),
    ] = None,
    *,
    reading: Annotated[Reading, Part(but=("limit",))],
    assumed: Assumed,
    connection: Annotated[Connection, Part("facts")],
    checks: Annotated[Checks, Part(but=("strict",))],
    rows: RowReport,
    form: Forms,
    quiet: Annotated[Quiet, Part(quiet="The summary only.")],
    explained: Explained,
) -> None:
    """Check every record of INPUT offline; nothing is sent and no AWS configuration is needed."""
    from batchpol.batch.check import RULES, check_inputs, inputs_in
    from batchpol.cli.screen.findings import findings_as, sum_up
    from batchpol.facts import read_facts
    from batchpol.outputs import check_outputs
    from batchpol.rewriting.template import Template
    from batchpol.source import RULES as SOURCE_RULES
    from batchpol.validation import Checker

    if explained.explain is not None:
        _explain(explained.explain, RULES)
        raise typer.Exit
    if not inputs:
        raise UsageError("there is no INPUT", hint="name files or folders, or - for standard input")
    paths, others = inputs_in(inputs, named=bool(reading.columns))
    for other in others:
        tell(f"note: {visible(other)} is not checked: it is no list of records and no policy")
    check_outputs(
        rows.reports,
        {it if len(paths) > 1 else "the input": it for it in paths} | {"the template": reading.policy_template},
    )
    reserve_output(rows.reports)
    target = Target(assumed.account or "", assumed.region or "")
    make = partial(Checker, checks, target=target, changes=False, also=SOURCE_RULES)
    doubts = read_facts(connection.facts).doubts
    template = Template.of(reading)
    with findings_as(form.output, rows.report, quiet=quiet.quiet, several=len(paths) > 1) as findings:
        tally = check_inputs(
            paths,
            lambda alone: make(doubts=doubts, alone=alone),
            reading=reading,
            template=template,
            target=target,
            report=rows.report,
            observer=findings,
        )
    sum_up(tally, paths, form.output, rows.report, (reading, assumed, connection, checks))
    raise typer.Exit(2 if tally.unusable else 1 if tally.rejected else 0)


def _explain(code: str, rules: Mapping[str, Rule]) -> None:
    if rule := rules.get(code):
        write(f"{rule.code} ({rule.severity}): {rule.title}\n\n{rule.why}\nSource: {spelled(rule.source)}")
        write(f"\nMend: {said(REMEDIES[rule.code])}")
        write(f"\nBad:\n{_indented(rule.bad)}\n\nGood:\n{_indented(rule.good)}")
    elif remedy := REMEDIES.get(code):  # of an answer of SES's, or of ours
        write(f"{code}: {said(remedy)}")
    else:
        raise UsageError(f"there is no finding code {shown(code)}", hint=did_you_mean(code, REMEDIES))


def _indented(text: str) -> str:
    """An example, kept short: the whole of a large one helps nobody."""
    lines = text.splitlines() or [""]
    shown = [line if len(line) <= 400 else line[:400] + " ..." for line in lines[:8]]
    return "\n".join(f"  {said(line)}" for line in shown + (["..."] if len(lines) > 8 else []))
