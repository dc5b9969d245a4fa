"""The calls that stand alone: a client for one of them each, and validation, which asks nobody."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import replace
from typing import Unpack

from batchpol.api.client import OUTCOMES, Client
from batchpol.api.input import Input, opened
from batchpol.api.settings import (
    CONNECTING,
    ELSEWHERE,
    EXPORTED,
    OFFLINE,
    PLANNED,
    RUN,
    ApplySettings,
    ExportSettings,
    Own,
    PlanSettings,
    ValidateSettings,
    options_of,
    split,
)
from batchpol.api.told import LOG
from batchpol.batch.driven import merged, work_of
from batchpol.batch.intake import checking_at
from batchpol.batch.observer import Result
from batchpol.exporting import Exported
from batchpol.fleet.dask import Fleet
from batchpol.journal import Folder
from batchpol.model import Outcome, Target
from batchpol.model.errors import UsageError
from batchpol.validation import Checked


async def apply(records: Input, **settings: Unpack[ApplySettings]) -> Result:
    """Apply a batch and return how it ended, once it has.

    Args:
        records: read to its end before anything is sent, since only then duplicates are known.
        settings: see :class:`ApplySettings`.

    Raises:
        UsageError, InputError: settings or input unusable; nothing was sent.
        JournalError: the journal cannot be used.
        SesError: AWS is out of reach, so that nothing could begin.
    """
    if any(settings.get(name) is not None for name in ELSEWHERE):
        return await _on_workers(records, settings)
    of_client, others = split("apply", settings, RUN)
    others = {name: value for name, value in others.items() if name not in ELSEWHERE}
    async with Client(**of_client) as client:
        return await client.apply(records, **others)


async def _on_workers(records: Input, settings: ApplySettings) -> Result:
    """Apply a batch on the workers of a scheduler. Cancelling it leaves those shards running that began."""
    if own := sorted(settings.keys() & Own.__annotations__.keys() - {"region"}):
        raise UsageError(f"`on` sends settings alone, and {', '.join(own)} is of this process", hint="leave it out")
    if not isinstance(records, str | os.PathLike):
        raise UsageError("`on` needs an input that all workers can read: a file", hint="write the records to one")
    options = replace(options_of("apply", settings, {*RUN, *CONNECTING, "region"}), outcomes=OUTCOMES)
    keeping = options.keeping
    assert keeping.on is not None and keeping.shards is not None and keeping.journal is not None
    work, folder, limit = work_of(records, options), Folder(keeping.journal), options.patience.max_duration
    fleet = Fleet(keeping.on, folder, keeping.shards, work, LOG.warning, limit)
    await fleet.run()
    return await asyncio.to_thread(merged, records, options, fleet.ended, fleet.early)


async def stream(records: Input, **settings: Unpack[ApplySettings]) -> AsyncGenerator[Outcome, None]:
    """Apply a batch and yield each outcome as it happens, those of records that need no request first.

    Leaving the loop early (best with ``contextlib.aclosing``, which waits for it), or being cancelled, ends the batch
    at once: requests under way stay without an answer, and only a run with a ``journal`` can go on later. Arguments
    and errors are those of :func:`apply`.
    """
    of_client, others = split("stream", settings, RUN)
    async with Client(**of_client) as client, aclosing(client.stream(records, **others)) as outcomes:
        async for outcome in outcomes:
            yield outcome


async def plan(records: Input, **settings: Unpack[PlanSettings]) -> list[Outcome]:
    """Read what is there and tell what :func:`apply` would do to it; never writes.

    Args:
        settings: see :class:`PlanSettings`.

    Returns:
        One outcome a record, in input order. ``effect`` is ``create``, ``update`` (``message`` says what it changes),
        ``unchanged`` or ``delete``; it is empty for a record that was not compared, whose ``status`` and ``message``
        say why.

    Raises:
        UsageError, InputError, SesError: as :func:`apply` does.
    """
    of_client, others = split("plan", settings, PLANNED)
    async with Client(**of_client) as client:
        return await client.plan(records, **others)


async def export(output: str | os.PathLike[str], **settings: Unpack[ExportSettings]) -> Exported:
    """Write every policy that is there as JSON Lines, which :func:`apply` takes back.

    Args:
        output: a file, put in its place when it is complete; what was read of one that was cut off is gone on with.
        settings: see :class:`ExportSettings`.

    Raises:
        UsageError: settings or output unusable; nothing was read.
        JournalError: what is read cannot be kept, or what was kept cannot be used.
        SesError: AWS is out of reach, so that nothing could begin.
    """
    of_client, others = split("export", settings, EXPORTED)
    async with Client(**of_client) as client:
        return await client.export(output, **others)


async def validate(records: Input, **settings: Unpack[ValidateSettings]) -> list[Checked]:
    """Check a batch offline: one :class:`Checked` a record, in input order, with everything that was found.

    Args:
        settings: see :class:`ValidateSettings`.

    Raises:
        UsageError, InputError: settings or the input as a whole unusable.
    """
    options = options_of("validate", settings, OFFLINE)
    target = Target(settings.get("account") or "", settings.get("region") or "")
    check = checking_at(options, target)
    found: list[Checked] = []
    async with opened(records, options) as (items, _):
        if isinstance(items, AsyncIterable):
            async for record in items:
                found.append(check(record))
        else:
            found.extend(await asyncio.to_thread(lambda: [*map(check, items)]))
    for amendment in (amendment for checked in found for amendment in checked.amends):
        earlier = found[amendment.number]
        earlier.status, earlier.change = amendment.status, None
        earlier.findings += (amendment.finding,)
    return found
