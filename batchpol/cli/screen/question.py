"""The question before the first write."""

from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread
import typer

from batchpol.batch.observer import Preview

Confirm = Callable[[Preview], bool]


def ask(preview: Preview) -> bool:
    """Ask on the terminal before the first write, and apart from it before anything is pruned; no answer is a no."""
    question = f"Delete {preview.pruned:,} policies that the input does not have?"
    try:
        if preview.pruned and not typer.confirm(question, default=False, err=True):
            return False
        return typer.confirm(f"Send {preview.to_send:,} requests?", default=False, err=True)
    except typer.Abort:  # Ctrl-D
        return False


async def agreed(confirm: Confirm | None, preview: Preview) -> bool:
    """Whether the run may go on; asked where somebody is to be asked and there is something to send."""
    if confirm is None or not preview.to_send:
        return True
    return await anyio.to_thread.run_sync(confirm, preview, abandon_on_cancel=True)
