"""``batchpol sandbox``: the embedded SES on its own, for any client."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchpol.cli.screen.terminal import tell
from batchpol.errors import UsageError

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
    shared_quota: Annotated[bool, typer.Option("--shared-quota", help="One limit for all operations.")] = False,
    latency: Annotated[float, typer.Option(min=0, metavar="MS", help="Round trip in milliseconds.")] = 0.0,
    jitter: Annotated[float, typer.Option(min=0, metavar="MS", help="Mean of a random delay before the limit.")] = 0.0,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="NAME[@OPERATION]=PROBABILITY", help="May be repeated; see --faults.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the randomness behind jitter and faults.")] = 0,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every arrival here as JSON Lines.")] = None,
    faults: Annotated[bool, typer.Option("--faults", help="List the faults there are, and exit.")] = False,
) -> None:
    """Run the embedded SES on loopback: the real protocol and limits, no account, nothing kept."""
    from batchpol.sandbox import FAULTS, SandboxOptions

    if faults:
        for name, known in FAULTS.items():
            typer.echo(f"{name:20} {known.title}")
        raise typer.Exit
    options = SandboxOptions(
        rate=rate,
        burst=burst,
        shared_quota=shared_quota,
        latency_ms=latency,
        jitter_ms=jitter,
        faults=_probabilities(fault or []),
        seed=seed,
        log=log,
    )
    _serve(options, port)


def _serve(options: object, port: int) -> None:
    import anyio

    from batchpol.sandbox import SandboxOptions, serve

    assert isinstance(options, SandboxOptions)

    async def run() -> None:
        await serve(options, port, ready=_ready)

    try:
        anyio.run(run)
    except ValueError as error:
        hint = "see batchpol sandbox --faults"
        raise UsageError(f"the sandbox cannot be run like that: {error}", hint=hint) from error
    except OSError as error:
        if error.filename is not None:
            hint = "name another file with --log"
            raise UsageError(f"{error.filename} cannot be written: {error.strerror}", hint=hint) from error
        raise UsageError(f"port {port} cannot be used: {error.strerror}", hint="give another --port") from error
    except KeyboardInterrupt:
        tell("stopped")


def _ready(url: str) -> None:
    typer.echo(f"listening on {url}")
    tell(f"for any AWS client: export AWS_ENDPOINT_URL_SES={url} AWS_ENDPOINT_URL_STS={url}")


def _probabilities(faults: list[str]) -> dict[str, float]:
    """``name=0.05`` as names and numbers."""
    found = {}
    for fault in faults:
        name, equals, number = fault.partition("=")
        try:
            found[name] = float(number) if equals else 1.0
        except ValueError:
            raise UsageError(f"--fault takes NAME=PROBABILITY, not {fault!r}") from None
    return found
