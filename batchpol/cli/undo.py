"""``batchpol undo``: the way back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from batchpol.cli.options import Lines, flattened
from batchpol.cli.screen.terminal import tell
from batchpol.model.errors import UsageError
from batchpol.model.settings import setting

EPILOG = (
    "Example:\n"
    "batchpol undo tenants.journal.jsonl --last -o undo.jsonl\n"
    "Look at what it wrote, then apply that. Exit: 0, or 2 if the journal cannot be read."
)


@dataclass(frozen=True, kw_only=True)
class WhichRuns:
    HEADING: ClassVar[str] = "Journal, report and output"

    last: bool = setting(False, "Only what the last run wrote, not the ones before it.")
    run: str = setting("", "Only what this run wrote; batchpol status lists them.", metavar="ID")

    def __post_init__(self) -> None:
        if self.last and self.run:
            raise UsageError("`last` and `run` name two runs", hint="leave one of them out")


@flattened
def undo(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="Of a run of apply that compared (the default).")],
    lines: Lines,
    section: WhichRuns,
) -> None:
    """Write an input file that restores what the runs of a journal replaced; what changed since is left alone."""
    from batchpol.cli.output import check_output, write_lines
    from batchpol.cli.screen import commands, undoing
    from batchpol.journal import Shards
    from batchpol.rewriting.undo import Undone, undo_records

    check_output(lines.output, {"the journal": journal})
    tally = Undone()
    journals = Shards(journal).written_by(section.run)
    records = chain.from_iterable(undo_records(it, tally, last=section.last, run=section.run) for it in journals)
    write_lines((json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records), lines.output)
    for line in undoing.lines(tally):
        tell(line)
    if tally.restores and lines.output != "-":
        undone, _ = [*tally.runs.values()][-1]
        command = commands.typed(commands.carry_out(lines.output, undone))
        tell(f"to carry that out, and leave alone what somebody changed since: {command}")
