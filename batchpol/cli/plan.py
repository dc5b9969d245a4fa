"""``batchpol plan`` and ``batchpol undo``: know before you write, and the way back."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchpol.cli import options
from batchpol.cli.apply import pruned_names
from batchpol.cli.output import Output, check_output, write_lines
from batchpol.cli.running import importing, run_batch
from batchpol.cli.screen.terminal import duration, reserve_output, said, tell, write
from batchpol.errors import UsageError
from batchpol.model import visible

if TYPE_CHECKING:
    from batchpol.batch.observer import Observer, Preview, Result
    from batchpol.journal import Journal
    from batchpol.model import Change, Outcome, Target
    from batchpol.policy.comparison import Effect

PLAN_EPILOG = (
    "Example:\n"
    "batchpol plan tenants.csv --profile prod --diff --report plan.jsonl\n"
    "Exit: 0, with --detailed-exitcode 4 if there are changes; 1 some records are rejected, would fail or could not be "
    "read; 2 unusable arguments or input, 3 stopped early."
)
UNDO_EPILOG = (
    "Example:\n"
    "batchpol undo tenants.journal.jsonl -o undo.jsonl\n"
    "Look at what it wrote, then apply that. Exit: 0, or 2 if the journal cannot be read."
)

CHANGES = 4
"""Exit code of ``--detailed-exitcode`` when there is something to do."""

SHOWN = 20
"""Rejected records shown; the report has them all."""


def plan(
    input: options.Input,
    format: options.Format = None,
    policy_template: options.PolicyTemplate = None,
    policy_name: options.PolicyName = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show how the documents differ.")] = False,
    detailed: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 4 if there is something to do.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="One JSON line a record, *.jsonl.")] = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    warnings_as_errors: options.WarningsAsErrors = False,
    prune: Annotated[bool, typer.Option("--prune", help="Show what apply --prune would delete, too.")] = False,
    prune_prefix: Annotated[str, typer.Option(metavar="PREFIX", help="Prune only names that begin so.")] = "",
    region: options.Regions = None,
    profile: options.Profile = None,
    endpoint_url: options.EndpointUrl = None,
    role_arn: options.RoleArn = None,
    external_id: options.ExternalId = None,
    expect_account: options.ExpectAccount = None,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Against an embedded SES, where nothing is yet.")] = False,
    rate: options.Rate = None,
    higher_quota: options.HigherQuota = False,
    shared_quota: options.SharedQuota = False,
    debug: options.Debug = False,
) -> None:
    """Show what apply would do to what is there: create, update, unchanged, delete. Never writes."""
    from batchpol.report import is_json_lines
    from batchpol.rewriting.template import open_input

    if report is not None and not is_json_lines(report):
        raise UsageError(f"a plan's report is JSON Lines: {report}", hint="let its name end in .jsonl")
    reserve_output([report] if report else [])
    period, pruned = options.period_of(rate, higher_quota), pruned_names(prune, prune_prefix)
    # Arguments and input first: AWS's libraries take most of a second to import.
    template = options.template_of(policy_template, policy_name)
    with open_input(input, format=format, template=template) as source:
        with importing():
            from batchpol.batch.options import Options
            from batchpol.sending.conduct import Conduct

        choices = Options(
            connection=options.connection_of(profile, region, endpoint_url, role_arn, external_id),
            regions=tuple(region or ()),
            template=template,
            sandbox=sandbox,
            expect_account=expect_account,
            period=period,
            shared_quota=shared_quota,
            prune=pruned,
            reports=(report,) if report else (),
            select=tuple(select or ()),
            ignore=tuple(ignore or ()),
            warnings_as_errors=warnings_as_errors,
            conduct=Conduct(plan=True, ownership=True),
        )
        for note in source.notes:
            tell(f"note: {said(note)}")
        tally = Tally()
        result = run_batch(source, choices, _shown(tally, diff=diff))
    _end(result, tally, period)
    raise typer.Exit(_exit_code(result, tally, detailed=detailed))


class Tally:
    """What a plan came to: records by effect, writes by target, and how many would fail although they were compared."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()
        self.writes: Counter[Target] = Counter()
        self.would_fail = 0


def _exit_code(result: Result, tally: Tally, *, detailed: bool) -> int:
    if result.exit_code:
        return result.exit_code
    return CHANGES if detailed and tally.effects.total() > tally.effects["unchanged"] else 0


