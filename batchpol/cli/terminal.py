"""Lines on the terminal, and errors as people can act on them.

Text that comes from the input or from SES is never interpreted by the terminal: control characters are escaped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import typer

from batchpol.errors import BatchpolError, JournalUnwritable, SesError


def visible(text: str) -> str:
    """``text`` with everything a terminal might interpret escaped: C0 and C1 controls, and bidirectional marks."""
    return "".join(
        char if char.isprintable() or char == " " else char.encode("unicode_escape").decode("ascii") for char in text
    )


def tell(text: str) -> None:
    """One line on standard error; a closed terminal is no reason to stop."""
    try:
        typer.echo(text, err=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - lives as long as the process


def write(text: str) -> None:
    """Lines on standard output; a reader that went away changes nothing about what is done."""
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
    # The buffer keeps what it could not write and would fail again at the end of the process.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def duration(seconds: float) -> str:
    """``59 s``, ``2 min 5 s`` or ``2 h 47 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def complain(error: BatchpolError) -> None:
    """An error as one paragraph: what happened, where and why, then what to do."""
    text = visible(str(error))
    tell(f"error: {text}" + (f"\n  -> {visible(error.hint)}" if error.hint else ""))


def exit_code_of(error: BatchpolError) -> int:
    """2 for what was unusable from the start, 3 for what ended a run under way."""
    return 3 if isinstance(error, SesError | JournalUnwritable) else 2
