"""``batchpol validate``: the first pass alone, offline, with no AWS configuration present."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchpol.cli import options
from batchpol.cli.screen.terminal import finding_line, reserve_output, said, tell, write
from batchpol.cli.spelling import spelled
from batchpol.errors import UsageError

if TYPE_CHECKING:
    from batchpol.model import Finding, Record

EPILOG = (
    "Examples:\n"
    "batchpol validate tenants.csv --region eu-west-1 --account 123456789012 --report findings.jsonl\n"
    "batchpol validate --explain resource-mismatch\n"
    "Exit: 0 nothing is rejected, 1 some records are, 2 unusable arguments or input."
)


def validate(
    input: Annotated[
        str | None,
        typer.Argument(metavar="INPUT", help="CSV, TSV or JSON Lines, also .gz, or - for stdin (JSON Lines)."),
    ] = None,
    format: options.Format = None,
    policy_template: options.PolicyTemplate = None,
    policy_name: options.PolicyName = None,
    region: options.DefaultRegion = None,
    account: options.DefaultAccount = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    warnings_as_errors: options.WarningsAsErrors = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="One JSON line a record, *.jsonl.")] = None,
    output: Annotated[str, typer.Option(metavar="text|json", help="Form of the summary on standard output.")] = "text",
    quiet: options.Quiet = False,
    explain: Annotated[
        str | None, typer.Option(metavar="CODE", help="Explain a finding: the rule, its source, an example.")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Check every record of INPUT offline; nothing is sent and no AWS configuration is needed."""
    if explain is not None:
        _explain(explain)
        raise typer.Exit
    if input is None:
        raise UsageError("there is no INPUT", hint="name a file, or - for standard input")
    from batchpol.batch.check import check_input
    from batchpol.model import Target

    if output not in ("text", "json"):
        raise UsageError(f"--output is text or json, not {output!r}")
    reserve_output([report] if report else [])
    target = Target(account or "", region or "")
    checker = options.checker_of(target, select, ignore, warnings_as_errors, changes=False)
    tally = check_input(
        input,
        checker,
        format=format,
        template=options.template_of(policy_template, policy_name),
        target=target,
        report=report,
        found=None if quiet else partial(_show, output),
    )
    counts = {verdict.value: tally.verdicts[verdict] for verdict in tally.verdicts} | {"with_warnings": tally.warned}
    if output == "json":
        write(json.dumps(counts))
    else:
        write(", ".join(f"{count:,} {word.replace('_', ' ')}" for word, count in counts.items()))
    raise typer.Exit(1 if counts["rejected"] else 0)


def _show(output: str, record: Record, finding: Finding) -> None:
    """One finding; beside a JSON summary on standard error."""
    (tell if output == "json" else write)(finding_line(record, finding))


def _explain(code: str) -> None:
    from batchpol.batch.check import RULES
    from batchpol.model import did_you_mean

    rule = RULES.get(code)
    if rule is None:
        raise UsageError(f"there is no finding code {code!r}", hint=did_you_mean(code, RULES))
    write(f"{rule.code} ({rule.severity}): {rule.title}\n\n{rule.why}\nSource: {spelled(rule.source)}")
    write(f"\nBad:\n{_indented(rule.bad)}\n\nGood:\n{_indented(rule.good)}")


def _indented(text: str) -> str:
    """An example, kept short: the whole of a large one helps nobody."""
    lines = text.splitlines() or [""]
    shown = [line if len(line) <= 400 else line[:400] + " ..." for line in lines[:8]]
    return "\n".join(f"  {said(line)}" for line in shown + (["..."] if len(lines) > 8 else []))
