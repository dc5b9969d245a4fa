"""Every run that wrote into a journal: when it began and ended, and what it did itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from batchpol.journal.chain import Chain
from batchpol.journal.entries import End, Intent, Planned, Run, Same
from batchpol.journal.peek import OutcomeEffect, RecordChange, decode_effects
from batchpol.journal.repeats import Numbered
from batchpol.model import EFFECTS, Status

_WORDS = ("", *EFFECTS.values(), *(it.value for it in Status if it is not Status.APPLIED))
_CODE = {word: code for code, word in enumerate(_WORDS)}


@dataclass(slots=True)
class Started:
    """One start of the command, and how it ended (None: it was killed, or goes on).

    ``counts`` is in words, what was deleted first: ``deleted``, ``created``, ``updated``, ``written``, then statuses.
    What it only took over from an earlier run is not counted.
    """

    run: Run
    end: End | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        ended = {"ended_at": self.end.at, "reason": self.end.reason} if self.end else {"ended_at": None, "reason": None}
        shard = {"shard": "{}/{}".format(*self.run.shard)} if self.run.shard else {}
        return {"run_id": self.run.run_id, **shard, "started_at": self.run.at, **ended, "counts": self.counts}


def read_runs(chain: Chain) -> list[Started]:
    """All runs, the oldest first; two bytes a record of one of them in memory."""
    found: list[Started] = []
    numbered, fates = Numbered("B"), bytearray()
    (deletes,) = numbered.now

    def close() -> None:
        if found:
            counted = Counter(fates)
            found[-1].counts = {word: counted[code] for word, code in _CODE.items() if code and counted[code]}
        fates.clear()

    for _, block in chain.blocks():
        try:
            for entry in decode_effects(block):
                if type(entry) is OutcomeEffect:  # quicker than isinstance()
                    if not entry.carried:
                        did = "delete" if deletes[entry.n] else entry.effect
                        word = EFFECTS.get(did, "written") if entry.status == Status.APPLIED else entry.status
                        fates[entry.n] = _CODE[word]
                elif type(entry) is RecordChange:
                    deletes.append(entry.action == "delete")
                    fates.append(0)
                elif type(entry) is Intent:
                    fates[entry.n] = _CODE[Status.UNKNOWN.value]
                elif isinstance(entry, Run):
                    chain.check_format(entry.format)
                    close()
                    found.append(Started(entry))
                    numbered.take(entry)
                    (deletes,) = numbered.now
                elif isinstance(entry, Same | Planned):
                    numbered.take(entry)
                    fates.extend(bytes(len(deletes) - len(fates)))
                elif isinstance(entry, End):
                    found[-1].end = entry
        except (msgspec.DecodeError, LookupError, ValueError) as error:
            raise chain.undecodable(repr(error)) from error
    close()
    return found
