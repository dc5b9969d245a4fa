"""The coroutine API: the same batch as the command's, inside a service's own event loop.

It prints nothing, installs no signal handler, holds no global state, and leaves no task and no connection behind,
however it ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import ExitStack, aclosing, asynccontextmanager
from dataclasses import fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict, Unpack, get_type_hints

import anyio.to_thread

from batchpol.batch.batch import Batch
from batchpol.batch.observer import Observer, Preview, Result
from batchpol.batch.options import Options
from batchpol.errors import AccessRefused, UsageError
from batchpol.identity import require_account
from batchpol.journal import Journal
from batchpol.model import Outcome, Record, Status, Target
from batchpol.model.settings import Assumed, Checks, Conduct, Connection, Keeping, Patience, Reading
from batchpol.rewriting.template import Template, open_input
from batchpol.ses import Aws, Caller, Ses, adopt, elsewhere, redaction
from batchpol.source import RULES as SOURCE_RULES
from batchpol.source import as_record
from batchpol.validation import Checked, Checker

AT_ONCE = 500
"""Outcomes read from the journal at once: some milliseconds' worth, on a thread."""

Item = Record | Mapping[str, Any]
"""A record, or a mapping with its fields by our names or boto3's (``Identity``, ``PolicyName``, ``Policy``)."""

Input = str | os.PathLike[str] | Iterable[Item] | AsyncIterable[Item]
"""A path to a CSV, TSV or JSON Lines file, or records from a program."""


def settings_of(*headings: Any, but: Collection[str] = (), only: Collection[str] = ()) -> dict[str, Any]:
    """The settings that stand under these headings, each with its type where it is acted by."""
    kinds = dict[str, Any]()
    for heading in headings:
        hints = get_type_hints(heading)
        kinds |= {it.name: hints[it.name] for it in fields(heading) if "help" in it.metadata}
    return {name: kind for name, kind in kinds.items() if name not in but and (not only or name in only)}


OF_A_RUN = (Reading, Checks, Connection, Conduct, Patience, Keeping)
RUN = settings_of(*OF_A_RUN, but={"accounts"})
"""What :func:`apply` and :func:`stream` have."""

PLANNED = settings_of(Reading, Checks, Connection, but={"limit", "strict", "accounts"}) | settings_of(
    Conduct, Patience, only={"prune", "prune_prefix", "period", "shared_quota", "share", "max_attempts", "max_outage"}
)
"""What :func:`plan` has of it."""

OFFLINE = settings_of(Assumed, Reading, Checks, but={"limit", "strict"})
"""What :func:`validate` has."""


class Offline(TypedDict, total=False):
    """What :func:`validate` can be told. ``region`` and ``account`` are of the records that name none."""

    # python -m tests.api.settings writes what follows, from batchpol.model.settings
    region: str | None
    account: str | None
    format: str | None
    policy_template: str | os.PathLike[str] | Mapping[str, Any] | None
    policy_name: str | None
    select: Iterable[str]
    ignore: Iterable[str]
    warnings_as_errors: bool


class Own(TypedDict, total=False):
    """What only a program has.

    ``session`` is the caller's own aiobotocore session, whose credentials and configuration are used. Or ``client``
    is an open SES client of aiobotocore's that does not retry by itself, with the ``account`` that it belongs to:
    all requests go through it, STS is not asked, and it stays open. ``region`` is the one of ``regions``, if it is one.
    """

    session: Any
    client: Any
    account: str
    region: str | None


class Place(Own, total=False):
    """What :func:`plan` can be told: how the input is read, where SES is, and how fast it may be asked.

    Times are in seconds; ``period`` is the time between two requests, 1 unless AWS gave the account another quota.
    ``policy_template`` (a file, or the document itself) and ``policy_name``, both with ``{{column}}``, make what a
    record does not have.
    """

    # python -m tests.api.settings writes what follows, from batchpol.model.settings
    format: str | None
    policy_template: str | os.PathLike[str] | Mapping[str, Any] | None
    policy_name: str | None
    select: Iterable[str]
    ignore: Iterable[str]
    warnings_as_errors: bool
    regions: Iterable[str]
    profile: str | None
    endpoint_url: str | None
    role_arn: str | None
    external_id: str | None
    expect_account: Iterable[str]
    prune: bool
    prune_prefix: str
    period: float
    shared_quota: bool
    share: bool
    max_attempts: int
    max_outage: float


class Settings(Place, total=False):
    """What :func:`apply` and :func:`stream` can be told: the options of ``batchpol apply``; times are in seconds.

    ``journal`` None (the default) keeps none: a run cannot be resumed then. ``compare`` (the default) reads what is
    there before it writes. ``max_failures`` is a number of records or, between 0 and 1, a share of those attempted.
    """

    # python -m tests.api.settings writes what follows, from batchpol.model.settings
    limit: int | None
    strict: bool
    dry_run: bool
    compare: bool
    no_clobber: bool
    only_existing: bool
    require_verified: bool
    verify: bool
    staleness: float
    max_failures: float | None
    max_duration: float | None
    defer: bool
    journal: str | os.PathLike[str] | None
    fresh: bool
    retry_failed: bool
    reports: Iterable[str | os.PathLike[str]]


