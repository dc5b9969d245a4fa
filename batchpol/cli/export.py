"""``batchpol export``: every identity policy that is there, as JSON Lines that ``apply`` takes back."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from batchpol.cli.options import Lines, Part, Quiet, Rate, flattened
from batchpol.cli.process import importing
from batchpol.cli.screen.streams import is_output_closed
from batchpol.model.settings import Connection, Keeping, Patience, Scope

EPILOG = (
    "Example:\n"
    "batchpol export --profile prod --region eu-west-1 -o policies.jsonl\n"
    "With -o, run the same command again to go on where it stopped. Exit: 0 everything was read, 1 some identities "
    "could not be, 2 unusable arguments or configuration, 3 stopped early, 130 interrupted, 143 terminated."
)


@flattened
def export(
    lines: Lines,
    scope: Scope,
    connection: Connection,
    rate: Rate,
    patience: Annotated[Patience, Part("shared_quota", "share")],
    keeping: Annotated[Keeping, Part("fresh", fresh="Set aside what was read before, and read everything anew.")],
    quiet: Quiet,
) -> None:
    """Write every identity policy that is there as JSON Lines, which apply takes back. Never changes anything."""
    from batchpol.cli.output import check_output

    check_output(lines.output, {})
    settings = {
        "connection": connection, "scope": scope, "patience": rate.paced(patience), "fresh": keeping.fresh,
        "output": None if lines.output == "-" else Path(lines.output),
    }  # fmt: skip
    raise typer.Exit(_run(settings, quiet=quiet.quiet))


def _run(settings: dict[str, Any], *, quiet: bool) -> int:
    """Run an export to its end, and say how it ended; returns the exit code."""
    with importing():
        import anyio.to_thread

        from batchpol.cli.running import attended, on_loop
        from batchpol.cli.screen.exporting import ExportScreen
        from batchpol.exporting import Export, Exported, ExportOptions

    options = ExportOptions(**settings)
    screen = ExportScreen(options, quiet=quiet)

    async def exported() -> Exported:
        async def deliver(rows: list[bytes]) -> None:
            """A thread waits for the reader, if somebody has to; that one has gone is seen elsewhere."""
            with suppress(OSError):
                await anyio.to_thread.run_sync(sys.stdout.buffer.writelines, rows, abandon_on_cancel=True)

        work = Export(options, observer=screen, deliver=None if options.output else deliver)

        async def run() -> Exported:
            async with options.targets() as targets:
                return await work.run(targets)

        return await attended(work, run, screen.show_progress, for_rows=options.output is None)

    result = on_loop(exported)
    if options.output or not is_output_closed():  # whoever read it has had enough, and was told nothing wrong
        screen.end(result)
    return result.exit_code
