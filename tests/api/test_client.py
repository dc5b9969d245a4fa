"""``batchpol.Client`` in a service: one of everything for all callers, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import batchpol
from batchpol.batch import desk
from batchpol.journal import outcomes as outcomes_of
from batchpol.journal import read
from batchpol.model.errors import JournalLocked
from batchpol.sending import sharing
from batchpol.testing import Sandbox
from tests.api.conftest import ACCOUNT, SOON, eventually, item, items, policy, puts

QUICK: dict[str, Any] = {"period": SOON, "staleness": 0}


def operations(sandbox: Sandbox) -> Counter[str]:
    return Counter(it.operation for it in sandbox.arrivals)


async def test_put_and_delete(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(**QUICK) as client:
        put = await client.put("a.example", "sending", policy("a.example"))
        same = await client.put({"Identity": "a.example", "PolicyName": "sending", "Policy": policy("a.example")})
        gone = await client.delete("a.example", "sending")
        again = await client.delete(batchpol.Record("a.example", "sending"))
        bad = await client.put("a.example", "no good", "{")
    assert [it.status for it in (put, same, gone, again)] == ["applied", "unchanged", "applied", "unchanged"]
    assert (bad.status, len(bad.findings) >= 2) == ("rejected", True)
    assert operations(ses_sandbox)["GetCallerIdentity"] == 1
    assert client.pending == batchpol.Pending(0, 0.0)
    assert client.unfinished() == []


async def test_all_calls_within_share_what_there_is_once(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(**QUICK) as client:
        results = await asyncio.gather(*(client.apply([it]) for it in items(5)), client.apply(items(9)[5:8]))
        outcomes = [it async for it in client.stream(items(9)[8:])]
        planned = await client.plan(items(9))
        await client.put(item("late.example"))
    assert {it.exit_code for it in results} == {0}
    assert [it.status for it in outcomes] == ["applied"]
    assert {it.effect for it in planned} == {"unchanged"}
    assert operations(ses_sandbox)["GetCallerIdentity"] == 1
    assert sorted(puts(ses_sandbox)) == sorted([*(it["Identity"] for it in items(9)), "late.example"])


async def test_what_a_client_is_told_holds_for_its_calls_unless_these_are_told_otherwise(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(**QUICK, policy_name="made", compare=False, journal="book.jsonl") as client:
        nameless = {"identity": "a.example", "policy": policy("a.example")}
        await client.put(nameless)
        assert (await client.apply([nameless])).journal is None
        assert operations(ses_sandbox)["GetIdentityPolicies"] == 0
        await client.apply([nameless], compare=True)
        assert operations(ses_sandbox)["GetIdentityPolicies"] == 1
        with pytest.raises(batchpol.UsageError, match="apply has no setting region") as refused:
            await client.apply([nameless], region="eu-west-1")  # type: ignore[call-arg]
    assert "give it to the client" in refused.value.hint
    assert puts(ses_sandbox) == ["a.example"] * 2


async def test_a_template_makes_what_a_put_does_not_bring(ses_sandbox: Sandbox) -> None:
    template = policy("{{identity}}", Sid="{{tenant}}")
    async with batchpol.Client(**QUICK, policy_template=template, policy_name="of-{{tenant}}") as client:
        outcome = await client.put({"identity": "a.example", "tenant": "t7"})
    assert (outcome.status, outcome.policy_name, outcome.extra) == ("applied", "of-t7", {"tenant": "t7"})


async def test_an_export_goes_through_the_same_gates(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(**QUICK) as client:
        await client.apply(items(3))
        result = await client.export("all.jsonl", match="*.example")
        again = [it async for it in client.stream("all.jsonl")]
        with pytest.raises(batchpol.UsageError, match="export has no setting journal"):
            await client.export("more.jsonl", journal="x")  # type: ignore[call-arg]
    assert (result.exit_code, result.identities, result.policies) == (0, 3, 3)
    assert [it.status for it in again] == ["unchanged"] * 3
    assert operations(ses_sandbox)["GetCallerIdentity"] == 1
    alone = await batchpol.export("alone.jsonl", identities=["tenant001.example"], period=0.01)
    assert (alone.exit_code, alone.policies) == (0, 1)
    with pytest.raises(batchpol.UsageError, match="export has no setting journal"):
        await batchpol.export("more.jsonl", journal="x")  # type: ignore[call-arg]


# -- the journal -----------------------------------------------------------------------------------------------


async def test_the_journal_tells_of_each_as_a_batchs_does(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(**QUICK, journal="book.jsonl") as client:
        await client.put(item("a.example"))
        await client.put(item("b.example", "no good"))
        await client.delete("a.example", "tenant")
        await client.put(item("c.example"))
    kinds = [type(entry).__name__ for _, entry in read("book.jsonl")]
    assert kinds[:2] == ["Run", "Planned"]
    assert kinds[-1] == "End"
    assert Counter(kinds) == {
        "Run": 1, "Planned": 1, "RecordEntry": 4, "Before": 3, "Intent": 3, "OutcomeEntry": 3, "End": 1,
    }  # fmt: skip
    rows = list(outcomes_of("book.jsonl"))
    assert [(it.identity, it.status) for it in rows] == [
        ("a.example", "applied"), ("b.example", "rejected"), ("a.example", "applied"),
        ("c.example", "applied"),
    ]  # fmt: skip
    undone = await asyncio.to_thread(command, "undo", "book.jsonl")
    assert [json.loads(line)["identity"] for line in undone.stdout.splitlines()] == ["c.example"]
    standing = await asyncio.to_thread(command, "status", "book.jsonl")
    assert standing.returncode == 0


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "batchpol", *arguments]
    return subprocess.run(run, capture_output=True, text=True, check=True)


CRASHING = """
import asyncio, os, signal, sys, batchpol
from tests.api.conftest import items

