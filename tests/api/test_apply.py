"""``batchpol.apply`` in a service that has its own event loop, session, logging and cancellation."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

import batchpol
import batchpol.api.client
from batchpol.model.errors import JournalLocked, TargetMismatch
from batchpol.testing import Sandbox
from tests.api.conftest import ACCOUNT, SOON, eventually, item, items, policy, puts


def generated() -> Iterator[dict[str, Any]]:
    yield from items(3)


async def fetched() -> AsyncIterator[dict[str, Any]]:
    for it in items(3):
        await asyncio.sleep(0)
        yield it


def as_records() -> list[batchpol.Record]:
    return [batchpol.Record(it["Identity"], it["PolicyName"], json.dumps(it["Policy"])) for it in items(3)]


def save(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def as_file() -> Path:
    return save(Path("three.jsonl"), "".join(json.dumps(it) + "\n" for it in items(3)))


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("make", [lambda: items(3), generated, fetched, as_records, as_file, lambda: str(as_file())])
async def test_records_of_every_kind(make: Callable[[], Any], ses_sandbox: Sandbox) -> None:
    result = await batchpol.apply(make(), period=SOON)
    assert result.summary.counts == {batchpol.Status.APPLIED: 3}
    assert (result.exit_code, result.reason, result.journal, result.reports) == (0, "finished", None, ())
    assert puts(ses_sandbox) == [it["Identity"] for it in items(3)]


async def test_no_records_are_no_error(ses_sandbox: Sandbox) -> None:
    result = await batchpol.apply([])
    assert result.summary.records == 0
    assert result.exit_code == 0


async def test_it_is_a_quiet_guest(capfd: pytest.CaptureFixture[str], ses_sandbox: Sandbox) -> None:
    """It prints nothing, installs no signal handler and leaves logging alone, when all goes well and when not."""
    heard: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = heard.append  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    handlers, level = list(root.handlers), root.level
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    installed = [signal.getsignal(number) for number in numbers]
    during = []

    def watched() -> Iterator[dict[str, Any]]:
        for it in [*items(2), item("bad identity"), item("unverified.invalid")]:
            during.append([signal.getsignal(number) for number in numbers])
            yield it

    try:
        result = await batchpol.apply(watched(), period=SOON)
        assert root.handlers == handlers
        assert root.level == level
    finally:
        root.removeHandler(handler)
    assert result.exit_code == 1
    assert set(map(tuple, during)) == {tuple(installed)}
    assert [signal.getsignal(number) for number in numbers] == installed
    assert capfd.readouterr() == ("", "")
    assert [it.getMessage() for it in heard if it.levelno >= logging.WARNING] == []


async def test_two_batches_share_a_loop(ses_sandbox: Sandbox) -> None:
    one, other = items(8)[:4], items(8)[4:]
    results = await asyncio.gather(
        batchpol.apply(one, period=SOON, journal="one.jsonl"), batchpol.apply(other, period=SOON, journal="other.jsonl")
    )
    assert [it.summary.counts for it in results] == [{batchpol.Status.APPLIED: 4}] * 2
    assert sorted(puts(ses_sandbox)) == [it["Identity"] for it in items(8)]


async def test_reports_and_a_journal_if_asked_for(ses_sandbox: Sandbox) -> None:
    reports = [Path("out.csv"), Path("out.jsonl")]
    result = await batchpol.apply(items(2), period=SOON, journal="book.jsonl", reports=reports)
    assert result.reports == tuple(reports)
    assert result.journal == Path("book.jsonl")
    assert [lines_of(path) for path in reports] == [3, 2]
    again = await batchpol.apply(items(2), period=SOON, journal="book.jsonl")
    assert again.summary.counts == {batchpol.Status.UNCHANGED: 2}
    assert len(puts(ses_sandbox)) == 2, "what the journal says is done is not sent again"


# -- whose session, whose client -------------------------------------------------------------------------------


async def test_the_callers_own_session(ses_sandbox: Sandbox, environment: pytest.MonkeyPatch) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    session = AioSession()
    session.set_credentials("AKIATHEIROWNSESSION0", "secret")
    result = await batchpol.apply(items(1), session=session, period=SOON)
    assert result.exit_code == 0
    assert {it.access_key for it in ses_sandbox.arrivals} == {"AKIATHEIROWNSESSION0"}


async def test_the_callers_own_client(ses_sandbox: Sandbox) -> None:
    """All requests go through it, STS is not asked, and it stays open and as it was."""
    once = AioConfig(retries={"total_max_attempts": 1, "mode": "standard"})
    async with AioSession().create_client("ses", region_name="us-east-1", config=once) as client:
        for batch in (items(2), items(3)[2:]):
            result = await batchpol.apply(batch, client=client, account=ACCOUNT, period=SOON)
            assert result.exit_code == 0
        assert puts(ses_sandbox) == [it["Identity"] for it in items(3)]
        assert "GetCallerIdentity" not in {it.operation for it in ses_sandbox.arrivals}
        answer = await client.get_identity_policies(Identity="tenant000.example", PolicyNames=["tenant"])
        assert json.loads(answer["Policies"]["tenant"]) == policy("tenant000.example")


async def test_a_client_is_of_one_target(ses_sandbox: Sandbox) -> None:
    once = AioConfig(retries={"total_max_attempts": 1})
    elsewhere = "arn:aws:ses:eu-west-1:123456789012:identity/b.example"
    records = [item("a.example"), {**item(elsewhere), "Policy": policy("b.example", Resource=elsewhere)}]
    async with AioSession().create_client("ses", region_name="us-east-1", config=once) as client:
        result = await batchpol.apply(records, client=client, account=ACCOUNT, period=SOON)
    assert result.exit_code == 3
    assert "the client is of 123456789012/us-east-1, and the records are of 123456789012/eu-west-1" in result.reason
    assert puts(ses_sandbox) == ["a.example"]


async def test_a_client_that_would_not_do(ses_sandbox: Sandbox) -> None:
    async with AioSession().create_client("ses", region_name="us-east-1") as retrying:
        once = AioConfig(retries={"total_max_attempts": 1})
        async with AioSession().create_client("ses", region_name="us-east-1", config=once) as client:
            for settings, said in [
                ({"client": retrying, "account": ACCOUNT}, "would not pass the gate"),
                ({"client": client}, "the 12 digits"),
                ({"client": client, "account": ACCOUNT, "profile": "x"}, "profile has no effect"),
                ({"client": "ses", "account": ACCOUNT}, "no SES client"),
                ({"account": ACCOUNT}, "account is for client"),
            ]:
                with pytest.raises(batchpol.UsageError, match=said):
                    await batchpol.apply(items(1), **settings)  # type: ignore[arg-type]
    assert not ses_sandbox.arrivals


# -- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "kind", "said"),
    [
        ({"expect_account": "999999999999"}, TargetMismatch, "not to the expected 999999999999"),
        ({"expect_account": "9999-9999-9999"}, batchpol.UsageError, "`expect_account` .* no account id"),
        ({"region": "us-east-1a"}, batchpol.UsageError, "`region` .* no Region"),
        ({"regions": ["us-east-1", "us-esat-1"]}, batchpol.UsageError, "`region` .* no Region"),
        ({"nonsense": 1}, batchpol.UsageError, "no setting nonsense"),
        ({"select": ["nonsense"]}, batchpol.UsageError, "no finding code"),
        ({"period": 0}, batchpol.UsageError, "more than 0"),
        ({"max_failures": 2.5}, batchpol.UsageError, "a number of records or"),
        ({"max_failures": -1}, batchpol.UsageError, "a number of records or"),
        ({"profile": "nope"}, batchpol.UsageError, "nope"),
        ({"reports": ["out.pdf"]}, batchpol.UsageError, "no report format"),
        ({"reports": ["no/where.csv"]}, batchpol.UsageError, "a folder that is not there"),
        ({"reports": ["a.jsonl"], "journal": "a.jsonl"}, batchpol.UsageError, "a.jsonl is the journal itself"),
    ],
)
async def test_settings_that_are_unusable(
    settings: dict[str, Any], kind: type[Exception], said: str, ses_sandbox: Sandbox
) -> None:
    with pytest.raises(kind, match=said):
        await batchpol.apply(items(1), **settings)
    assert puts(ses_sandbox) == []
    assert os.listdir() == []


@pytest.mark.parametrize("none", [0, 0.0])
async def test_no_failures_at_all_is_a_number_and_no_share(ses_sandbox: Sandbox, none: float) -> None:
    """A share says nothing of fewer than twenty records."""
    ses_sandbox.change(faults={"invalid_identity@PutIdentityPolicy": 1})
    result = await batchpol.apply(items(9), period=SOON, max_failures=none, compare=False)
    assert (result.exit_code, "records failed, more than" in result.reason) == (3, True)
    assert len(puts(ses_sandbox)) < 5


async def test_a_region_is_needed(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("AWS_REGION")
    environment.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(batchpol.UsageError, match="no AWS Region"):
        await batchpol.apply(items(1))


async def test_inputs_that_are_unusable(tmp_path: Path) -> None:
    save(tmp_path / "empty.csv", "")
    for path, said in (("none.csv", "no such file"), (Path("empty.csv"), "is empty")):
        with pytest.raises(batchpol.InputError, match=said):
            await batchpol.apply(path)


async def test_a_journal_is_one_runs(ses_sandbox: Sandbox) -> None:
    first = asyncio.create_task(batchpol.apply(items(3), journal="book.jsonl"))
    await eventually(lambda: puts(ses_sandbox))
    with pytest.raises(JournalLocked):
        await batchpol.apply(items(3), journal="book.jsonl")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_what_the_callers_own_code_raises_comes_out_as_it_is(ses_sandbox: Sandbox) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from items(1)
        raise LookupError("the database is gone")

    async def broken_too() -> AsyncIterator[dict[str, Any]]:
        yield items(1)[0]
        raise LookupError("the database is gone")

    for records in (broken(), broken_too()):
        with pytest.raises(LookupError, match="the database is gone"):
            await batchpol.apply(records)
    assert puts(ses_sandbox) == []


# -- cancellation ----------------------------------------------------------------------------------------------


async def test_cancelled_while_sending_it_can_go_on_later(ses_sandbox: Sandbox) -> None:
    task = asyncio.create_task(batchpol.apply(items(3), journal="book.jsonl"))
    await eventually(lambda: puts(ses_sandbox))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: ses_sandbox.connections == 0)
    result = await batchpol.apply(items(3), journal="book.jsonl", period=SOON)
    # The one under way took effect or not; if it did, it is there already.
    assert result.summary.records == 3
    assert result.summary.counts.keys() <= {batchpol.Status.APPLIED, batchpol.Status.UNCHANGED}


async def test_cancelled_by_a_time_limit(ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(faults={"stall_before@PutIdentityPolicy": 1.0})
    with anyio.move_on_after(0.5) as scope:
        await batchpol.apply(items(3))
    assert scope.cancelled_caught
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await batchpol.apply(items(3))


async def test_cancelled_before_anything_was_read(ses_sandbox: Sandbox) -> None:
    ses_sandbox.change(faults={"stall_before@GetCallerIdentity": 1.0})
    task = asyncio.create_task(batchpol.apply(items(1)))
    await eventually(lambda: ses_sandbox.arrivals)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_while_the_input_is_silent(ses_sandbox: Sandbox) -> None:
    """Both an asynchronous and a blocking one; the latter's thread ends when it speaks again."""
    closed, waiting, going_on = asyncio.Event(), threading.Event(), threading.Event()

    async def silent() -> AsyncIterator[dict[str, Any]]:
        try:
            yield items(1)[0]
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    def blocking() -> Iterator[dict[str, Any]]:
        yield items(1)[0]
        waiting.set()
        going_on.wait(10)
        yield items(2)[1]

    for records in (silent(), blocking()):
        waiting.clear()
        task = asyncio.create_task(batchpol.apply(records, journal="book.jsonl"))
        await eventually(waiting.is_set)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 3
    assert closed.is_set()
    going_on.set()
    assert puts(ses_sandbox) == []


