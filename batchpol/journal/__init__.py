"""The book of truth: an append-only JSON Lines file from which progress, resume and the report are read.

Knows bytes, fsync, locking and its own format version; nothing of SES, of asyncio or of reports.

=========== ========================================================================================
``journal`` the file as a run has it: created or resumed under a lock, read back
``tail``    its end: lines appended, handed to the system, made durable
``reading`` the file as anybody may read it, without the lock
``entries`` the kinds of line, as types
``peek``    the few members of each that are looked at when a whole journal is gone through
``chain``   the bytes below them: chained checksums, the torn tail, damage
``repeats`` what a section has in common with the one before it, and does not write again
``section`` one start of the command read back: the rows of the report
``history`` all sections together: the latest fate of each change, for a resume
``compared`` a plan's section: what was there, and what would become of it
``runs``    all sections: which runs there were, and what each did
``sends``   all sections together: every request, and when it left
``folder``  the journals of many workers on one batch, a shard each
=========== ========================================================================================

A section is ``run``, its ``record`` lines (``same`` for those that the one before it has), carried ``outcome`` lines,
``planned`` (durable: from here on something may be sent), then ``intent``, ``before`` and ``outcome`` lines as they
come, ``note`` lines between, and ``end``.
"""

from __future__ import annotations

from batchpol.journal.compared import Compared
from batchpol.journal.entries import (
    FINISHED,
    FORMAT,
    Before,
    End,
    Entry,
    Intent,
    Note,
    OutcomeEntry,
    Planned,
    RecordEntry,
    Run,
    Same,
    TargetCount,
)
from batchpol.journal.folder import Folder, Pins, Shards
from batchpol.journal.history import Earlier, History
from batchpol.journal.journal import Journal, set_aside
from batchpol.journal.reading import (
    compared,
    is_held,
    latest,
    outcomes,
    read,
    read_entry,
    runs,
    scan,
    section_of,
    sends,
)
from batchpol.journal.repeats import Numbered, Repeats
from batchpol.journal.runs import Started
from batchpol.journal.section import LANE_STOPPED, UNANSWERED, Section
from batchpol.journal.sends import Sent
from batchpol.journal.tail import Tail

__all__ = [
    "FINISHED",
    "FORMAT",
    "LANE_STOPPED",
    "UNANSWERED",
    "Before",
    "Compared",
    "Earlier",
    "End",
    "Entry",
    "Folder",
    "History",
    "Intent",
    "Journal",
    "Note",
    "Numbered",
    "OutcomeEntry",
    "Pins",
    "Planned",
    "RecordEntry",
    "Repeats",
    "Run",
    "Same",
    "Section",
    "Sent",
    "Shards",
    "Started",
    "Tail",
    "TargetCount",
    "compared",
    "is_held",
    "latest",
    "outcomes",
    "read",
    "read_entry",
    "runs",
    "scan",
    "section_of",
    "sends",
    "set_aside",
]
