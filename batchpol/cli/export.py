"""``batchpol export``: every identity policy that is there, as JSON Lines that ``apply`` takes back."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchpol.cli import options
from batchpol.cli.output import Output, check_output
from batchpol.cli.running import attended, importing, on_loop
from batchpol.cli.screen.terminal import duration, said, tell, write_bytes
from batchpol.errors import UsageError
from batchpol.model import visible

if TYPE_CHECKING:
    from batchpol.export import Options, Result

EPILOG = (
    "Example:\n"
    "batchpol export --profile prod --region eu-west-1 -o policies.jsonl\n"
    "With -o, run the same command again to go on where it stopped. Exit: 0 everything was read, 1 some identities "
    "could not be, 2 unusable arguments or configuration, 3 stopped early, 130 interrupted, 143 terminated."
)


def export(
    output: Output = "-",
    identity: Annotated[
        list[str] | None, typer.Option(metavar="IDENTITY", help="This identity only; may be repeated.")
    ] = None,
    match: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Identities whose name fits only, e.g. '*.example.com'.")
    ] = None,
    match_name: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Policies whose name fits only, e.g. 'tenant-*'.")
    ] = None,
    region: options.Regions = None,
    account: Annotated[
        list[str] | None, typer.Option(metavar="ACCOUNT", help="With --role-arn: this account; may be repeated.")
    ] = None,
    profile: options.Profile = None,
    endpoint_url: options.EndpointUrl = None,
    role_arn: options.RoleArn = None,
    external_id: options.ExternalId = None,
    expect_account: options.ExpectAccount = None,
    rate: options.Rate = None,
    higher_quota: options.HigherQuota = False,
    shared_quota: options.SharedQuota = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Set aside what was read before, and read everything anew.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors are shown all the same.")] = False,
    debug: options.Debug = False,
) -> None:
    """Write every identity policy that is there as JSON Lines, which apply takes back. Never changes anything."""
    check_output(output)
    _check_arguments(identity, match)
    period = options.period_of(rate, higher_quota)
    with importing():
        from batchpol.export import Options, Scope

    choices = Options(
        connection=options.connection_of(profile, region, endpoint_url, role_arn, external_id),
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
    raise typer.Exit(on_loop(partial(_export, choices, quiet)))


def _check_arguments(identity: list[str] | None, match: str | None) -> None:
    if identity and match is not None:
        raise UsageError("--identity names what to export, and --match picks from all that there is", hint="use one")


async def _export(choices: Options, quiet: bool) -> int:
    """Run the export to its end, and say how it ended."""
    import anyio.to_thread

    from batchpol.cli.screen.exporting import Screen
    from batchpol.export import Export

    screen = Screen(choices, quiet=quiet)
    gone = False

    async def deliver(rows: list[bytes]) -> None:
        nonlocal gone
        if not gone and not await anyio.to_thread.run_sync(write_bytes, rows, abandon_on_cancel=True):
            gone = True  # whoever read it has had enough, and was told nothing wrong
            work.stop("standard output is closed", 3)
            work.abandon()

    work = Export(choices, observer=screen, deliver=None if choices.output else deliver)

    async def run() -> Result:
        async with choices.targets() as targets:
            return await work.run(targets)

    result = await attended(work, run, screen.show_progress)
    if not gone:
        _end(choices, result, quiet)
    return result.exit_code


def _end(choices: Options, result: Result, quiet: bool) -> None:
    """The last lines: counts, what could not be read, how to go on."""
    found = f"{result.policies:,} policies of {result.identities - result.without:,} identities"
    if result.without:
        found += f", {result.without:,} identities without"
    if result.reason == "finished":
        place = f" to {visible(str(choices.output))}" if choices.output else ""
        if not quiet:
            tell(f"exported {found}{place} in {duration(result.seconds)}")
    else:
        tell(f"the export ended early: {said(result.reason)}")
        tell(f"read: {found}")
    if result.unreadable:
        named = " ".join(f"--identity {shlex.quote(name)}" for _, name in result.unreadable[:5])
        more = " ..." if len(result.unreadable) > 5 else ""
        tell(f"{len(result.unreadable):,} identities could not be read; for those alone: {visible(named)}{more}")
    if result.kept:
        tell(f"to go on, run the same command again; what was read is in {visible(str(result.kept))}")
    elif result.exit_code >= 3 and choices.output is None:
        tell("with --output FILE the same command would go on where this one stopped")
