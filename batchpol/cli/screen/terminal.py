"""Lines on the terminal, and errors as people can act on them.

Text that comes from the input or from SES is never interpreted by the terminal: control characters are escaped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import typer

from batchpol.cli.screen import log
from batchpol.cli.spelling import spelled
from batchpol.errors import BatchpolError, JournalUnwritable, SesError, UsageError
from batchpol.model import visible

if TYPE_CHECKING:
    from batchpol.model import Finding, Record, Status

_CLICK = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

_COLOURS = {"red": 31, "green": 32}


def painted(text: str, colour: str) -> str:
    """``text`` in one of the terminal's own colours, where standard error is a terminal and colours are wanted."""
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def said(text: str) -> str:
    """What an error, an outcome or a note says, for the terminal: nothing moves it, settings as they are typed."""
    return visible(spelled(text))


def tell(text: str) -> None:
    """One line on standard error, an event where that has JSON; a closed terminal is no reason to stop."""
    if log.is_wanted():
        log.event("message", message=text)
    else:
        log.put(text)


class _Output:
    """Of this process: whether standard output belongs to a report."""

    is_reserved = False


def reserve_output(reports: Iterable[Path]) -> None:
    """Leave standard output to the report that goes there (``-``), if one does; our own lines go beside it."""
    _Output.is_reserved = Path("-") in reports


def write(text: str) -> None:
    """Lines on standard output; a reader that went away changes nothing about what is done."""
    if _Output.is_reserved:
        tell(text)
        return
    try:
        typer.echo(text)
    except OSError as error:
        _give_up_output(error)


def write_bytes(lines: Iterable[bytes]) -> bool:
    """Lines on standard output, as they are; False if nobody takes them any more."""
    try:
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
    except OSError as error:
        _give_up_output(error)
        return False
    return True


def print_lines(lines: Iterable[bytes]) -> None:
    """All lines on standard output, as they are; a reader that goes away has what it wanted.

    Raises:
        BatchpolError: they cannot be written, and nobody should believe that they were.
    """
    try:
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
    except OSError as error:
        _close_output()
        if not isinstance(error, BrokenPipeError):
            raise BatchpolError(
                f"standard output cannot be written: {error.strerror}", hint="mend that, and run the command again"
            ) from error


def flush() -> None:
    """Hand over what is still in the buffers, so that nothing fails when the process ends."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _give_up_output(error)


def open_standard_streams() -> None:
    """Open what is closed of the first three file descriptors, lest a file of ours gets such a number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _give_up_output(error: OSError) -> None:
    if not isinstance(error, BrokenPipeError):
        tell(f"standard output cannot be written: {error.strerror}")
    _close_output()


def _close_output() -> None:
    # The buffer keeps what it could not write and would fail again at the end of the process.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def counts_line(counts: Mapping[Status, int]) -> str:
    """How many records have which status, in words."""
    return ", ".join(f"{count:,} {status.words}" for status, count in counts.items()) or "none"


def complain(error: BatchpolError, *, traced: bool = False) -> None:
    """An error as one paragraph: what happened, where and why, then what to do.

    Args:
        traced: with its traceback, before that.
    """
    trace = "".join(format_exception(error)) if traced else ""
    if log.is_wanted():
        known = {"error": type(error).__name__, "message": str(error), "hint": error.hint, "traceback": trace}
        log.event("error", "error", **known)
    else:
        if trace:
            log.put(trace)
        hint = f"\n  -> {said(error.hint)}" if error.hint else ""
        log.put(f"error: {said(str(error))}{hint}")


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
    return 3 if isinstance(error, SesError | JournalUnwritable) else 2
