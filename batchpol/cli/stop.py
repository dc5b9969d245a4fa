"""``batchpol stop``: asks all workers of a run folder to stop, so that they can go on later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from batchpol.cli.options import flattened
from batchpol.cli.screen.terminal import tell
from batchpol.model import visible
from batchpol.model.errors import UsageError
from batchpol.model.settings import setting

EPILOG = (
    "Examples:\n"
    "batchpol stop run1/\n"
    "batchpol stop run1/ --withdraw\n"
    "Workers finish what is under way and exit with 3; those that begin do too, until it is withdrawn. "
    "Exit: 0, or 2 if there is no such folder."
)


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    HEADING: ClassVar[str] = "Journal, report and output"

    withdraw: bool = setting(False, "Take it back: workers that are started go on.")


@flattened
def stop(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="That the workers have as their journal.")],
    withdrawal: Withdrawal,
) -> None:
    """Ask all workers of a run folder to stop, resumably, whatever machine they are on."""
    from batchpol.cli.screen import commands
    from batchpol.journal import Folder

    found = Folder.at(folder)
    if found is None:
        hint = "name what the workers have as `journal`; how a run without workers is stopped, batchpol status says"
        raise UsageError(f"there is no run folder {folder}", hint=hint)
    found.stop(not withdrawal.withdraw)
    name = visible(str(folder))
    if withdrawal.withdraw:
        tell(f"the workers of {name} may go on: start them again as they were")
    else:
        back = commands.typed(commands.withdraw(folder))
        tell(f"the workers of {name} stop within seconds, and go on after {back}")
