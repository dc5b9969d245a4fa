"""``batchpol.stream``: every record's outcome, once, as it happens."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

import batchpol
from batchpol import Status
from batchpol.testing import Sandbox
from tests.api.conftest import SOON, eventually, item, items, puts


async def collect(records: Any, **settings: Any) -> list[batchpol.Outcome]:
    return [outcome async for outcome in batchpol.stream(records, **settings)]


async def test_every_record_has_one_outcome(ses_sandbox: Sandbox) -> None:
    records = [
        item("first.example"),
        item("not an identity"),
        item("first.example"),
        item("unverified.invalid"),
        item("second.example"),
        item("clash.example"),
        {**item("clash.example"), "Policy": item("clash.example")["Policy"] | {"Id": "other"}},
        item("third.example"),
        item("beyond.example"),
    ]
    outcomes = await collect(records, period=SOON, limit=4)
    assert sorted(it.number for it in outcomes) == list(range(9))
    by_number = {it.number: it for it in outcomes}
    assert [by_number[number].status for number in range(9)] == [
        Status.APPLIED,
        Status.REJECTED,
        Status.DUPLICATE,
        Status.FAILED,
        Status.APPLIED,
        Status.REJECTED,
        Status.REJECTED,
        Status.APPLIED,
        Status.NOT_ATTEMPTED,
    ]
    assert [it.number for it in outcomes[:4]] == [1, 2, 5, 6], "first those that need no request"
    assert outcomes[-1].status is Status.NOT_ATTEMPTED
    assert by_number[3].message == "Identity unverified.invalid is not verified."
    assert by_number[0].identity == "first.example"
    assert by_number[0].request_id and by_number[0].attempts == 1


async def test_outcomes_come_as_they_happen(ses_sandbox: Sandbox) -> None:
    """At SES's own pace the first is there before the second is sent."""
    seen: list[tuple[int, float]] = []
    async for outcome in batchpol.stream(items(2), compare=False):
        seen.append((len(puts(ses_sandbox)), time.monotonic()))
        assert outcome.status is Status.APPLIED
    assert [count for count, _ in seen] == [1, 2]
    assert seen[1][1] - seen[0][1] > 0.8


async def test_a_slow_reader_misses_nothing(ses_sandbox: Sandbox) -> None:
    seen = []
    async for outcome in batchpol.stream([*items(20), *[item("bad one")] * 1200], period=SOON):
        if len(seen) % 100 == 0:
            await asyncio.sleep(0.005)
        seen.append(outcome.number)
    assert sorted(seen) == list(range(1220))


async def test_leaving_the_loop_ends_the_batch(ses_sandbox: Sandbox) -> None:
    async with aclosing(batchpol.stream(items(5))) as outcomes:
        async for _ in outcomes:
            break
    assert asyncio.all_tasks() == {asyncio.current_task()}, "at once, since aclosing waits for it"
    assert len(puts(ses_sandbox)) == 1

    async for _ in batchpol.stream(items(5)):
        break
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    await eventually(lambda: ses_sandbox.connections == 0)
    gc.collect()  # a transport left open would warn now


async def test_an_error_in_the_loops_body_ends_the_batch(ses_sandbox: Sandbox) -> None:
    with pytest.raises(LookupError):
        async with aclosing(batchpol.stream(items(5))) as outcomes:
            async for outcome in outcomes:
                raise LookupError(outcome.identity)
    assert len(puts(ses_sandbox)) == 1


async def test_a_cancelled_reader_ends_the_batch(ses_sandbox: Sandbox) -> None:
    task = asyncio.create_task(collect(items(5)))
    await eventually(lambda: puts(ses_sandbox))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: ses_sandbox.connections == 0)
    arrived = len(puts(ses_sandbox))
    await asyncio.sleep(0.01)
    assert len(puts(ses_sandbox)) == arrived


async def test_what_was_streamed_is_in_the_journal(ses_sandbox: Sandbox) -> None:
    """A reader that left can come back: it is told again of what was done, and of the rest as it happens."""
    async with aclosing(batchpol.stream(items(4), period=SOON, journal="book.jsonl")) as outcomes:
        first = [await anext(outcomes), await anext(outcomes)]
    assert {it.status for it in first} == {Status.APPLIED}
    again = await collect(items(4), period=SOON, journal="book.jsonl")
    assert sorted(it.number for it in again) == [0, 1, 2, 3]
    assert {it.status for it in again} <= {Status.APPLIED, Status.UNCHANGED}


async def test_errors_are_those_of_apply(ses_sandbox: Sandbox) -> None:
    with pytest.raises(batchpol.InputError, match="no such file"):
        await collect("none.csv")
    with pytest.raises(batchpol.UsageError, match="no setting nonsense"):
        await collect(items(1), nonsense=1)
    with pytest.raises(batchpol.UsageError, match="no finding code"):
        await collect(items(1), select=["nonsense"])

    async def broken() -> AsyncIterator[dict[str, Any]]:
        yield items(1)[0]
        raise LookupError("the database is gone")

    with pytest.raises(LookupError, match="the database is gone"):
        await collect(broken())
    assert puts(ses_sandbox) == []


async def test_a_run_that_ends_early_still_tells_of_every_record(ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(faults_at={"expired_token@PutIdentityPolicy": range(2, 99)})
    outcomes = await collect(items(4), period=SOON)
    statuses = {it.number: it.status for it in outcomes}
    assert len(outcomes) == 4
    assert statuses[0] is Status.APPLIED
    assert {statuses[number] for number in (1, 2, 3)} == {Status.NOT_ATTEMPTED}