async def apply(records: Input, **settings: Unpack[Settings]) -> Result:
    """Apply a batch and return how it ended, once it has.

    Args:
        records: read to its end before anything is sent, since only then duplicates are known.
        settings: see :class:`Settings`.

    Raises:
        UsageError, InputError: settings or input unusable; nothing was sent.
        JournalError: the journal cannot be used.
        SesError: AWS is out of reach, so that nothing could begin.
    """
    options = _options("apply", settings, RUN)
    async with _opened(records, options) as (items, details), options.targets(_aws(settings)) as targets:
        return await Batch(items, options, **details).run(targets)


async def stream(records: Input, **settings: Unpack[Settings]) -> AsyncIterator[Outcome]:
    """Apply a batch and yield each outcome as it happens, those of records that need no request first.

    Leaving the loop early (best with ``contextlib.aclosing``, which waits for it), or being cancelled, ends the batch
    at once: requests under way stay without an answer, and only a run with a ``journal`` can go on later. Arguments
    and errors are those of :func:`apply`.
    """
    relay, seen, options = _Relay(), bytearray(), _options("stream", settings, RUN)
    async with _opened(records, options) as (items, details), options.targets(_aws(settings)) as targets:
        batch = Batch(items, options, observer=relay, **details)
        running = asyncio.create_task(batch.run(targets))
        running.add_done_callback(lambda _: relay.queue.put_nowait(None))
        try:
            while (outcomes := await relay.queue.get()) is not None:
                for outcome in outcomes:
                    if outcome.number >= len(seen):
                        seen.extend(bytes(outcome.number + 1 - len(seen)))
                    if not seen[outcome.number]:
                        seen[outcome.number] = True
                        yield outcome
                relay.taken.set()
            await running
        finally:
            running.cancel()
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # told to whoever waits for it, or to nobody


