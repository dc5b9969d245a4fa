"""``batchpol retarget``: records moved to another account or Region, offline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from batchpol.cli.options import Input, Lines, Part, Quiet, flattened
from batchpol.cli.screen.terminal import tell
from batchpol.model import Record, Target, visible
from batchpol.model.settings import Assumed, Reading, setting

if TYPE_CHECKING:
    from batchpol.rewriting.retarget import Move

EPILOG = (
    "Example:\n"
    "batchpol retarget samples/tenants.jsonl --to-account 111122223333 --to-region eu-west-1 -o moved.jsonl\n"
    "Exit: 0, 1 some records cannot be moved and are left out, 2 unusable arguments or input."
)


@dataclass(frozen=True, kw_only=True)
class Moving:
    HEADING: ClassVar[str] = "The move"

    to_account: str = setting("", "Where the records go.", metavar="ACCOUNT")
    to_region: str = setting("", "Where the records go.", metavar="REGION")
    map: tuple[str, ...] = setting((), "Two accounts, Regions or identities; may be repeated.", metavar="OLD=NEW")
    principals: bool = setting(False, "Move accounts in Principal, too.")
    conditions: bool = setting(False, "Move accounts, Regions and ARNs in Condition values, too.")


@flattened
def retarget(
    input: Input,
    reading: Annotated[Reading, Part("format", "columns")],
    moving: Moving,
    assumed: Assumed,
    lines: Lines,
    quiet: Annotated[Quiet, Part(quiet="Errors and the summary only.")],
) -> None:
    """Move records to another account or Region: Resource becomes the identity's ARN there, all else stays as it is."""
    from batchpol.cli.output import check_output
    from batchpol.cli.rewriting import rewrite_input
    from batchpol.rewriting.retarget import Move
    from batchpol.validation import Checker

    check_output(lines.output, {"the input": input})
    move = Move.of(
        moving.to_account,
        moving.to_region,
        moving.map,
        principals=moving.principals,
        conditions=moving.conditions,
        here=Target(assumed.account or "", assumed.region or ""),
    )
    change = partial(_moved, move, quiet=quiet.quiet)
    raise typer.Exit(rewrite_input(input, change, Checker(), lines.output, reading, quiet=quiet.quiet))


def _moved(move: Move, record: Record, *, quiet: bool) -> Record:
    """The record in its new place; says what changed, and what still names the old one."""
    moved, changes = move.record(record)
    if not quiet:
        place = f"{record.file or 'input'}:{record.line}: {moved.identity} {moved.policy_name}"
        for change in changes:
            if change.asked:
                tell(visible(f"{place}: {change.where}: {change.old} -> {change.new}"))
            elif not change.new:
                tell(visible(f"{place}: {change.where} still says {change.old}"))
            else:
                option = "--conditions" if "/Condition" in change.where else "--principals"
                tell(visible(f"{place}: {change.where} still says {change.old} ({option} makes it {change.new})"))
    return moved
