"""``batchpol status``: how far the run of a journal is, that ended, was killed or is going on."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Annotated, ClassVar

from batchpol.cli.options import Form, JournalFile, Part, flattened
from batchpol.cli.screen.terminal import said, tell, write
from batchpol.cli.spelling import spelled
from batchpol.model.errors import UsageError
from batchpol.model.settings import setting

EPILOG = (
    "Examples:\n"
    "batchpol status tenants.journal.jsonl\n"
    "batchpol status tenants.journal.jsonl --failed\n"
    "batchpol status run1/ --follow\n"
    "Exit: 0, or 2 if the journal cannot be read."
)


@dataclass(frozen=True, kw_only=True)
class Looked:
    HEADING: ClassVar[str] = "Journal, report and output"

    failed: bool = setting(False, "A line for each record that is rejected, failed or unknown.")
    follow: bool = setting(False, "A line now and then, until the run is over.")


@flattened
def status(
    journal: JournalFile, looked: Looked, form: Annotated[Form, Part(output="Form of what is said on standard output.")]
) -> None:
    """Say how far the run of a journal, or of a run folder, is, and what to do next."""
    from batchpol.cli.screen import folder as screen
    from batchpol.cli.screen.status import EVERY, as_json, failed, failed_line, line, lines, status_of
    from batchpol.journal import Shards

    if looked.follow and form.is_json:
        raise UsageError("`follow` is for people, and has no `output=json`", hint="ask for the status again and again")
    shards = Shards(journal)
    if shards.folder is not None:
        screen.show(shards, follow=looked.follow, failed=looked.failed, as_json=form.is_json)
        return
    found = status_of(journal)
    for note in found.section.notes:
        tell(f"note: {said(note)}")
    while looked.follow and found.held:
        write(line(found))
        time.sleep(EVERY)
        found = status_of(journal)
    if form.is_json:
        write(spelled(json.dumps(as_json(found) | ({"failed": [*failed(found)]} if looked.failed else {}))))
        return
    for it in failed(found) if looked.failed else ():
        write(failed_line(it))
    write("\n".join(lines(found)))