def _end(result: Result, tally: Tally, period: float) -> None:
    """The last line of a plan: counts and times."""
    from batchpol.model import Status

    effects, counts = tally.effects, result.summary.counts
    changes = effects.total() - effects["unchanged"] - tally.would_fail
    others = {
        "would fail": tally.would_fail,
        "rejected": counts.get(Status.REJECTED, 0),
        "duplicate": counts.get(Status.DUPLICATE, 0),
        "not compared": counts.get(Status.FAILED, 0)
        - tally.would_fail
        + max(0, counts.get(Status.NOT_ATTEMPTED, 0) - changes),
    }
    found = [f"{effects[name]:,} {name}" for name in ("create", "update", "unchanged", "delete")]
    found += [f"{count:,} {name}" for name, count in others.items() if count]
    times = f"compared in {result.summary.seconds or 0:.1f} s"
    if tally.writes:
        times += f", apply would take about {duration(max(tally.writes.values()) * period)}"
    write(f"{', '.join(found)}; {times}")
    if result.reason != "finished":
        tell(f"the plan ended early: {said(result.reason)}")


def _shown(tally: Tally, *, diff: bool) -> Observer:
    """Shows each comparison as it is made, and counts the effects."""
    from batchpol.batch.observer import Observer
    from batchpol.model import Severity, Status, Target
    from batchpol.policy.comparison import Effect, changed_paths
    from batchpol.policy.comparison import diff as difference

    class Shown(Observer):
        def __init__(self) -> None:
            self._unverified: set[str] = set()

        async def planned(self, preview: Preview, journal: Journal) -> bool:
            tell(f"account {preview.caller.account}, caller {visible(preview.caller.arn)}, Region {preview.region}")
            tell(f"{preview.to_send:,} changes to compare, {preview.rejected:,} records rejected")
            for checked in preview.first_rejected[:SHOWN]:
                first = next(it for it in checked.findings if it.severity is Severity.ERROR)
                tell(f"  line {checked.record.line}: rejected: {said(first.text)} [{first.code}]")
            if preview.rejected > SHOWN:
                tell(f"  ... and {preview.rejected - SHOWN:,} more; a --report has them all")
            return True

        def compared(self, change: Change, effect: Effect, present: str | None) -> None:
            tally.effects[effect.value] += 1
            write(visible(f"{_place(change)}: {effect.value} {change.identity} {change.policy_name}"))
            if effect is Effect.UPDATE and present is not None:
                both = present, change.document
                for line in difference(*both) if diff else changed_paths(*both):
                    write(f"    {line}")

        def settled(self, outcome: Outcome) -> None:
            if outcome.status is Status.FAILED:
                tally.would_fail += bool(outcome.effect)
                word = "would fail" if outcome.effect else "not compared"
                what = f"{outcome.identity} {outcome.policy_name}: {outcome.message} [{outcome.error_code}]"
                write(said(f"{_place(outcome)}: {word}: {what}"))
            elif outcome.status is Status.NOT_ATTEMPTED:
                tally.writes[Target(outcome.account, outcome.region)] += 1
            if outcome.findings and outcome.identity not in self._unverified:
                self._unverified.add(outcome.identity)
                tell(f"not verified: {visible(outcome.identity)}")

        def noted(self, target: Target, text: str) -> None:
            tell(f"{target}: {said(text)}")

    return Shown()


def _place(of: Change | Outcome) -> str:
    return f"line {of.line}" if of.line else "prune"


def undo(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="Of a run of apply that compared (the default).")],
    output: Output = "-",
    last: Annotated[bool, typer.Option("--last", help="Only what the last run wrote, not the ones before it.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write an input file that restores what the runs of a journal replaced; what changed since is left alone."""
    from batchpol.rewriting.undo import Undone, undo_records

    check_output(output, journal, "the journal")
    tally = Undone()
    records = undo_records(journal, tally, last=last)
    lines = (json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)
    write_lines(lines, output)
    tell(f"{tally.restores:,} records to restore what was there")
    if tally.without_image:
        tell(f"{tally.without_image:,} writes cannot be taken back: nothing was read before them (--blind)")
    if tally.restores and output != "-":
        command = visible(shlex.join(["batchpol", "apply", output]))
        tell(f"to carry that out: {command}; it leaves alone what somebody changed since")