async def main():
    async with batchpol.Client(period=0.2, staleness=0, journal="book.jsonl") as client:
        for record in client.unfinished()[1:]:
            asyncio.create_task(client.put(record))
        for it in items(int(sys.argv[1]))[-6:]:
            asyncio.create_task(client.put(it))
        await asyncio.sleep(0.75)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_nothing_that_was_asked_for_is_forgotten_whenever_it_dies(ses_sandbox: Sandbox) -> None:
    """Killed twice: what the first process did not do, and the second one neither, the third one tells of."""
    root = str(Path(batchpol.__file__).parents[1])
    for count in (6, 12):
        crash = [sys.executable, "-c", CRASHING, str(count)]
        died = await asyncio.create_subprocess_exec(*crash, env={**os.environ, "PYTHONPATH": root})
        assert await died.wait() == -signal.SIGKILL
    stored = {owner.identity for owner, found in ses_sandbox.store.policies.items() if found}
    assert 0 < len(stored) < 12
    async with batchpol.Client(**QUICK, journal="book.jsonl") as client:
        left = client.unfinished()
        assert stored | {it.identity for it in left} == {it["Identity"] for it in items(12)}
        outcomes = await asyncio.gather(*map(client.put, left))
        assert {it.status for it in outcomes} <= {"applied", "unchanged"}
        assert client.unfinished() == []
    async with batchpol.Client(**QUICK, journal="book.jsonl") as client:
        assert client.unfinished() == []
    assert len({owner.identity for owner, found in ses_sandbox.store.policies.items() if found}) == 12


async def test_after_an_end_that_was_not_clean_reads_and_writes_wait_a_period(ses_sandbox: Sandbox) -> None:
    """The file that processes share does not help where it is not used, or was on another host."""
    alone = {"share": False, "staleness": 0}
    async with batchpol.Client(**alone, period=SOON, journal="book.jsonl") as client:
        await client.put(item("a.example"))
        await asyncio.to_thread(shutil.copy, "book.jsonl", "cut-off.jsonl")
    for journal, waits in (("cut-off.jsonl", True), ("book.jsonl", False)):
        ses_sandbox.arrivals.clear()
        async with batchpol.Client(**alone, period=0.6, journal=journal) as client:
            opened = time.monotonic()
            await client.put(item("late.example" if waits else "soon.example"))
        first = {it.operation: it.at - opened for it in reversed(ses_sandbox.arrivals)}
        assert all((first[name] > 0.5) == waits for name in ("GetIdentityPolicies", "PutIdentityPolicy")), journal


