"""Something has changed: whoever waits for that looks again."""

from __future__ import annotations

import anyio


class News:
    """Wakes all who wait, each time it is told, and costs nothing where nobody does."""

    def __init__(self) -> None:
        self._awaited: anyio.Event | None = None

    def tell(self) -> None:
        """Wake whoever waits just now."""
        if self._awaited is not None:
            self._awaited.set()
            self._awaited = None

    async def wait(self) -> None:
        """Return the next time that it is told."""
        if self._awaited is None:
            self._awaited = anyio.Event()
        await self._awaited.wait()
