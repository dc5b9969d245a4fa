"""The coroutine API: the same batch as the command's, inside a service's own event loop (floor 6).

It prints nothing, installs no signal handler, holds no global state, and leaves no task and no connection behind,
however it ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

from batchpol.errors import UsageError
from batchpol.lane import Conduct, Persistence
from batchpol.model import Outcome, Record, Status, Target
from batchpol.run import Batch, Observer, Options, Preview, Result, Threshold
from batchpol.ses import Aws, Connection
from batchpol.source import as_record, open_source
from batchpol.validation import Checked, Checker

Item = Record | Mapping[str, Any]
"""A record, or a mapping with its fields by our names or boto3's (``Identity``, ``PolicyName``, ``Policy``)."""

Input = str | os.PathLike[str] | Iterable[Item] | AsyncIterable[Item]
"""A path to a CSV, TSV or JSON Lines file, or records from a program."""


class Settings(TypedDict, total=False):
    """What :func:`apply` and :func:`stream` can be told; times are in seconds.

    ``journal`` None (the default) keeps none: a run cannot be resumed then. ``session`` is the caller's own
    aiobotocore session, whose credentials and configuration are used. ``compare`` reads what is there before it
    writes. ``max_failures`` is a number of records or, below 1, a share of those attempted.
    """

    region: str | None
    regions: Iterable[str]
    profile: str | None
    endpoint_url: str | None
    role_arn: str | None
    external_id: str | None
    expect_account: str | None
    session: Any
    journal: str | os.PathLike[str] | None
    reports: Iterable[str | os.PathLike[str]]
    fresh: bool
    retry_failed: bool
    strict: bool
    dry_run: bool
    limit: int | None
    max_failures: float | None
    max_duration: float | None
    max_attempts: int
    max_outage: float
    period: float
    shared_quota: bool
    compare: bool
    no_clobber: bool
    only_existing: bool
    select: Iterable[str]
    ignore: Iterable[str]
    warnings_as_errors: bool


async def apply(records: Input, **settings: Unpack[Settings]) -> Result:
    """Apply a batch and return how it ended, once it has.

    Args:
        records: read to its end before anything is sent, since only then duplicates are known.
        settings: see :class:`Settings`.

    Raises:
        UsageError, InputError: settings or input unusable; nothing was sent.
        JournalError: the journal cannot be used.
    """
    with _opened(records) as (items, details):
        return await Batch(items, _options(settings), aws=_aws(settings), **details).run()


async def stream(records: Input, **settings: Unpack[Settings]) -> AsyncIterator[Outcome]:
    """Apply a batch and yield each outcome as it happens, those of records that need no request first.

    Leaving the loop early, or being cancelled, ends the batch at once: requests under way stay without an answer,
    and only a run with a ``journal`` can go on later. Arguments and errors are those of :func:`apply`.
    """
    relay = _Relay()
    with _opened(records) as (items, details):
        batch = Batch(items, _options(settings), aws=_aws(settings), observer=relay, **details)
        relay.journal = lambda: batch.journal.outcomes() if batch.journal else iter(())
        running = asyncio.create_task(batch.run())
        running.add_done_callback(lambda _: relay.queue.put_nowait(None))
        seen: set[int] = set()
        try:
            while (item := await relay.queue.get()) is not None:
                outcomes, taken = item
                for outcome in outcomes:
                    if outcome.number not in seen:
                        seen.add(outcome.number)
                        yield outcome
                taken.set()
            await running
        finally:
            running.cancel()
            await asyncio.wait([running])


