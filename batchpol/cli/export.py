"""``batchpol export``: every identity policy that is there, as JSON Lines that ``apply`` takes back."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchpol.cli.apply import period_of
from batchpol.cli.running import attended, importing, on_loop
from batchpol.cli.terminal import duration, tell, visible, write_bytes
from batchpol.errors import UsageError

if TYPE_CHECKING:
    from batchpol.export import Options, Result

EPILOG = (
    "Example: batchpol export --region eu-west-1 -o policies.jsonl. With -o, run the same command again to go on where "
    "it stopped. Exit: 0 everything was read, 1 some identities could not be, 2 unusable arguments or configuration, "
    "3 stopped early, 130 interrupted, 143 terminated."
)


def export(
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="JSON Lines; - is stdout.")] = "-",
    identity: Annotated[
        list[str] | None, typer.Option(metavar="IDENTITY", help="This identity only; may be repeated.")
    ] = None,
    match: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Identities whose name fits only, e.g. '*.example.com'.")
    ] = None,
    match_name: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Policies whose name fits only, e.g. 'tenant-*'.")
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(metavar="REGION", help="May be repeated. Before AWS_REGION, AWS_DEFAULT_REGION, the profile's."),
    ] = None,
    account: Annotated[
        list[str] | None, typer.Option(metavar="ACCOUNT", help="With --role-arn: this account; may be repeated.")
    ] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="AWS profile.")] = None,
    endpoint_url: Annotated[str | None, typer.Option(metavar="URL", help="Another SES than AWS's.")] = None,
    role_arn: Annotated[
        str | None, typer.Option(metavar="ARN", help="Role to assume in each account; {account} is filled in.")
    ] = None,
    external_id: Annotated[str | None, typer.Option(metavar="ID", help="External id for --role-arn.")] = None,
    expect_account: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="Refuse credentials of any other account.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.01, max=1000, metavar="PER_SECOND", help="Requests a second, if not one.")
    ] = None,
    higher_quota: Annotated[
        bool, typer.Option("--i-have-a-higher-quota", help="Allow a --rate of more than one.")
    ] = False,
    shared_quota: Annotated[bool, typer.Option("--shared-quota", help="All operations share one limit.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Set aside what was read before, and read everything anew.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors are shown all the same.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write every identity policy that is there as JSON Lines, which apply takes back. Never changes anything."""
    _check_arguments(output, identity, match, [*(account or ()), *([expect_account] if expect_account else ())])
    period = period_of(rate, higher_quota)
    with importing():
        from batchpol.export import Options, Scope
        from batchpol.ses import Connection

    options = Options(
        connection=Connection(
            profile=profile,
            region=region[0] if region else None,
            endpoint_url=endpoint_url,
            role_arn=role_arn,
            external_id=external_id,
        ),
        scope=Scope(
            accounts=tuple(account or ()),
            regions=tuple(region or ()),
            identities=tuple(identity or ()),
            match="*" if match is None else match,
            match_name="*" if match_name is None else match_name,
        ),
        output=None if output == "-" else Path(output),
        fresh=fresh,
        expect_account=expect_account,
        period=period,
        shared_quota=shared_quota,
    )
    raise typer.Exit(on_loop(partial(_export, options, quiet)))


def _check_arguments(output: str, identity: list[str] | None, match: str | None, accounts: list[str]) -> None:
    if output != "-" and not output.lower().endswith((".jsonl", ".ndjson")):
        raise UsageError(f"what export writes is JSON Lines: {output}", hint="let its name end in .jsonl")
    if identity and match is not None:
        raise UsageError("--identity names what to export, and --match picks from all that there is", hint="use one")
    for account in accounts:
        if not re.fullmatch(r"[0-9]{12}", account):
            raise UsageError(f"an account id has 12 digits, which {account!r} has not")


async def _export(options: Options, quiet: bool) -> int:
    """Run the export to its end, and say how it ended."""
    import anyio.to_thread

    from batchpol.cli.exporting import Screen
    from batchpol.export import Export

    screen = Screen(options, quiet=quiet)
    gone = False

    async def deliver(rows: list[bytes]) -> None:
        nonlocal gone
        if not gone and not await anyio.to_thread.run_sync(write_bytes, rows, abandon_on_cancel=True):
            gone = True  # whoever read it has had enough, and was told nothing wrong
            work.stop("standard output is closed", 3)
            work.abandon()

    work = Export(options, observer=screen, deliver=None if options.output else deliver)
    result = await attended(work, work.run, screen.show_progress)
    if not gone:
        _end(options, result, quiet)
    return result.exit_code


def _end(options: Options, result: Result, quiet: bool) -> None:
    """The last lines: counts, what could not be read, how to go on."""
    found = f"{result.policies:,} policies of {result.identities - result.without:,} identities"
    if result.without:
        found += f", {result.without:,} identities without"
    if result.reason == "finished":
        place = f" to {visible(str(options.output))}" if options.output else ""
        if not quiet:
            tell(f"exported {found}{place} in {duration(result.seconds)}")
    else:
        tell(f"the export ended early: {visible(result.reason)}")
        tell(f"read: {found}")
    if result.unreadable:
        named = " ".join(f"--identity {name}" for _, name in result.unreadable[:5])
        more = " ..." if len(result.unreadable) > 5 else ""
        tell(f"{len(result.unreadable):,} identities could not be read; for those alone: {visible(named)}{more}")
    if result.kept:
        tell(f"to go on, run the same command again; what was read is in {visible(str(result.kept))}")
    elif result.exit_code >= 3 and options.output is None:
        tell("with --output FILE the same command would go on where this one stopped")
