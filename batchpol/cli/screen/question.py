"""The question before the first write."""

from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread
import typer

from batchpol.batch.observer import Preview
from batchpol.cli.screen.terminal import policies

Confirm = Callable[[Preview], bool]


def ask(preview: Preview) -> bool:
    """Ask on the terminal before the first write, and apart from it before anything is pruned; no answer is a no."""
    pruned = f"Delete {policies(preview.pruned)} that the input does not have?" if preview.pruned else ""
    return all(confirmed(it) for it in (pruned, _question(preview)) if it)


def confirmed(question: str) -> bool:
    """The answer on the terminal. All of the question is written here: Typer would write its last blank to standard
    output, which may come before the rest."""
    typer.echo(f"{question} [y/N]: ", nl=False, err=True)
    try:
        return typer.confirm("", default=False, prompt_suffix="", show_default=False, err=True)
    except typer.Abort as ending:
        if isinstance(ending.__context__, KeyboardInterrupt):
            raise ending.__context__ from None
        typer.echo(err=True)  # Ctrl-D leaves the line open
        return False


def _question(preview: Preview) -> str:
    """What else is to be sent; deletions are said first."""
    deletes, writes = preview.deletes - preview.pruned, preview.writes
    most = "up to " if preview.compares else ""
    acts = [f"delete {most}{policies(deletes)}"] if deletes else []
    acts += [f"write {most}{policies(writes)}"] if writes else []
    text = ", and ".join(acts)
    return f"{text[:1].upper()}{text[1:]}?" if text else ""


async def agreed(confirm: Confirm | None, preview: Preview) -> bool:
    """Whether the run may go on; asked where somebody is to be asked and there is something to send."""
    if confirm is None or not preview.to_send:
        return True
    return await anyio.to_thread.run_sync(confirm, preview, abandon_on_cancel=True)
