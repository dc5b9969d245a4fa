"""Lines on the terminal, and errors as people can act on them.

Text that comes from the input or from SES is never interpreted by the terminal: control characters are escaped.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap
from traceback import format_exception
from typing import TYPE_CHECKING, Any, TextIO

import typer

from batchpol.cli.screen import log
from batchpol.cli.screen.streams import OutputLost, Streams, lost
from batchpol.cli.spelling import spelled
from batchpol.model import visible
from batchpol.model.errors import BatchpolError, JournalAltered, JournalUnwritable, SesError, UsageError
from batchpol.version import __version__

if TYPE_CHECKING:
    from batchpol.batch.observer import Preview
    from batchpol.model import Finding, Record, Status

FAULT = 70
"""Exit code of an exception that nobody foresaw (``EX_SOFTWARE``): it says nothing of any record."""

SHOWN = 20
"""Targets that are told of; the others are counted."""

_CLICK = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

_COLOURS = {"red": 31, "green": 32}


COLOURS = ("auto", "always", "never")


class Colours:
    """Of this process: when colours are wanted."""

    when = "auto"


def is_coloured(stream: TextIO) -> bool:
    """Whether a stream gets colours: as was asked for, or else by what the environment says, or else on a terminal.

    The variables are those of no-color.org, force-color.org and bixense.com/clicolors.
    """
    variables = os.environ.get
    if Colours.when != "auto":
        return Colours.when == "always"
    if variables("NO_COLOR"):
        return False
    if variables("FORCE_COLOR", "0") not in ("", "0") or variables("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return variables("CLICOLOR") != "0" and stream.isatty() and variables("TERM", "dumb") != "dumb"


def painted(text: str, colour: str) -> str:
    """``text`` in one of the terminal's own colours, where standard error gets colours."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if is_coloured(sys.stderr) else text


def fitted(text: str, stream: TextIO) -> str:
    """Lines for a terminal, broken between words where they are too long for it; elsewhere as they are.

    A command to type stands on a line of its own, whole, so that it can be copied.
    """
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size((_columns(), 24)).columns
    return "\n".join(part for line in text.split("\n") for part in _fitted(line, width))


_AMOUNT = re.compile(r"(?<=\d) (?=(?:s|min|h|ms)\b)")
"""The blank between a number and its unit, which belong to one line."""


def _columns() -> int:
    """Of the terminal that one of the standard streams leads to; :mod:`shutil` asks one that we have taken apart."""
    for descriptor in (2, 1, 0):
        with suppress(OSError):
            if columns := os.get_terminal_size(descriptor).columns:  # 0 where nobody told the terminal its size
                return columns
    return 80


def _fitted(line: str, width: int) -> list[str]:
    if len(line) <= width or "\x1b" in line:
        return [line]
    head, found, command = line.partition(": batchpol ")
    if found:
        return [*_fitted(f"{head}:", width), f"  batchpol {command}"]
    indent = line[: len(line) - len(line.lstrip())]
    deeper = f"{indent}  "
    whole = _AMOUNT.sub("\xa0", line)
    parts = wrap(whole, width, subsequent_indent=deeper, break_long_words=False, break_on_hyphens=False)
    return [part.replace("\xa0", " ") for part in parts]


def said(text: str) -> str:
    """What an error, an outcome or a note says, for the terminal: nothing moves it, settings as they are typed."""
    return visible(spelled(text))


def tell(text: str) -> None:
    """One line on standard error, an event where that has JSON."""
    if log.is_wanted():
        log.event("message", message=text)
    else:
        log.put(fitted(text, sys.stderr))


class _Output:
    """Of this process: whether standard output belongs to a report."""

    is_reserved = False


def reserve_output(reports: Iterable[Path]) -> None:
    """Leave standard output to the report that goes there (``-``), if one does; our own lines go beside it."""
    _Output.is_reserved = Streams.rows = Path("-") in reports


def write(text: str) -> None:
    """Lines on standard output.

    Raises:
        OutputLost: nobody takes them, or they cannot be written; never while they are written aside.
    """
    if _Output.is_reserved:
        tell(text)
    else:
        typer.echo(fitted(text, sys.stdout))


def offer(text: str) -> None:
    """Lines on standard output that are not what the command is for: that nobody takes them changes nothing."""
    try:
        write(text)
    except OutputLost as error:
        if not error.is_closed:
            tell(str(error))


