"""``batchpol status``: how far the run of a journal is, that ended, was killed or is going on."""

from __future__ import annotations

import json
from typing import Annotated

from batchpol.cli.options import Form, JournalFile, Part, flattened
from batchpol.cli.screen.terminal import said, tell, write

EPILOG = "Example:\nbatchpol status tenants.journal.jsonl\nExit: 0, or 2 if the journal cannot be read."


@flattened
def status(
    journal: JournalFile, form: Annotated[Form, Part(output="Form of what is said on standard output.")]
) -> None:
    """Say how far the run of a journal is, and what to do next."""
    from batchpol.cli.screen.status import as_json, lines, status_of

    found = status_of(journal)
    for note in found.section.notes:
        tell(f"note: {said(note)}")
    write(json.dumps(as_json(found)) if form.is_json else "\n".join(lines(found)))
