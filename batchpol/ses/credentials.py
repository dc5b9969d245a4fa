"""Credentials that are asked for again shortly before they end: once, and beside the requests that they sign.

botocore asks within the request that finds them old, from a quarter of an hour before they end on: for each request
where they never live longer than that, while the request and all behind it wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
from aiobotocore.credentials import AioRefreshableCredentials

from batchpol.model.errors import BatchpolError
from batchpol.ses import internals
from batchpol.ses.configuration import NOWHERE, Setup
from batchpol.ses.translation import translate

UTC_NOW = partial(datetime.now, UTC)
"""The wall clock, where nobody gives another one. botocore's own reads the time zone anew, twice for each request."""

SHARE, MOST = 0.2, 120.0
"""The last part of their life in which credentials are asked for again, and how many seconds that is at most."""


class Credentials:
    """What requests are signed with.

    Args:
        source: botocore's credentials, of whatever kind; those that end are managed here, others asked each time.
        setup: the profile that they come from, for the words of errors.
        wall: the wall clock, by which credentials end.

    Attributes:
        worked: whether SES took a request that was signed with them.
    """

    def __init__(self, source: Any, setup: Setup = NOWHERE, wall: Callable[[], datetime] = UTC_NOW) -> None:
        self.setup, self.worked = setup, False
        self._source, self._wall = source, wall
        self._asking = anyio.Lock()
        self._beside: asyncio.Task[None] | None = None
        self._ends = (
            isinstance(source, AioRefreshableCredentials) and not internals.strange() & internals.OF_CREDENTIALS
        )
        self._keys: Any = None
        self._again_at = 0.0
        if self._ends:
            self._take()

    @property
    def hold(self) -> bool:
        """Whether there are keys that hold for sure, so that :meth:`get_frozen_credentials` waits for nothing."""
        return self._ends and self._left() > 0

    async def get_frozen_credentials(self) -> Any:
        """Keys to sign with now; waited for only where there are none that still hold.

        Raises AccessRefused if there are none to be had, Unreachable if there may be later.
        """
        if not self._ends:
            return await self._ask()
        left = self._left()
        if left <= 0:
            async with self._asking:
                if self._left() <= 0:
                    await self._ask()
                    self._take()
        elif self._again_at >= left and (self._beside is None or self._beside.done()):
            self._beside = asyncio.create_task(self._ask_beside())
        return self._keys

    async def aclose(self) -> None:
        """Ask no more."""
        if self._beside is not None:
            self._beside.cancel()
            await asyncio.wait([self._beside])

    async def _ask_beside(self) -> None:
        try:
            async with self._asking:
                await self._ask()
        except BatchpolError:
            pass  # while they hold they are used; when they have ended whoever signs asks, and is told
        self._take()

    async def _ask(self) -> Any:
        try:
            return await self._source.get_frozen_credentials()
        except BatchpolError:
            raise
        except Exception as error:
            raise translate(error, sent=False, setup=self.setup) from error

    def _take(self) -> None:
        """Take what the source has, and see how long before its end to ask again: those that came back the same, or
        none at all, not before half of what is left has gone by."""
        newer = internals.held_by(self._source)
        left = self._left()
        self._again_at = min(SHARE * left, MOST) if newer != self._keys else left / 2
        self._keys = newer

    def _left(self) -> float:
        """Seconds for which the keys still hold; none where there are none."""
        ends = internals.end_of(self._source)
        return 0.0 if ends is None else float((ends - self._wall()).total_seconds())
