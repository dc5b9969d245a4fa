"""From one input to another: records read, changed, checked, and written as JSON Lines.

What ``batchpol render`` and ``batchpol retarget`` do. A record that is rejected is not written: whoever applies the
result finds nothing that validation would refuse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from tempfile import SpooledTemporaryFile

from batchpol.model import Finding, Record
from batchpol.model.errors import BatchpolError
from batchpol.rewriting.lines import record_line
from batchpol.validation import Checker, Verdict

IN_MEMORY = 16 << 20
"""Bytes of output kept in memory until the last record was read: it may yet reject the first (a conflict)."""


def rewrite(
    records: Iterable[Record],
    change: Callable[[Record], Record],
    checker: Checker,
    *,
    found: Callable[[Record, Finding], None],
    counts: Counter[Verdict],
) -> Iterator[bytes]:
    """The lines of the records that are valid once they were changed, after the last one was read.

    Args:
        found: told of each finding with its record.
        counts: takes the number of records by verdict.

    Raises:
        InputError: the input as a whole is unusable.
        BatchpolError: there is no room for what waits for the last record.
    """
    verdicts: list[Verdict] = []
    with SpooledTemporaryFile(IN_MEMORY) as spool:
        for record in records:
            checked = checker.check(change(record))
            verdicts.append(checked.status)
            for finding in checked.findings:
                found(checked.record, finding)
            if checked.change is not None:
                line = b"%d " % checked.number + record_line(checked.record, checked.change)
                _on_disk(partial(spool.write, line))
            for number, status, _ in checked.amends:
                verdicts[number] = status
        counts.update(verdicts)
        _on_disk(partial(spool.seek, 0))
        for line in spool:
            place, _, rest = line.partition(b" ")
            if verdicts[int(place)] is Verdict.VALID:
                yield rest


def _on_disk(act: Callable[[], object]) -> None:
    try:
        act()
    except OSError as error:
        raise BatchpolError(
            f"a temporary file cannot be written: {error.strerror}", hint="set TMPDIR to a folder with more room"
        ) from error
