"""Where commands write the input of the next one: JSON Lines, to a file or to standard output."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from batchpol.cli.screen.terminal import print_lines
from batchpol.files import Replacement
from batchpol.model.errors import UsageError
from batchpol.outputs import Inputs, check_outputs


def check_output(output: str, inputs: Inputs) -> None:
    """Find out before anything is read that the output can be told for JSON Lines and destroys nothing.

    Raises:
        UsageError: names the mend.
    """
    if output != "-" and not output.lower().endswith((".jsonl", ".ndjson")):
        raise UsageError(f"what is written is JSON Lines: {output}", hint="let its name end in .jsonl")
    check_outputs([Path(output)], inputs, setting="output")


def write_lines(lines: Iterable[bytes], output: str) -> None:
    """Write to standard output, or to a file that is whole or not there at all.

    Raises:
        UsageError, BatchpolError: it cannot be written.
    """
    if output == "-":
        print_lines(lines)
    else:
        with Replacement(Path(output)) as target:
            target.file.writelines(lines)
