"""A service's worker that puts a new tenant's policy in place on sign-up.

SES allows one request a second for an account and Region, and a batch of batchpol's keeps to that by itself. Two
batches at the same time would not know of each other, so one worker takes whatever signed up meanwhile as one batch.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import batchpol

TEMPLATE = Path(__file__).with_name("policy-template.json")
Waiting = tuple[dict[str, str], asyncio.Future[batchpol.Outcome]]


class Onboarding:
    """Run :meth:`work` as a task for as long as the service lives; await :meth:`sign_up` wherever somebody does.

    ``settings`` are those of ``batchpol.apply``: a Region, a session of your own, a journal.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = {"policy_template": TEMPLATE, "policy_name": "sending-{{tenant_id}}", **settings}
        self._waiting: asyncio.Queue[Waiting] = asyncio.Queue()

    async def sign_up(self, domain: str, tenant_id: str, sender_account: str) -> batchpol.Outcome:
        """Put the policy of one tenant; returns its outcome, raises what ended the whole batch."""
        done: asyncio.Future[batchpol.Outcome] = asyncio.get_running_loop().create_future()
        tenant = {"identity": domain, "tenant_id": tenant_id, "sender_account": sender_account}
        self._waiting.put_nowait((tenant | {"ses_actions": "ses:SendEmail;ses:SendRawEmail"}, done))
        return await done

    async def work(self, pause: float = 1.0) -> None:
        """Batch after batch, with ``pause`` seconds between them: the gate of one knows nothing of the last one's."""
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._put(batch)
            await asyncio.sleep(pause)

    async def _put(self, batch: list[Waiting]) -> None:
        try:
            async for outcome in batchpol.stream([tenant for tenant, _ in batch], **self._settings):
                if not batch[outcome.number][1].done():
                    batch[outcome.number][1].set_result(outcome)
        except batchpol.BatchpolError as error:
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