class _Relay(Observer):
    """Hands outcomes to the stream: those of queued records as they come, the others from the journal."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[list[Outcome] | None] = asyncio.Queue()
        self.taken = asyncio.Event()

    async def planned(self, preview: Preview, journal: Journal) -> bool:
        # An earlier run's fate that is to be replaced by this one comes at the end, if it was not.
        due = {Status.NOT_ATTEMPTED, Status.UNKNOWN, Status.FAILED}
        await self._hand(outcome for outcome in journal.outcomes() if outcome.status not in due)
        return True

    def settled(self, outcome: Outcome) -> None:
        self.queue.put_nowait([outcome])

    async def ended(self, journal: Journal) -> None:
        await self._hand(journal.outcomes())

    async def _hand(self, outcomes: Iterator[Outcome]) -> None:
        """Give rows of the journal over, some at a time: neither memory nor the event loop takes all at once."""
        while some := await anyio.to_thread.run_sync(lambda: list(islice(outcomes, AT_ONCE))):
            self.taken.clear()
            self.queue.put_nowait(some)
            await self.taken.wait()


async def plan(records: Input, **place: Unpack[Place]) -> list[Outcome]:
    """Read what is there and tell what :func:`apply` would do to it; never writes.

    Args:
        place: see :class:`Place`.

    Returns:
        One outcome a record, in input order. ``effect`` is ``create``, ``update`` (``message`` says what it changes),
        ``unchanged`` or ``delete``; it is empty for a record that was not compared, whose ``status`` and ``message``
        say why.

    Raises:
        UsageError, InputError: settings or input unusable.
    """
    outcomes, options = _Outcomes(), _options("plan", place, PLANNED)
    options = replace(options, conduct=replace(options.conduct, plan=True))
    async with _opened(records, options) as (items, details), options.targets(_aws(place)) as targets:
        await Batch(items, options, observer=outcomes, **details).run(targets)
    return outcomes.found


class _Outcomes(Observer):
    """Keeps what the journal says at the end."""

    def __init__(self) -> None:
        self.found: list[Outcome] = []

    async def ended(self, journal: Journal) -> None:
        self.found = await anyio.to_thread.run_sync(lambda: list(journal.outcomes()))


async def validate(records: Input, **settings: Unpack[Offline]) -> list[Checked]:
    """Check a batch offline: one :class:`Checked` a record, in input order, with everything that was found.

    Args:
        settings: see :class:`Offline`.

    Raises:
        UsageError, InputError: settings or the input as a whole unusable.
    """
    options = _options("validate", settings, OFFLINE)
    target = Target(settings.get("account") or "", settings.get("region") or "")
    template = options.template
    checker = Checker(options.checks, target=target, also=SOURCE_RULES)
    fill = template.filler(target) if template else lambda record: record
    found: list[Checked] = []
    async with _opened(records, options) as (items, _):
        if isinstance(items, AsyncIterable):
            async for record in items:
                found.append(checker.check(fill(record)))
        else:
            found.extend(await asyncio.to_thread(lambda: [checker.check(fill(record)) for record in items]))
    for amendment in (amendment for checked in found for amendment in checked.amends):
        earlier = found[amendment.number]
        earlier.status, earlier.change = amendment.status, None
        earlier.findings += (amendment.finding,)
    return found


@asynccontextmanager
async def _opened(
    records: Input, options: Options
) -> AsyncIterator[tuple[Iterable[Record] | AsyncIterable[Record], dict[str, Any]]]:
    """The records of any input, and what a journal says of it."""
    template = options.template
    named = template is None or template.name is None
    if isinstance(records, str | os.PathLike):
        with open_input(records, format=options.reading.format, template=template) as source:
            yield source, {"name": source.name, "columns": lambda: source.columns, "digest": lambda: source.sha256}
    elif isinstance(records, AsyncIterable):
        async with aclosing(_converted(records, named)) as converted:
            yield converted, {}
    else:
        yield (as_record(item, number, name_required=named) for number, item in enumerate(records)), {}


async def _converted(records: AsyncIterable[Item], named: bool) -> AsyncGenerator[Record, None]:
    number = 0
    async for item in records:
        yield as_record(item, number, name_required=named)
        number += 1


class _Adopted(Aws):
    """The caller's own SES client in the place of all connections of a run: of one target, and never closed."""

    def __init__(self, connection: Connection, client: Any, account: str) -> None:
        self.connection, self._stack = connection, ExitStack()
        self._ses = self._stack.enter_context(adopt(client))
        self._target = Target(account, str(client.meta.region_name))

    async def __aexit__(self, *_: object) -> None:
        redaction.end()
        self._stack.close()

    def region(self) -> str:
        return self._target.region

    async def caller(self, region: str, account: str = "") -> Caller:
        return Caller(self._target.account, "the owner of the client")

    async def endpoint(self, region: str) -> str:
        return elsewhere(self._ses.client)

    async def ses(self, target: Target) -> Ses:
        if target != self._target:
            raise AccessRefused(
                f"the client is of {self._target}, the records of {target}",
                code="WrongRegion",
                hint="give each target its own client and its own call",
            )
        return self._ses

    async def renew(self, target: Target, used: Ses) -> Ses | None:
        return None


_OF_OTHER_CONNECTIONS = {"session", "profile", "endpoint_url", "role_arn", "external_id", "region", "regions"}


def _aws(settings: Own) -> Callable[[Connection], Aws]:
    client, account = settings.get("client"), settings.get("account", "")
    if client is None:
        if account:
            raise UsageError("account is for client", hint="expect_account refuses any other than the one named")
        return partial(Aws, session=settings.get("session"))
    if beside := sorted(name for name in _OF_OTHER_CONNECTIONS if settings.get(name)):
        raise UsageError(f"client is a connection already, so {', '.join(beside)} has no effect", hint="leave it out")
    if not account:
        raise UsageError("with client, account must name the 12 digits of the account that it belongs to")
    require_account(account)
    return partial(_Adopted, client=client, account=account)


def _options(call: str, settings: Mapping[str, Any], known: Collection[str]) -> Options:
    """Settings as a run's options; what is not given, or None, keeps the run's default.

    Raises UsageError for what is none of the settings known to the call, or cannot be one.
    """
    if unknown := settings.keys() - {*known, *Own.__annotations__}:
        raise UsageError(f"{call} has no setting {', '.join(sorted(unknown))}")
    given = {name: _value(name, value) for name, value in settings.items() if value is not None}
    for name in Own.__annotations__.keys() - {"region"}:
        given.pop(name, None)
    if region := given.pop("region", None):
        given.setdefault("regions", (region,))
    options = Options().changed(given)
    return replace(options, template=_template(options.reading))


def _value(name: str, value: Any) -> Any:
    """A setting's value as the room has it that acts by it; the API takes more types than one."""
    kind = RUN.get(name)
    if kind == tuple[Path, ...]:
        return tuple(map(Path, value))
    if kind == tuple[str, ...]:
        return (value,) if isinstance(value, str) else tuple(value)
    if kind == Path | None:
        return Path(value)
    if name == "max_failures" and not 0 < value < 1:
        if value < 0 or value != int(value):
            raise UsageError("`max_failures` is a number of records or, between 0 and 1, a share of those attempted")
        return int(value)
    return value


def _template(reading: Reading) -> Template | None:
    return Template.of(reading.policy_template, reading.policy_name)
