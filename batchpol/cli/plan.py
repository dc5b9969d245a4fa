"""``batchpol plan`` and ``batchpol undo``: know before you write, and the way back."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchpol.cli.running import importing, run_batch
from batchpol.cli.terminal import tell, visible
from batchpol.errors import UsageError

if TYPE_CHECKING:
    from batchpol.comparison import Effect
    from batchpol.model import Change, Target
    from batchpol.run import Observer, Preview, Result

PLAN_EPILOG = (
    "Example: batchpol plan tenants.csv --diff --report plan.jsonl. Exit: 0, with --detailed-exitcode 4 if there are "
    "changes; 1 some records are rejected or could not be read, 2 unusable arguments or input, 3 stopped early."
)
UNDO_EPILOG = "Example: batchpol undo tenants.journal.jsonl -o undo.jsonl, look at it, then batchpol apply undo.jsonl."

CHANGES = 4
"""Exit code of ``--detailed-exitcode`` when there is something to do."""


def plan(
    input: Annotated[str, typer.Argument(metavar="INPUT", help="CSV, TSV or JSON Lines, also .gz, or - for stdin.")],
    format: Annotated[
        str | None, typer.Option(metavar="csv|tsv|jsonl", help="Of INPUT, where its name does not say.")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show how the documents differ.")] = False,
    detailed: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 4 if there is something to do.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="One JSON line a record, *.jsonl.")] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(metavar="REGION", help="Before AWS_REGION, AWS_DEFAULT_REGION and the profile's."),
    ] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="AWS profile.")] = None,
    endpoint_url: Annotated[str | None, typer.Option(metavar="URL", help="Another SES than AWS's.")] = None,
    role_arn: Annotated[
        str | None, typer.Option(metavar="ARN", help="Role to assume for each account; {account} is filled in.")
    ] = None,
    external_id: Annotated[str | None, typer.Option(metavar="ID", help="External id for --role-arn.")] = None,
    expect_account: Annotated[str | None, typer.Option(metavar="ACCOUNT", help="Refuse any other account.")] = None,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Against an embedded SES, where nothing is yet.")] = False,
    shared_quota: Annotated[bool, typer.Option("--shared-quota", help="All operations share one limit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Show what apply would do to what is there: create, update, unchanged, delete. Never writes."""
    from batchpol.source import open_source

    with importing():
        from batchpol.lane import Conduct
        from batchpol.run import Options
        from batchpol.ses import Connection

    if report is not None and report.suffix.lower() != ".jsonl":
        raise UsageError(f"a plan's report is JSON Lines: {report}", hint="let its name end in .jsonl")
    options = Options(
        connection=Connection(
            profile=profile,
            region=region[0] if region else None,
            endpoint_url=endpoint_url,
            role_arn=role_arn,
            external_id=external_id,
        ),
        regions=tuple(region or ()),
        sandbox=sandbox,
        expect_account=expect_account,
        shared_quota=shared_quota,
        reports=(report,) if report else (),
        conduct=Conduct(plan=True, ownership=True),
    )
    effects: Counter[str] = Counter()
    with open_source(input, format=format) as source:
        result = run_batch(source, options, _shown(effects, diff=diff))
    counts = ", ".join(f"{effects[name]:,} {name}" for name in ("create", "update", "unchanged", "delete"))
    typer.echo(f"{counts}; in {result.summary.seconds or 0:.1f} s")
    raise typer.Exit(_exit_code(result, effects, detailed=detailed))


def _exit_code(result: Result, effects: Counter[str], *, detailed: bool) -> int:
    if result.exit_code:
        return result.exit_code
    return CHANGES if detailed and effects.total() > effects["unchanged"] else 0


def _shown(effects: Counter[str], *, diff: bool) -> Observer:
    """Shows each comparison as it is made, and counts the effects."""
    from batchpol.run import Observer

    class Shown(Observer):
        async def planned(self, preview: Preview) -> bool:
            tell(f"account {preview.caller.account}, caller {visible(preview.caller.arn)}, Region {preview.region}")
            tell(f"{preview.to_send:,} changes to compare, {preview.rejected:,} records rejected")
            return True

        def compared(self, change: Change, effect: Effect, present: str | None) -> None:
            effects[effect.value] += 1
            _show(change, effect, present, diff=diff)

        def noted(self, target: Target, text: str) -> None:
            tell(f"{target}: {visible(text)}")

    return Shown()


def _show(change: Change, effect: Effect, present: str | None, *, diff: bool) -> None:
    from batchpol.comparison import Effect, changed_paths
    from batchpol.comparison import diff as difference

    typer.echo(visible(f"line {change.line}: {effect.value} {change.identity} {change.policy_name}"))
    if effect is not Effect.UPDATE or present is None:
        return
    for line in difference(present, change.document) if diff else changed_paths(present, change.document):
        typer.echo(f"    {line}")


def undo(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="Of a run of apply that compared (the default).")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="JSON Lines; - is stdout.")] = "-",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write an input file that restores what the runs of a journal replaced; what changed since is left alone."""
    from batchpol.report import Replacement
    from batchpol.undo import Undone, undo_records

    tally = Undone()
    lines = (json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in undo_records(journal, tally))
    if output == "-":
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
    else:
        with Replacement(Path(output)) as target:
            target.file.writelines(lines)
    tell(f"{tally.restores:,} records to restore what was there")
    if tally.without_image:
        tell(f"{tally.without_image:,} writes cannot be taken back: nothing was read before them (--blind)")
