"""``batchpol report``: the report of a journal again, of a run that ended, was killed or is going on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from batchpol.cli.options import JournalFile, Part, flattened
from batchpol.cli.process import importing
from batchpol.cli.screen.terminal import counts_line, offer, reserve_output, said, tell
from batchpol.model import Status, did_you_mean, visible
from batchpol.model.errors import UsageError
from batchpol.model.settings import Connection, Reading, setting

if TYPE_CHECKING:
    from batchpol.journal import Shards

EPILOG = (
    "Examples:\n"
    "batchpol report tenants.journal.jsonl --report tenants.report.jsonl\n"
    "batchpol report tenants.journal.jsonl --only failed,unknown --report failed.csv\n"
    "batchpol report run1/ --input tenants.csv --report all.csv\n"
    "With --only the report has the policies, so that it can be mended and applied. "
    "Exit: 0, or 2 if the journal cannot be read."
)


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    HEADING: ClassVar[str] = "Journal, report and output"

    reports: tuple[Path, ...] = setting(
        (), "Where to write it: *.csv, *.jsonl, *.html; may be repeated.", metavar="FILE"
    )
    input: Path | None = setting(
        None, "What the workers of a run folder read, for rows of shards that have not begun.", metavar="FILE"
    )
    only: tuple[str, ...] = setting(
        (), "These records only, with their policies: an input for apply.", metavar="STATUS,..."
    )

    @property
    def statuses(self) -> list[Status]:
        """Those of the records wanted; none for all records."""
        words = [word.strip() for words in self.only for word in words.split(",") if word.strip()]
        for word in words:
            if word not in set(Status):
                hint = did_you_mean(word, Status) or f"there are {', '.join(Status)}"
                raise UsageError(f"--only: there is no status {visible(repr(word))}", hint=hint)
        return [Status(word) for word in dict.fromkeys(words)]


@flattened
def report(
    journal: JournalFile,
    written: ReportFiles,
    reading: Annotated[
        Reading, Part("policy_template", policy_template="That of the workers, where `input` is given.")
    ],
    connection: Annotated[Connection, Part("facts", facts="That of the workers, where `input` is given.")],
) -> None:
    """Write the report of a journal or a run folder again, or that of some of its records."""
    from batchpol.cli.screen import folder, status
    from batchpol.journal import Shards, Started, runs
    from batchpol.outputs import check_run
    from batchpol.report import write_report

    chosen, paths = written.statuses, written.reports
    if not paths:
        raise UsageError("there is no place for the report", hint="name one with --report, say --report report.csv")
    check_run({"the journal": journal, "the input": written.input}, None, paths)
    reserve_output(paths)
    found = Shards(journal)
    if written.input is not None and found.pins is None:
        raise UsageError("`input` is for a run folder; a journal has all records of its own", hint="leave it out")
    for note in found.notes:
        tell(f"note: {said(note)}")
    steps, started = list[tuple[str, str]](), list[Started]()
    if any(path.suffix.lower() == ".html" for path in paths):
        started = sorted((it for book in found.journals for it in runs(book)), key=lambda it: it.run.at)
        if found.folder is not None:
            steps = [folder.next_step(found, folder.standing_of(found)).as_typed()]
        else:
            steps = [step.as_typed() for step in status.next_steps(status.status_of(journal))]
    if written.input is not None:
        _run(found, str(written.input), reading.policy_template, connection.facts)
    for path in paths:
        write_report(
            found.outcomes(),
            path,
            columns=found.columns,
            sheet=found.sheet,
            only=chosen,
            about=found.about(),
            sends=found.sends(),
            runs=[it.as_json() for it in started],
            next_steps=steps,
        )
    counts = {status: count for status, count in found.counts().items() if not chosen or status in chosen}
    offer(f"{sum(counts.values()):,} of {len(found):,} records: {counts_line(counts)}")
    for path in paths:
        tell(f"report: {visible(str(path))}")


def _run(shards: Shards, input: str, template: Any, facts: Path | None) -> None:
    """Add what the input has of the shards that have not begun."""
    with importing():
        from batchpol.batch.worker import add_missing, options_of
        from batchpol.rewriting.template import open_input

    options = options_of(shards, template, facts)
    with open_input(input, options.reading, options.template) as source:
        add_missing(shards, source, options)
