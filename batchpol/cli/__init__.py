"""The command line: arguments, terminal, signals, exit codes (floor 6).

What a command needs is imported when the command runs, so that ``--help`` answers at once.

========== ============================================================
``apply``  records in, one a second to SES, a report out
``check``  ``validate``: the first pass alone, offline
``plan``   ``plan`` and ``undo``: know before you write, and the way back
``export`` ``export``: what is there, as an input (``exporting``: what people see of it)
``rewrite`` ``render`` and ``retarget``: from one input to another, offline
``book``   ``status`` and ``report``: what a journal says
``embedded`` ``sandbox``: the embedded SES for any client
``running`` an event loop for a batch, signals, the end of the process
``screen`` what people see of a run: plan, progress, summary
``options`` options that several commands have
``output`` where commands write the input of the next one
``terminal`` lines, errors, exit codes of errors
========== ============================================================
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from batchpol.cli import apply, book, check, embedded, export, plan, rewrite
from batchpol.cli.running import leave
from batchpol.cli.terminal import complain, exit_code_of, open_standard_streams
from batchpol.errors import BatchpolError
from batchpol.version import __version__

app = typer.Typer(
    name="batchpol",
    help="Put sending authorization policies on thousands of Amazon SES identities: each one validated, one request a "
    "second, and a report row for every record.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BATCHPOL"},
)
app.command("apply", epilog=apply.EPILOG)(apply.apply)
app.command("validate", epilog=check.EPILOG)(check.validate)
app.command("plan", epilog=plan.PLAN_EPILOG)(plan.plan)
app.command("undo", epilog=plan.UNDO_EPILOG)(plan.undo)
app.command("export", epilog=export.EPILOG)(export.export)
app.command("render", epilog=rewrite.RENDER_EPILOG)(rewrite.render)
app.command("retarget", epilog=rewrite.RETARGET_EPILOG)(rewrite.retarget)
app.command("status", epilog=book.STATUS_EPILOG)(book.status)
app.command("report", epilog=book.REPORT_EPILOG)(book.report)
app.command("sandbox", epilog=embedded.EPILOG)(embedded.sandbox)


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
    try:
        app()
    except BatchpolError as error:
        if "--debug" in sys.argv:
            raise
        complain(error)
        leave(exit_code_of(error))
    except SystemExit as ending:
        leave(ending.code if isinstance(ending.code, int) else 0)