async def test_others_have_their_turn_while_a_large_input_is_read(ses_sandbox: Sandbox) -> None:
    beats: list[float] = []  # by the clock of this thread alone: other processes may have the processor meanwhile

    async def many() -> AsyncIterator[dict[str, Any]]:
        beats.clear()  # what came before was opening a connection
        for it in items(3000):
            yield it
        beating.cancel()

    async def heartbeat() -> None:
        while True:
            beats.append(time.thread_time())
            await asyncio.sleep(0)

    beating = asyncio.create_task(heartbeat())
    await batchpol.apply(many(), dry_run=True)
    gaps = [later - earlier for earlier, later in pairwise(beats)]
    assert len(beats) >= 3000 / 100, "some of them in between"
    assert max(gaps) < (beats[-1] - beats[0]) / 2


async def test_a_result_has_its_outcomes(ses_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a list where they are few, else read again whenever they are gone through, also from no file of one's own."""
    batch = [*items(4), item("bad one"), items(1)[0]]
    few = await batchpol.apply(batch, period=SOON)
    assert [it.status for it in few.outcomes] == ["applied"] * 4 + ["rejected", "duplicate"]
    assert isinstance(few.outcomes, list)
    monkeypatch.setattr(batchpol.api.client, "OUTCOMES", 3)
    many = await batchpol.apply(batch, period=SOON)
    assert len(many.outcomes) == 6
    for _ in range(2):
        assert [it.status for it in many.outcomes] == ["unchanged"] * 4 + ["rejected", "duplicate"]
    with_journal = await batchpol.apply(batch, period=SOON, journal="book.jsonl")
    await batchpol.apply(batch, period=SOON, journal="book.jsonl")  # who keeps a result does not keep the lock
    await asyncio.to_thread(Path("book.jsonl").unlink)
    assert [it.number for it in with_journal.outcomes] == list(range(6))
