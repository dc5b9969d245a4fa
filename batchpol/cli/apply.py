"""``batchpol apply``: arguments to one call of :mod:`batchpol.batch.batch`, and its result to an exit code."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from batchpol.cli import options
from batchpol.cli.running import importing, run_batch
from batchpol.cli.screen.terminal import reserve_output
from batchpol.errors import UsageError

EPILOG = (
    "Examples:\n"
    "batchpol apply samples/tenants.csv --sandbox\n"
    "batchpol apply tenants.csv --profile prod --dry-run\n"
    "batchpol apply tenants.csv --profile prod --region eu-west-1 --expect-account 123456789012\n"
    "Run the same command again to go on where it stopped.\n"
    "Exit: 0 all applied or unchanged, 1 some rejected, failed or unknown, 2 unusable arguments or input (nothing "
    "sent), 3 stopped early (resumable), 130 interrupted, 143 terminated."
)


def apply(
    input: options.Input,
    format: options.Format = None,
    policy_template: options.PolicyTemplate = None,
    policy_name: options.PolicyName = None,
    strict: Annotated[bool, typer.Option("--strict", help="Send nothing if any record is rejected.")] = False,
    limit: Annotated[int | None, typer.Option(min=0, metavar="N", help="Send the first N valid changes only.")] = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    warnings_as_errors: options.WarningsAsErrors = False,
    region: options.Regions = None,
    profile: options.Profile = None,
    endpoint_url: options.EndpointUrl = None,
    role_arn: options.RoleArn = None,
    external_id: options.ExternalId = None,
    expect_account: options.ExpectAccount = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Run against an embedded SES: no account, nothing real.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the first write.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop before the first write.")] = False,
    blind: Annotated[bool, typer.Option("--blind/--compare", help="Write without reading what is there.")] = False,
    no_clobber: Annotated[bool, typer.Option("--no-clobber", help="Create only; replace nothing.")] = False,
    only_existing: Annotated[bool, typer.Option("--only-existing", help="Replace only; create nothing.")] = False,
    require_verified: Annotated[
        bool, typer.Option("--require-verified", help="Send nothing for identities that are not verified.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete policies of INPUT's identities that INPUT does not have.")
    ] = False,
    prune_prefix: Annotated[str, typer.Option(metavar="PREFIX", help="Prune only names that begin so.")] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Read back what was written before calling it applied.")
    ] = False,
    rate: options.Rate = None,
    higher_quota: options.HigherQuota = False,
    shared_quota: options.SharedQuota = False,
    max_failures: Annotated[
        str | None, typer.Option(metavar="N|N%", help="Stop when more records than this failed.")
    ] = None,
    max_attempts: Annotated[int, typer.Option(min=1, help="Attempts for one record.")] = 8,
    max_outage: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Stop when SES is silent so long.")] = 120,
    max_duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after this time, e.g. 90s, 30m, 2h.")
    ] = None,
    defer: Annotated[
        bool, typer.Option("--defer/--no-defer", help="Try a principal that SES does not see again at the end.")
    ] = True,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: INPUT's stem + .journal.jsonl, here.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Set the journal aside and start over.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Send again what SES refused.")] = False,
    report: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="*.csv, *.jsonl, *.html or -, may be repeated. Default: stem + .report.csv."),
    ] = None,
    output: Annotated[str, typer.Option(metavar="text|json", help="Form of the summary on standard output.")] = "text",
    progress: Annotated[
        bool, typer.Option("--progress/--no-progress", help="A line every 30 s instead of a picture of the lanes.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors are shown all the same.")] = False,
    debug: options.Debug = False,
) -> None:
    """Apply the policies of INPUT, one request a second, with a report row for every record."""
    from batchpol.rewriting.template import open_input

    _check_together(output, sandbox=sandbox, elsewhere=bool(endpoint_url or profile), blind=blind, prune=prune)
    if not (yes or sandbox or dry_run):
        _check_can_ask(input)
    period, seconds = options.period_of(rate, higher_quota), _seconds(max_duration)
    most, share = _failures(max_failures)
    pruned = pruned_names(prune, prune_prefix)
    stem = _stem(input)
    reserve_output(report or ())
    # Arguments and input first: AWS's libraries take most of a second to import.
    template = options.template_of(policy_template, policy_name)
    with open_input(input, format=format, template=template) as source:
        with importing():
            from batchpol.batch.options import Options, Threshold
            from batchpol.cli.screen.ending import print_result
            from batchpol.cli.screen.live import observer_of
            from batchpol.cli.screen.question import ask
            from batchpol.sending.conduct import Conduct, Patience

        choices = Options(
            connection=options.connection_of(profile, region, endpoint_url, role_arn, external_id),
            regions=tuple(region or ()),
            journal=journal or Path(f"{stem}.journal.jsonl"),
            fresh=fresh,
            retry_failed=retry_failed,
            reports=tuple(report or (() if dry_run else (Path(f"{stem}.report.csv"),))),
            template=template,
            sandbox=sandbox,
            strict=strict,
            dry_run=dry_run,
            limit=limit,
            threshold=Threshold(most, share),
            expect_account=expect_account,
            period=period,
            shared_quota=shared_quota,
            max_duration=seconds,
            prune=pruned,
            conduct=Conduct(
                compare=not blind,
                no_clobber=no_clobber,
                only_existing=only_existing,
                ownership=not blind or require_verified,
                require_verified=require_verified,
                verify=verify,
            ),
            patience=Patience(max_attempts=max_attempts, max_outage=max_outage, max_deferrals=2 if defer else 0),
            select=tuple(select or ()),
            ignore=tuple(ignore or ()),
            warnings_as_errors=warnings_as_errors,
            command=("batchpol", *_harmless(sys.argv[1:])),
        )
        screen = observer_of(quiet=quiet, progress=progress, confirm=None if yes or sandbox or dry_run else ask)
        screen.notes(source.notes)
        result = run_batch(source, choices, screen, beside=screen.show_progress)
    print_result(result, output, screen.run)
    raise typer.Exit(result.exit_code)


def _check_together(output: str, *, sandbox: bool, elsewhere: bool, blind: bool, prune: bool) -> None:
    """Refuse options that mean nothing, or nothing good, beside each other."""
    if output not in ("text", "json"):
        raise UsageError(f"--output is text or json, not {output!r}")
    if sandbox and elsewhere:
        raise UsageError("--sandbox brings its own SES and account", hint="leave out --endpoint-url and --profile")
    if prune and blind:
        hint = "leave --blind out: then what is deleted is in the journal, and undo brings it back"
        raise UsageError("--prune deletes what is there, and with --blind no copy of it would be kept", hint=hint)


def _harmless(arguments: list[str]) -> list[str]:
    """The arguments as the journal may keep them: an external id is a shared secret of two accounts."""
    kept, before = [], ""
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if before == "--external-id":
            kept.append("EXTERNAL_ID")
        else:
            kept.append("--external-id=EXTERNAL_ID" if name == "--external-id" and equals else argument)
        before = argument
    return kept


def _check_can_ask(input: str) -> None:
    hint = "look with --dry-run, then confirm with --yes"
    if input == "-":
        raise UsageError("standard input brings the records, so it cannot answer before the first write", hint=hint)
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
        raise UsageError("there is no terminal to ask on before the first write", hint=hint)


def _stem(input: str) -> str:
    """The input's name without its endings: ``tenants`` of ``lists/tenants.csv.gz``."""
    if input == "-":
        return "stdin"
    name = Path(input).name
    for ending in (".gz", ".csv", ".tsv", ".jsonl", ".ndjson"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name or "input"


def _failures(text: str | None) -> tuple[int | None, float | None]:
    """``--max-failures`` as a number of records, or as a share of those attempted."""
    if text is None:
        return None, None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if match and float(match[1]) <= 100:
        return None, float(match[1]) / 100
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text), None
    raise UsageError(f"--max-failures is a number or a percentage, not {text!r}", hint="for instance 10 or 5%")


def pruned_names(prune: bool, prefix: str) -> str | None:
    """What the names of policies to prune begin with; None if nothing is pruned."""
    if prefix and not prune:
        raise UsageError(
            "--prune-prefix says what to prune, and nothing is pruned without --prune",
            hint="add --prune, or leave --prune-prefix out",
        )
    return prefix if prune else None


def _seconds(text: str | None) -> float | None:
    """Seconds of ``90``, ``90s``, ``30m``, ``2h`` or ``1h30m``."""
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if not match or not any(match.groups()):
        raise UsageError(f"--max-duration is a time like 90s, 30m or 2h, not {text!r}")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600.0 + minutes * 60.0 + seconds
