"""``batchpol retarget``: records moved to another account or Region, offline."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from batchpol.cli.options import Input, Lines, Part, Quiet, flattened
from batchpol.cli.screen.terminal import tell
from batchpol.model import Record, Severity, Target, visible
from batchpol.model.settings import Assumed, Reading, setting

if TYPE_CHECKING:
    from batchpol.rewriting.retarget import Move, Moved

    Kinds = Counter[tuple[str, bool]]
    """Sentences behind the number of records or documents that each is true of, and whether it is of documents."""

MOST_KINDS = 20
"""Kinds of changes that are summed at the end; a line each."""

EPILOG = (
    "Example:\n"
    "batchpol retarget samples/tenants.jsonl --to-account 111122223333 --to-region eu-west-1 -o moved.jsonl\n"
    "Exit: 0, 1 some records cannot be moved and are left out, 2 unusable arguments or input."
)


@dataclass(frozen=True, kw_only=True)
class Moving:
    HEADING: ClassVar[str] = "The move"

    to_account: str = setting("", "Account that the records go to.", metavar="ACCOUNT")
    to_region: str = setting("", "Region that the records go to.", metavar="REGION")
    map: tuple[str, ...] = setting((), "Two accounts, Regions or identities; may be repeated.", metavar="OLD=NEW")
    principals: bool = setting(False, "Move accounts in Principal, too.")
    conditions: bool = setting(False, "Move accounts, Regions and ARNs in Condition values, too.")


@dataclass(frozen=True, kw_only=True)
class Verbose:
    HEADING: ClassVar[str] = "Journal, report and output"

    verbose: bool = setting(False, "A line for each change of each record.", short="v")


@flattened
def retarget(
    input: Input,
    reading: Annotated[Reading, Part("format", "columns")],
    moving: Moving,
    assumed: Assumed,
    lines: Lines,
    verbose: Verbose,
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
    kinds: Kinds = Counter()
    change = partial(_moved, move, kinds, verbose=verbose.verbose)
    code = rewrite_input(input, change, Checker(), lines.output, reading, over=move.check_matched, quiet=quiet.quiet)
    if not quiet.quiet:
        in_order = sorted(kinds.items(), key=lambda it: (it[0][0].startswith("still"), -it[1], it[0]))
        for (said, of_documents), count in in_order[:MOST_KINDS]:
            one = "document" if of_documents else "record"
            tell(visible(f"{count:,} {one if count == 1 else f'{one}s'} {said if count > 1 else _singular(said)}"))
        if len(kinds) > MOST_KINDS:
            tell(f"{len(kinds) - MOST_KINDS:,} more kinds; --verbose has a line for each change")
    raise typer.Exit(code)


def _moved(move: Move, kinds: Kinds, record: Record, *, verbose: bool) -> Record:
    """The record in its new place; what changed, and what still names the old one, is counted by kind."""
    moved, changes = move.record(record)
    if not any(it.severity is Severity.ERROR for it in moved.problems):
        kinds.update({kind for change in changes for kind in _kinds(change)})
    if verbose:
        place = f"{record.file or 'input'}:{record.line}: {moved.identity} {moved.policy_name}"
        for change in changes:
            if change.asked:
                tell(visible(f"{place}: {change.where}: {change.old} -> {change.new}"))
            else:
                option = f" ({_option(change)} makes it {change.new})" if change.new else ""
                tell(visible(f"{place}: {change.where} still says {change.old}{option}"))
    return moved


def _kinds(change: Moved) -> list[tuple[str, bool]]:
    """What a change is counted as: of an account or a Region with where it goes, of anything in a document without."""
    of_document = change.where.startswith("/")
    if not change.asked:
        option = f" ({_option(change)} moves it)" if change.new else ""
        return [(f"still name {place} in {change.element}{option}", True) for place in change.places]
    if of_document or change.where == "identity":
        return [(f"get a new {change.element}", of_document)]
    what = "Region" if change.where == "region" else change.where
    return [(f"move from {what} {change.old} to {change.new}", False)]


def _option(change: Moved) -> str:
    return "--conditions" if "/Condition" in change.where else "--principals"


def _singular(said: str) -> str:
    """The same of one only."""
    return re.sub(r"^(still \w+|\w+)", r"\1s", said)
