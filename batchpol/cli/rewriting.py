"""What ``render`` and ``retarget`` share: an input is read, changed record by record, and written as the next one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain

from batchpol.cli.output import write_lines
from batchpol.cli.screen.terminal import finding_line, said, tell
from batchpol.model import Finding, Record, Severity
from batchpol.model.settings import Reading
from batchpol.rewriting.rewrite import rewrite
from batchpol.rewriting.template import Template, open_input
from batchpol.validation import Checker, Verdict


def rewrite_input(
    input: str,
    change: Callable[[Record], Record],
    checker: Checker,
    output: str,
    reading: Reading,
    template: Template | None = None,
    *,
    over: Callable[[], None] | None = None,
    quiet: bool,
) -> int:
    """Write what becomes of the records, and tell what is found; with ``quiet`` errors only.

    Args:
        over: called after the last record was read, and before anything is written.

    Returns:
        The exit code: 1 if records were rejected, and so left out.

    Raises:
        UsageError, InputError, BatchpolError: the input is unusable, or the output cannot be written.
    """
    counts: Counter[Verdict] = Counter()
    with open_input(input, reading, template, digest=False) as source:
        for note in source.notes:
            tell(f"note: {said(note)}")
        records = chain(source, _nothing(over))
        write_lines(rewrite(records, change, checker, found=_tell_errors if quiet else _tell, counts=counts), output)
    left_out = {word: counts[word] for word in (Verdict.REJECTED, Verdict.DUPLICATE) if counts[word]}
    what = "".join(f", {count:,} {word.value} and left out" for word, count in left_out.items())
    tell(f"{counts[Verdict.VALID]:,} records written{what}")
    return 1 if counts[Verdict.REJECTED] else 0


def _nothing(over: Callable[[], None] | None) -> Iterator[Record]:
    if over is not None:
        over()
    yield from ()


def _tell_errors(record: Record, finding: Finding) -> None:
    """With --quiet, which hides no error."""
    if finding.severity is Severity.ERROR:
        _tell(record, finding)


def _tell(record: Record, finding: Finding) -> None:
    tell(finding_line(record, finding))
