"""``batchpol sandbox``: the embedded SES on its own, for any client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import typer

from batchpol.cli.options import flattened
from batchpol.cli.screen.terminal import tell
from batchpol.model.errors import UsageError
from batchpol.model.settings import setting

if TYPE_CHECKING:
    from batchpol.sandbox import SandboxOptions

EPILOG = (
    "Examples:\n"
    "batchpol sandbox --faults\n"
    "batchpol sandbox --port 4579 --latency 80 --fault reset_after=0.05\n"
    "It says which variables lead a client there. Give your own tools any access key."
)


@dataclass(frozen=True, kw_only=True)
class Quotas:
    HEADING: ClassVar[str] = "Pace and patience"

    rate: float = setting(1.0, "Requests a second for each operation; 0 is no limit.", min=0)
    shared_quota: bool = setting(False, "One limit for all operations.")


@dataclass(frozen=True, kw_only=True)
class Server:
    HEADING: ClassVar[str] = "The server"

    facts: Path | None = setting(
        None, "Be like the SES of `batchpol probe`'s FILE, but for other options.", metavar="FILE"
    )
    port: int = setting(0, "Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)
    burst: int = setting(1, "Requests that may come at once after a pause.", min=1)
    tolerance: float = setting(0.0, "How much too early a request may come.", metavar="MS", min=0)
    v2_shares_quota: bool = setting(False, "SESv2 takes from the limits of SES, not from its own.")
    stale: tuple[str, ...] = setting(
        (), "By how much reads lag behind writes; READ as get-after-put.", metavar="[READ=]SECONDS"
    )
    strict_identities: bool = setting(False, "Only identities that were verified here are known.")
    refuse: tuple[str, ...] = setting((), "Refuse this, too; may be repeated; see `doubts`.", metavar="DOUBT")
    accept: tuple[str, ...] = setting((), "Accept this; may be repeated; see `doubts`.", metavar="DOUBT")
    latency: float = setting(0.0, "Round trip in milliseconds.", metavar="MS", min=0)
    jitter: float = setting(0.0, "Mean of a random delay before the limit.", metavar="MS", min=0)
    fault: tuple[str, ...] = setting(
        (), "Misbehave so; may be repeated; see `faults`.", metavar="NAME[@OPERATION]=PROBABILITY"
    )
    seed: int = setting(0, "Seed of the randomness behind jitter and faults.")
    log: Path | None = setting(None, "Write every arrival here as JSON Lines.", metavar="FILE")
    faults: bool = setting(False, "List the faults there are, and exit.")
    doubts: bool = setting(False, "List what may or may not be refused, and exit.")


@flattened
def sandbox(limits: Quotas, server: Server) -> None:
    """Run the embedded SES on loopback: the real protocol and limits, no account, nothing kept."""
    from batchpol.facts import read_facts
    from batchpol.outputs import check_no_input
    from batchpol.sandbox import DOUBTS, FAULTS, Facts, SandboxOptions

    if server.faults:
        for name, known in FAULTS.items():
            typer.echo(f"{name:20} {known.title}")
        raise typer.Exit
    if server.doubts:
        for name, doubt in DOUBTS.items():
            typer.echo(f"{'refused' if doubt.refused else 'accepted':10} {name:24} {doubt.title}")
        raise typer.Exit
    if server.log is not None:
        check_no_input(server.log, "log")
    found, lags = read_facts(server.facts), _numbers("--stale", server.stale)
    refused = {*Facts().refused, *found.known.refused} - {*found.known.accepted}
    given = {
        "rate": limits.rate,
        "burst": server.burst,
        "tolerance_ms": server.tolerance,
        "shared_quota": limits.shared_quota,
        "v2_shares_quota": server.v2_shares_quota,
        "stale_seconds": lags.pop("", 0.0),
        "stale_by": lags,
        "strict_identities": server.strict_identities,
    }
    with _usage(server.port):
        options = SandboxOptions(
            **found.of_sandbox() | {name: it for name, it in given.items() if it != getattr(Facts(), name)},
            refused=frozenset(refused.union(server.refuse).difference(server.accept)),
            latency_ms=server.latency,
            jitter_ms=server.jitter,
            faults=_numbers("--fault", server.fault),
            seed=server.seed,
            log=server.log,
        )
        _run(options, server.port)


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


def _run(options: SandboxOptions, port: int) -> None:
    """Serve until interrupted."""
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


def _numbers(option: str, given: Iterable[str]) -> dict[str, float]:
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
