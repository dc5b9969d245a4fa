"""``batchpol sandbox``: the embedded SES on its own, for any client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchpol.cli.screen.terminal import tell
from batchpol.errors import UsageError

if TYPE_CHECKING:
    from batchpol.sandbox import SandboxOptions

EPILOG = (
    "Examples:\n"
    "batchpol sandbox --faults\n"
    "batchpol sandbox --port 4579 --latency 80 --fault reset_after=0.05\n"
    "It says which variables lead a client there. Give your own tools any access key."
)


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    rate: Annotated[float, typer.Option(min=0, help="Requests a second for each operation; 0 is no limit.")] = 1.0,
    burst: Annotated[int, typer.Option(min=1, help="Requests that may come at once after a pause.")] = 1,
    tolerance: Annotated[float, typer.Option(min=0, metavar="MS", help="How much too early one may come.")] = 0.0,
    shared_quota: Annotated[bool, typer.Option("--shared-quota", help="One limit for all operations.")] = False,
    v2_shares_quota: Annotated[
        bool, typer.Option("--v2-shares-quota", help="SESv2 takes from the limits of SES, not from its own.")
    ] = False,
    stale: Annotated[
        list[str] | None,
        typer.Option(metavar="[READ=]SECONDS", help="By how much reads lag behind writes; READ as get-after-put."),
    ] = None,
    strict_identities: Annotated[
        bool, typer.Option("--strict-identities", help="Only identities that were verified here are known.")
    ] = False,
    refuse: Annotated[
        list[str] | None, typer.Option(metavar="DOUBT", help="Refuse this, too; may be repeated; see --doubts.")
    ] = None,
    accept: Annotated[
        list[str] | None, typer.Option(metavar="DOUBT", help="Accept this; may be repeated; see --doubts.")
    ] = None,
    latency: Annotated[float, typer.Option(min=0, metavar="MS", help="Round trip in milliseconds.")] = 0.0,
    jitter: Annotated[float, typer.Option(min=0, metavar="MS", help="Mean of a random delay before the limit.")] = 0.0,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="NAME[@OPERATION]=PROBABILITY", help="May be repeated; see --faults.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the randomness behind jitter and faults.")] = 0,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every arrival here as JSON Lines.")] = None,
    faults: Annotated[bool, typer.Option("--faults", help="List the faults there are, and exit.")] = False,
    doubts: Annotated[bool, typer.Option("--doubts", help="List what may or may not be refused, and exit.")] = False,
) -> None:
    """Run the embedded SES on loopback: the real protocol and limits, no account, nothing kept."""
    from batchpol.sandbox import DOUBTS, FAULTS, Facts, SandboxOptions

    if faults:
        for name, known in FAULTS.items():
            typer.echo(f"{name:20} {known.title}")
        raise typer.Exit
    if doubts:
        for name, doubt in DOUBTS.items():
            typer.echo(f"{'refused' if doubt.refused else 'accepted':10} {name:24} {doubt.title}")
        raise typer.Exit
    lags = _numbers("--stale", stale or [])
    with _usage(port):
        options = SandboxOptions(
            rate=rate,
            burst=burst,
            tolerance_ms=tolerance,
            shared_quota=shared_quota,
            v2_shares_quota=v2_shares_quota,
            stale_seconds=lags.pop("", 0.0),
            stale_by=lags,
            strict_identities=strict_identities,
            refused=frozenset(Facts().refused).union(refuse or ()).difference(accept or ()),
            latency_ms=latency,
            jitter_ms=jitter,
            faults=_numbers("--fault", fault or []),
            seed=seed,
            log=log,
        )
        _serve(options, port)


@contextmanager
def _usage(port: int) -> Iterator[None]:
    """Values that make no sense, a log that cannot be written and a port that is taken, as misuse of the command."""
    try:
        yield
    except ValueError as error:
        hint = "see batchpol sandbox --faults and batchpol sandbox --doubts"
        raise UsageError(f"the sandbox cannot be run like that: {error}", hint=hint) from error
    except OSError as error:
        if error.filename is not None:
            hint = "name another file with --log"
            raise UsageError(f"{error.filename} cannot be written: {error.strerror}", hint=hint) from error
        raise UsageError(f"port {port} cannot be used: {error.strerror}", hint="give another --port") from error


def _serve(options: SandboxOptions, port: int) -> None:
    import anyio

    from batchpol.sandbox import serve

    async def run() -> None:
        await serve(options, port, ready=_ready)

    try:
        anyio.run(run)
    except KeyboardInterrupt:
        tell("stopped")


def _ready(url: str) -> None:
    typer.echo(f"listening on {url}")
    named = " ".join(f"AWS_ENDPOINT_URL_{service}={url}" for service in ("SES", "SESV2", "STS"))
    tell(f"for any AWS client: export {named}")


def _numbers(option: str, given: list[str]) -> dict[str, float]:
    """``name=0.05`` as names and numbers; of a fault the number, of a lag the name may be left out."""
    found = {}
    for item in given:
        name, equals, number = item.rpartition("=")
        if not equals and option == "--fault":
            name, number = item, "1"
        try:
            found[name] = float(number)
        except ValueError:
            takes = "NAME=PROBABILITY" if option == "--fault" else "SECONDS or READ=SECONDS"
            raise UsageError(f"{option} takes {takes}, not {item!r}") from None
    return found
