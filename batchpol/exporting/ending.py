"""How an export ends: what was read is counted, and put in its place if nothing is missing but what cannot be read."""

from __future__ import annotations

from pathlib import Path

from batchpol.exporting.observer import Exported
from batchpol.exporting.partial import Partial
from batchpol.exporting.reading import Readers
from batchpol.files import Replacement
from batchpol.journal import FINISHED
from batchpol.model.errors import BatchpolError


def end(reading: Readers, partial: Partial, output: Path | None, early: tuple[str, int] | None) -> Exported:
    """Put the output in its place, or keep what was read for the next run of the same command.

    Args:
        early: why the export ended before its time, and the exit code for that; None if it did not.
    """
    result, complete = Exported(), reading.complete
    for reader in reading.in_order():
        counts = [partial.count(reader.target, it) for it in reader.identities if partial.has(reader.target, it)]
        result.identities += len(counts)
        result.without += counts.count(0)
        result.policies += sum(counts)
        result.unreadable += [(reader.target, it) for it in reader.unreadable]
    if complete:
        result.exit_code = 1 if result.unreadable else 0
        try:
            _write(reading, partial, output)
        except BatchpolError as error:
            result.reason, result.exit_code, complete = str(error), 3, False
    else:
        result.reason, result.exit_code = early or (FINISHED, 0)
    if complete or not len(partial):
        partial.remove()
    else:
        result.kept = partial.path
    return result


def _write(reading: Readers, partial: Partial, output: Path | None) -> None:
    """Write the output: by target, then in the order of the listing."""
    if output is not None:
        with Replacement(output) as place:
            for reader in reading.in_order():
                for identity in reader.identities:
                    place.file.writelines(partial.rows(reader.target, identity))
