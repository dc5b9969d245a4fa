"""The command line: arguments, terminal, signals, exit codes.

A command is imported when it is asked for, and what it needs when it runs, so that ``--help`` answers at once.

============ ====================================================================
``options``  settings as options, and those that only the command line has
``spelling`` how the command line spells settings
``command``  what all commands share: help under headings, ``--config``, ``--log-format``
``completion`` values that a shell may complete
``config``   defaults of options from a TOML file
``output``   where commands write the input of the next one
``process``  the process of a command: imports that take long, and its end
``running``  a batch or an export on its event loop, and the signals that stop it
``driving``  a batch on the workers of a scheduler
``rewriting`` what ``render`` and ``retarget`` share
``screen``   what people see
============ ====================================================================

All others are a command each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from traceback import format_exception
from typing import Annotated, Any, ClassVar

import typer

from batchpol.cli.command import Program, State
from batchpol.cli.process import leave
from batchpol.cli.screen import log
from batchpol.cli.screen.streams import OutputLost, open_standard_streams
from batchpol.cli.screen.terminal import FAULT, complain, complain_of_fault, exit_code_of, say_misuse
from batchpol.model.errors import BatchpolError
from batchpol.version import __version__


class _Commands(Program):
    short: ClassVar[Mapping[str, str]] = {
        "apply": "Put the policies of INPUT, one a second; a row for each.",
        "validate": "Check every record of INPUT, offline.",
        "plan": "Show what apply would do. Never writes.",
        "undo": "Write an input that restores what runs replaced.",
        "export": "Write what is there, as an input for apply.",
        "render": "Write what would be sent, for review; offline.",
        "retarget": "Move records to another account or Region; offline.",
        "status": "Say how far a run is, and what to do next.",
        "stop": "Ask all workers of a run folder to stop.",
        "report": "Write the report of a journal again.",
        "probe": "Find out what SES really does, in your account.",
        "sandbox": "Run the embedded SES for any client.",
        "schema": "Print the JSON Schema of a record, a report or the config.",
        "help": "Show a page of the manual, e.g. batchpol help resume.",
    }


app = typer.Typer(
    name="batchpol",
    cls=_Commands,
    help="Sending authorization policies for thousands of Amazon SES identities. "
    "To try it: batchpol apply samples/tenants.csv --sandbox",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BATCHPOL"},
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
    open_standard_streams(log.dropped)
    if _asks_for_json(sys.argv[1:]):
        log.begin()  # before the arguments are read: what is wrong with them is an event too
    try:
        # Typer's own ending would print its errors in another form than ours.
        ended: Any = app(prog_name="batchpol", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt) as ending:
        # Typer takes any EOFError for Ctrl-D, that of a module cut short on disk too.
        if isinstance(ending.__cause__, EOFError):
            leave(_code_of(ending.__cause__, traced=State.debug or "--debug" in sys.argv))
        leave(130)
    except SystemExit as ending:
        leave(ending.code if isinstance(ending.code, int) else 1)
    except Exception as error:
        leave(_code_of(error, traced=State.debug or "--debug" in sys.argv))
    leave(ended if isinstance(ended, int) else 0)


def _code_of(error: Exception, *, traced: bool) -> int:
    """The exit code for what came out of a command, which is told of."""
    if isinstance(error, BatchpolError):
        if not (isinstance(error, OutputLost) and error.is_closed):
            complain(error, "".join(format_exception(error)) if traced else "")
        return exit_code_of(error)
    code = say_misuse(error)
    if code is None:
        complain_of_fault(error, traced=traced)
        return FAULT
    return code


def _asks_for_json(arguments: list[str]) -> bool:
    """Whether errors are to be JSON, by the command line or else by the variable of its command."""
    words = " ".join(arguments).replace("--log-format=", "--log-format ")
    if "--log-format " in words:
        return "--log-format json" in words
    own = os.environ.get(f"BATCHPOL_{arguments[0].upper()}_LOG_FORMAT") if arguments else None
    return (own or os.environ.get("BATCHPOL_LOG_FORMAT")) == "json"