class _Relay(Observer):
    """Hands outcomes to the stream: those of queued records as they come, the others from the journal."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[Iterable[Outcome], asyncio.Event] | None] = asyncio.Queue()
        self.journal: Callable[[], Iterator[Outcome]] = lambda: iter(())

    async def planned(self, preview: Preview) -> bool:
        await self._hand(outcome for outcome in self.journal() if outcome.status is not Status.NOT_ATTEMPTED)
        return True

    def settled(self, outcome: Outcome) -> None:
        self.queue.put_nowait(([outcome], asyncio.Event()))

    async def ended(self) -> None:
        await self._hand(self.journal())

    async def _hand(self, outcomes: Iterable[Outcome]) -> None:
        """Give rows of the journal over, and wait until they were read: it must stay open so long."""
        taken = asyncio.Event()
        self.queue.put_nowait((outcomes, taken))
        await taken.wait()


async def validate(records: Input, *, account: str = "", region: str = "", **choice: Unpack[Choice]) -> list[Checked]:
    """Check a batch offline: one :class:`Checked` a record, in input order, with everything that was found.

    Args:
        account, region: of the records that do not name their own; empty for not known.
        choice: ``select``, ``ignore`` and ``warnings_as_errors``, as linters have them.

    Raises:
        InputError: the input as a whole is unusable.
    """
    checker = Checker(target=Target(account, region), **{name: _choice(value) for name, value in choice.items()})
    found: list[Checked] = []
    with _opened(records) as (items, _):
        if isinstance(items, AsyncIterable):
            async for record in items:
                found.append(checker.check(record))
        else:
            found.extend(await asyncio.to_thread(lambda: [checker.check(record) for record in items]))
    for amendment in (amendment for checked in found for amendment in checked.amends):
        earlier = found[amendment.number]
        earlier.status, earlier.change = amendment.status, None
        earlier.findings += (amendment.finding,)
    return found


class Choice(TypedDict, total=False):
    """Which findings count: codes or their first words."""

    select: Iterable[str]
    ignore: Iterable[str]
    warnings_as_errors: bool


def _choice(value: Any) -> Any:
    return value if isinstance(value, bool) else tuple(value)


@contextmanager
def _opened(records: Input) -> Iterator[tuple[Iterable[Record] | AsyncIterable[Record], dict[str, Any]]]:
    """The records of any input, and what a journal says of it."""
    if isinstance(records, str | os.PathLike):
        with open_source(records) as source:
            yield source, {"name": source.name, "columns": lambda: source.columns, "digest": lambda: source.sha256}
    elif isinstance(records, AsyncIterable):
        yield _converted(records), {}
    else:
        yield (as_record(item, number) for number, item in enumerate(records)), {}


async def _converted(records: AsyncIterable[Item]) -> AsyncIterator[Record]:
    number = 0
    async for item in records:
        yield as_record(item, number)
        number += 1


def _aws(settings: Settings) -> Callable[[Connection], Aws]:
    return partial(Aws, session=settings.get("session"))


def _options(settings: Settings) -> Options:
    """Settings as the run's options; what is not given keeps the run's default."""
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    given.pop("session", None)
    unknown = given.keys() - Settings.__annotations__.keys()
    if unknown:
        raise UsageError(f"there is no setting {', '.join(sorted(unknown))}")
    regions = tuple(given.pop("regions", ())) or tuple(filter(None, [given.pop("region", None)]))
    connection = _picked(given, Connection) | {"region": regions[0] if regions else None}
    if (failures := given.pop("max_failures", None)) is not None:
        given["threshold"] = Threshold(share=failures) if failures < 1 else Threshold(most=int(failures))
    if "journal" in given:
        given["journal"] = Path(given["journal"])
    if "reports" in given:
        given["reports"] = tuple(Path(path) for path in given["reports"])
    for name in ("select", "ignore"):
        if name in given:
            given[name] = tuple(given[name])
    return Options(
        connection=Connection(**connection),
        regions=regions,
        conduct=Conduct(**({"compare": True} | _picked(given, Conduct))),
        persistence=Persistence(**_picked(given, Persistence)),
        **given,
    )


def _picked(given: dict[str, Any], kind: type) -> dict[str, Any]:
    """Take the settings that belong to ``kind`` out of ``given``."""
    return {field.name: given.pop(field.name) for field in fields(kind) if field.name in given}