async def test_what_was_taken_back_or_refused_is_not_unfinished(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(period=0.3, staleness=0, journal="book.jsonl") as client:
        tasks = [asyncio.create_task(client.put(it)) for it in [*items(3), item("bad one")]]
        await asyncio.sleep(0.2)
        tasks[2].cancel()
        await asyncio.wait(tasks)
    async with batchpol.Client(**QUICK, journal="book.jsonl") as client:
        assert client.unfinished() == []
    assert puts(ses_sandbox) == [it["Identity"] for it in items(2)]


async def test_who_is_cancelled_while_it_is_written_down_takes_nobody_along(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(**QUICK, journal="book.jsonl") as client:
        for passes in range(12):
            asked = [item(f"first{passes}.example"), item("bad one"), item(f"other{passes}.example")]
            *leaving, other = [asyncio.create_task(client.put(it)) for it in asked]
            for _ in range(passes):
                await asyncio.sleep(0)
            for task in leaving:
                task.cancel()
            assert (await other).status is batchpol.Status.APPLIED
    applied = {it.identity for it in outcomes_of("book.jsonl") if it.status is batchpol.Status.APPLIED}
    assert applied == set(puts(ses_sandbox))


async def test_a_journal_is_one_clients_and_of_one_place(ses_sandbox: Sandbox, environment: pytest.MonkeyPatch) -> None:
    async with batchpol.Client(**QUICK, journal="book.jsonl"):
        with pytest.raises(JournalLocked):
            async with batchpol.Client(**QUICK, journal="book.jsonl"):
                pass
    with pytest.raises(batchpol.JournalError, match="belongs to another place"):
        async with batchpol.Client(**QUICK, journal="book.jsonl", region="eu-west-1"):
            pass


async def test_a_journal_that_cannot_be_written_any_more_ends_all(
    ses_sandbox: Sandbox, environment: pytest.MonkeyPatch
) -> None:
    with pytest.raises(batchpol.JournalError):
        async with batchpol.Client(**QUICK, journal="book.jsonl") as client:
            await client.put(item("a.example"))
            await asyncio.to_thread(Path("book.jsonl").unlink)
            for number in range(50):
                await client.put(item(f"b{number}.example"))
                await asyncio.sleep(0.05)
    assert "b49.example" not in puts(ses_sandbox)


# -- its end ---------------------------------------------------------------------------------------------------


async def test_leaving_the_block_drains(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(period=0.05, staleness=0) as client:
        tasks = [asyncio.create_task(client.put(it)) for it in items(8)]
        await asyncio.sleep(0.01)
    assert [(await task).status for task in tasks] == ["applied"] * 8


async def test_leaving_the_block_tells_what_is_left(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(period=0.3, staleness=0, drain=0.4, journal="book.jsonl") as client:
        tasks = [asyncio.create_task(client.put(it)) for it in items(8)]
        await asyncio.sleep(0.01)
    outcomes = [await task for task in tasks]
    done = len(puts(ses_sandbox))
    assert 1 <= done < 5
    assert [it.status for it in outcomes] == ["applied"] * done + ["not_attempted"] * (8 - done)
    left = client.unfinished()
    assert [it.identity for it in left] == [it["Identity"] for it in items(8)[done:]]
    async with batchpol.Client(**QUICK, journal="book.jsonl") as client:
        assert [it.policy for it in client.unfinished()] == [it.policy for it in left]


async def test_an_error_in_the_block_drains_and_a_cancelled_block_does_not(ses_sandbox: Sandbox) -> None:
    tasks: list[asyncio.Task[batchpol.Outcome]] = []

    async def serve(first: int, error: Exception | None) -> None:
        async with batchpol.Client(period=0.1, staleness=0) as client:
            tasks[:] = [asyncio.create_task(client.put(it)) for it in items(20)[first : first + 5]]
            await asyncio.sleep(0.05)
            if error:
                raise error
            await asyncio.sleep(3600)

    with pytest.raises(ValueError, match="mine"):
        await serve(0, ValueError("mine"))
    assert [(await task).status for task in tasks] == ["applied"] * 5
    serving = asyncio.create_task(serve(5, None))
    await eventually(lambda: len(puts(ses_sandbox)) > 5)
    serving.cancel()
    await asyncio.wait([serving])
    assert serving.cancelled()
    assert len(puts(ses_sandbox)) < 10
    assert {(await task).status for task in tasks} <= {"applied", "unknown", "not_attempted"}


async def test_a_drain_that_is_cancelled_leaves_nobody_waiting(ses_sandbox: Sandbox) -> None:
    tasks: list[asyncio.Task[batchpol.Outcome]] = []

    async def serve() -> None:
        async with batchpol.Client(period=0.5, staleness=0, drain=60) as client:
            tasks[:] = [asyncio.create_task(client.put(it)) for it in items(4)]
            await asyncio.sleep(0.01)

    serving = asyncio.create_task(serve())
    await eventually(lambda: puts(ses_sandbox))
    serving.cancel()
    await asyncio.wait([serving])
    assert serving.cancelled()
    found = await asyncio.wait_for(asyncio.gather(*tasks), 1)
    assert [it.status for it in found] == ["applied", *["not_attempted"] * 3]


async def test_opening_that_is_cancelled_lets_go_of_the_journal(
    ses_sandbox: Sandbox, environment: pytest.MonkeyPatch
) -> None:
    begun, go_on, real = threading.Event(), threading.Event(), desk.take_up

    def slow(*arguments: Any, **more: Any) -> Any:
        begun.set()
        go_on.wait(5)
        return real(*arguments, **more)

    environment.setattr(desk, "take_up", slow)
    opening = asyncio.create_task(batchpol.Client(**QUICK, journal="book.jsonl").__aenter__())
    await eventually(begun.is_set)
    opening.cancel()
    go_on.set()
    await asyncio.wait([opening])
    assert opening.cancelled()
    async with batchpol.Client(**QUICK, journal="book.jsonl") as client:
        assert (await client.put(item("a.example"))).status == "applied"


# -- what is told --------------------------------------------------------------------------------------------------


class Told(batchpol.ContactObserver):
    def __init__(self) -> None:
        self.events: list[str] = []

    def noted(self, target: batchpol.Target, text: str) -> None:
        self.events.append(text.partition(":")[0])

    def throttled(self, target: batchpol.Target) -> None:
        self.events.append("throttled")

    def paced(self, target: batchpol.Target, period: float) -> None:
        self.events.append("paced")

    def renewed(self, target: batchpol.Target) -> None:
        self.events.append("renewed")


async def test_the_log_and_an_observer_hear_of_throttling_of_the_pace_and_of_renewals(
    ses_sandbox: Sandbox, environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)
    log = logging.getLogger("batchpol")
    assert [(type(it), log.level) for it in log.handlers] == [(logging.NullHandler, logging.NOTSET)], "it is not ours"
    save_credentials("OLD")
    ses_sandbox.change(faults_at={"throttle@PutIdentityPolicy": [2, 3]})
    caplog.set_level("INFO", "batchpol")
    told = Told()
    async with batchpol.Client(**QUICK, compare=False, observer=told) as client:
        await asyncio.gather(*map(client.put, items(4)))
        save_credentials("NEW")
        ses_sandbox.change(faults_at={"expired_token@PutIdentityPolicy": [1 + len(puts(ses_sandbox))]})
        assert (await client.put(item("last.example"))).status == "applied"
    assert Counter(told.events) >= Counter({"throttled": 2, "paced": 1, "somebody else uses this quota": 1})
    assert told.events[-1] == "renewed"
    heard = [(it.levelname, it.message.partition(": ")[2]) for it in caplog.records if it.name == "batchpol"]
    words = {"throttled": "SES refused", "paced": "requests leave", "renewed": "the credentials were renewed"}
    for (level, text), event in zip(heard, told.events, strict=True):
        assert (level, text.startswith(words.get(event, event))) == ("INFO" if event in words else "WARNING", True)


async def test_an_observer_that_raises_stops_nothing(ses_sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(batchpol.ContactObserver):
        def throttled(self, target: batchpol.Target) -> None:
            raise OSError("the metrics are gone")

    ses_sandbox.change(faults_at={"throttle@PutIdentityPolicy": [2]})
    async with batchpol.Client(**QUICK, observer=Wrong()) as client:
        outcomes = await asyncio.gather(*map(client.put, items(3)))
    assert {it.status for it in outcomes} == {"applied"}
    assert "the metrics are gone" in caplog.text


async def test_where_processes_cannot_take_turns_the_log_says_so_once(
    ses_sandbox: Sandbox, environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment.setattr(sharing, "_folder", lambda: Path("/dev/null/places"))
    async with batchpol.Client(**QUICK) as client:
        await asyncio.gather(*map(client.put, items(3)))
    (said,) = (it for it in caplog.records if it.name == "batchpol")
    assert (said.levelname, "other runs on this machine are not known" in said.message) == ("WARNING", True)


def save_credentials(key: str) -> None:
    text = f"[default]\naws_access_key_id={key}\naws_secret_access_key=s\naws_session_token=t\n"
    Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).write_text(text, "utf-8")


# -- where it may be used --------------------------------------------------------------------------------------


async def test_it_is_open_within_its_block_only(ses_sandbox: Sandbox) -> None:
    client = batchpol.Client(**QUICK)
    for _ in range(2):
        with pytest.raises(batchpol.UsageError, match="within its block only"):
            await client.put(item("a.example"))
        with pytest.raises(batchpol.UsageError, match="within its block only"):
            await client.apply([])
        async with client:
            pass


@pytest.mark.parametrize("journal", [None, "book.jsonl"])
async def test_it_is_opened_once_at_a_time(ses_sandbox: Sandbox, journal: str | None) -> None:
    client = batchpol.Client(**QUICK, journal=journal)
    for status in ("applied", "unchanged"):
        async with client:
            with pytest.raises(batchpol.UsageError, match="open already"):
                async with client:
                    pass
            assert (await client.put(item("a.example"))).status == status


async def test_another_event_loop_gets_a_clear_error(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(**QUICK) as client:
        await client.put(item("a.example"))
        with pytest.raises(batchpol.UsageError, match="another one"):
            await asyncio.to_thread(lambda: asyncio.run(client.put(item("b.example"))))


async def test_a_fork_gets_a_clear_error(ses_sandbox: Sandbox) -> None:
    async with batchpol.Client(**QUICK) as client:
        await client.put(item("a.example"))
        said = multiprocessing.get_context("fork").SimpleQueue()
        child = os.fork()
        if not child:
            try:
                client.put(item("b.example")).send(None)
            except batchpol.UsageError as error:
                said.put(str(error))
            try:
                client.__aexit__(None, None, None).send(None)
            except StopIteration:
                said.put("left")
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
        assert "forked" in said.get()
        assert said.get() == "left"
        await client.put(item("c.example"))
    assert puts(ses_sandbox) == ["a.example", "c.example"]


async def test_where_there_are_no_credentials_the_first_call_says_so(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with batchpol.Client(**QUICK) as client:
        for _ in range(2):
            with pytest.raises(batchpol.UsageError, match="credentials"):
                await client.put(item("a.example"))
    with pytest.raises(batchpol.UsageError, match="credentials"):
        async with batchpol.Client(**QUICK, journal="book.jsonl"):
            pass


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_pending": 0}, "`max_pending` takes a whole number, at least 1"),
        ({"drain": "5m"}, "`drain` takes a number of seconds"),
        ({"limit": 5}, "Client has no setting limit"),
        ({"account": ACCOUNT}, "account is for client"),
    ],
)
def test_settings_that_are_unusable(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(batchpol.UsageError, match=said):
        batchpol.Client(**settings)