def print_lines(lines: Iterable[bytes]) -> None:
    """All lines on standard output, as they are.

    Raises:
        OutputLost: nobody takes them, or they cannot be written, and nobody should believe that they were.
    """
    try:
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise lost(error) from error


def finding_line(record: Record, finding: Finding) -> str:
    """One finding as a line, as linters print them."""
    where = f"{record.file or 'input'}:{record.line}"
    return said(f"{where}: {finding.severity}: {finding.text} [{finding.code} at {finding.where}]")


def duration(seconds: float) -> str:
    """``59 s``, ``2 min 5 s`` or ``2 h 47 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def moment(at: str) -> str:
    """A time of the journal (ISO 8601) as people write it."""
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def policies(count: int) -> str:
    """``1 policy`` or ``2,000 policies``."""
    return f"{count:,} {'policy' if count == 1 else 'policies'}"


def identities(count: int) -> str:
    """``1 identity`` or ``2,000 identities``."""
    return f"{count:,} {'identity' if count == 1 else 'identities'}"


def counts_line(counts: Mapping[Status, int]) -> str:
    """How many records have which status, in words."""
    return ", ".join(f"{count:,} {status.words}" for status, count in counts.items()) or "none"


def place_lines(preview: Preview) -> list[str]:
    """Who asks, and where: by target with their changes, unless that is the caller's account and the run's Region."""
    caller, targets = preview.caller, preview.targets
    who = f"account {caller.account}, caller {visible(caller.arn)}"
    at = f" at {visible(preview.endpoint)}" if preview.endpoint else ""
    if {(target.account, target.region) for target in targets} <= {(caller.account, preview.region)}:
        return [f"{who}, Region {preview.region}{at}"]
    lines = [f"  {target}: {count:,}" for target, count in list(targets.items())[:SHOWN]]
    more = [f"  ... and {len(targets) - SHOWN:,} more"] if len(targets) > SHOWN else []
    return [f"{who}{at}; the changes go to", *lines, *more]


def complain(error: BatchpolError, trace: str = "") -> None:
    """An error as one paragraph: what happened, where and why, then what to do; a traceback stands before it."""
    if log.is_wanted():
        known = {"error": type(error).__name__, "message": str(error), "hint": error.hint, "traceback": trace}
        log.event("error", "error", **known)
    else:
        if trace:
            log.put(trace)
        hint = f"\n  -> {said(error.hint)}" if error.hint else ""
        log.put(fitted(f"error: {said(str(error))}{hint}", sys.stderr))


def complain_of_fault(error: Exception, *, traced: bool) -> None:
    """An exception that nobody foresaw, as one paragraph; its traceback is kept in a file, unless it is shown."""
    if redaction := sys.modules.get("batchpol.ses.redaction"):  # or else nothing of AWS's can be in it
        redaction.scrub(error)
    trace = "".join(format_exception(error))
    kept = None if traced else _kept(trace)
    details = f"the details are in {kept}" if kept else "the details stand above"
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    text = f"batchpol itself failed, in a way that nobody foresaw: {type(error).__name__}: {error}"
    hint = f"{details}, please report them as a bug; what was done until then is in the journal, if there is one"
    complain(BatchpolError(text, hint=hint), "" if kept else trace)


def _kept(trace: str) -> str | None:
    """The file that a traceback was written to; None if there was no room for it."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="batchpol-fault-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(f"batchpol {__version__}, Python {sys.version}\n{trace}")
    except OSError:
        return None
    return name


def say_misuse(error: Exception) -> int | None:
    """Say what Typer found wrong with the arguments, as our own errors are said; None if it found nothing.

    Its exceptions come from another module with each version of Typer, but what they can do has stayed.
    """
    if not isinstance(error, _CLICK):
        return None
    known: Any = error
    if type(error).__name__ == "NoArgsIsHelpError":
        known.show()
        return int(known.exit_code)
    context = getattr(known, "ctx", None)
    text = str(known.format_message()).rstrip(".")
    hint = f"see {context.command_path} --help" if context is not None else ""
    complain(UsageError(text[:1].lower() + text[1:], hint=hint))
    return int(known.exit_code)


def exit_code_of(error: BatchpolError) -> int:
    """2 for what was unusable from the start, 3 for what ended a run under way."""
    return 3 if isinstance(error, SesError | JournalAltered | JournalUnwritable | OutputLost) else 2
