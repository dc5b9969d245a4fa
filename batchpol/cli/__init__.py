"""The command line: arguments, terminal, signals, exit codes (floor 6).

What a command needs is imported when the command runs, so that ``--help`` answers at once.

============ ============================================================
``apply``    records in, one a second to SES, a report out
``check``    ``validate``: the first pass alone, offline
``plan``     ``plan`` and ``undo``: know before you write, and the way back
``book``     ``status`` and ``report``: what a journal says
``embedded`` ``sandbox``: the embedded SES for any client
``command``  what all commands share: help under headings, ``--config``, ``--log-format``
``config``   defaults of options from a TOML file
``running``  an event loop for a batch, signals, the end of the process
``screen``   what people see of a run; ``progress`` draws the lanes, ``question`` asks, ``ending`` sums up
``events``   the same run as JSON; ``log`` writes one event
``terminal`` lines, errors, exit codes of errors
============ ============================================================
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from batchpol.cli import apply, book, check, embedded, log, plan
from batchpol.cli.command import Command, Group, State
from batchpol.cli.running import leave
from batchpol.cli.terminal import complain, exit_code_of, open_standard_streams, say_misuse
from batchpol.errors import BatchpolError
from batchpol.version import __version__

app = typer.Typer(
    name="batchpol",
    cls=Group,
    help="Put sending authorization policies on thousands of Amazon SES identities: each one validated, one request a "
    "second, and a report row for every record.",
    epilog="Example, against an embedded SES:\nbatchpol apply samples/tenants.csv --sandbox\n"
    "Every option is also read from a variable, such as BATCHPOL_APPLY_REGION.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BATCHPOL"},
)
app.command(
    "apply", cls=Command, short_help="Put the policies of INPUT, one a second; a row for each.", epilog=apply.EPILOG
)(apply.apply)
app.command("validate", cls=Command, short_help="Check every record of INPUT, offline.", epilog=check.EPILOG)(
    check.validate
)
app.command("plan", cls=Command, short_help="Show what apply would do. Never writes.", epilog=plan.PLAN_EPILOG)(
    plan.plan
)
app.command(
    "undo", cls=Command, short_help="Write an input that restores what runs replaced.", epilog=plan.UNDO_EPILOG
)(plan.undo)
app.command("status", cls=Command, short_help="Say how far a run is, and what to do next.", epilog=book.STATUS_EPILOG)(
    book.status
)
app.command("report", cls=Command, short_help="Write the report of a journal again.", epilog=book.REPORT_EPILOG)(
    book.report
)
app.command("sandbox", cls=Command, short_help="Run the embedded SES for any client.", epilog=embedded.EPILOG)(
    embedded.sandbox
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"batchpol {__version__}")
        raise typer.Exit


@app.callback()
def _batchpol(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Holds the options that come before a command."""


def main() -> None:
    """Run the command and exit with its code."""
    open_standard_streams()
    if _asks_for_json(sys.argv[1:]):
        log.begin()  # before the arguments are read: what is wrong with them is an event too
    try:
        # Typer's own ending would print its errors in another form than ours.
        ended: Any = app(standalone_mode=False)
    except BatchpolError as error:
        if State.debug or "--debug" in sys.argv:
            raise
        complain(error)
        leave(exit_code_of(error))
    except typer.Abort:
        leave(130)
    except Exception as error:
        code = say_misuse(error)
        if code is None:
            raise
        leave(code)
    leave(ended if isinstance(ended, int) else 0)


def _asks_for_json(arguments: list[str]) -> bool:
    return "--log-format=json" in arguments or "--log-format json" in " ".join(arguments)
