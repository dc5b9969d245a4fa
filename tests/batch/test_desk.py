"""A desk on a simulated network: who asks when, what arrives at the server, and what everybody is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from batchpol.batch.batch import Batch
from batchpol.batch.desk import Desk
from batchpol.batch.observer import Observer
from batchpol.batch.options import Options
from batchpol.model import Outcome, Status
from batchpol.model.errors import QueueFull
from batchpol.sending.targets import Targets
from batchpol.ses import Attempt
from batchpol.source import as_record
from tests.runs import document
from tests.sending.simulated import LOOK_UP, PUT, READ, Server, SimulatedAws, SimulatedSes, denied, kinds, server_error

pytestmark = pytest.mark.virtual_clock

ACCOUNT = "111122223333"
Opened = Callable[..., AbstractAsyncContextManager[Desk]]


def record(number: int, name: str = "sending", sid: str = "Mail", **more: Any) -> dict[str, Any]:
    identity = f"tenant-{number}.example"
    policy = document(identity, sid, account=ACCOUNT)
    return {"identity": identity, "policy_name": name, "policy": policy, **more}


@dataclass
class Slow(SimulatedSes):
    """One answer comes when the test wants it."""

    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def put(self, identity: str, policy_name: str, document: str, attempt: Attempt | None) -> str:
        answer = await super().put(identity, policy_name, document, attempt)
        if policy_name == "slow":
            await self.answers.wait()
        return answer


@dataclass
class Entering(SimulatedAws):
    """Whose SES is the test's own."""

    ses_of_all: SimulatedSes = field(kw_only=True)

    async def ses(self, target: object) -> SimulatedSes:
        return self.ses_of_all


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def desk(server: Server) -> Opened:
    """A desk that serves while the block lasts, and is closed and waited for at its end."""

    @asynccontextmanager
    async def opened(
        most: int = 100, network: dict[str, Any] | None = None, aws: SimulatedAws | None = None, **settings: Any
    ) -> AsyncIterator[Desk]:
        options = Options().changed({"staleness": 0, **settings})
        loop: Any = asyncio.get_running_loop()
        targets: Any = Targets(aws or SimulatedAws(server, network or {}), options.patience)
        made = Desk(targets, options, Observer(), most=most, wall=lambda: datetime.fromtimestamp(loop.wall_time(), UTC))
        await made.open()
        serving = asyncio.create_task(made.run())
        await made.ready.wait()
        try:
            yield made
        finally:
            made.close()
            await serving

    return opened


def arrived(server: Server) -> list[str]:
    return [it.name for it in server.arrivals if it.kind == PUT]


async def test_twenty_callers_at_once_are_served_in_order_one_a_second(desk: Opened, server: Server) -> None:
    told: list[int] = []

    async def ask(number: int) -> Outcome:
        outcome = await made.ask(record(number, f"name-{number}"))
        told.append(number)
        return outcome

    aws = SimulatedAws(server)
    async with desk(aws=aws) as made:
        outcomes = await asyncio.gather(*map(ask, range(20)))
    assert {it.status for it in outcomes} == {Status.APPLIED}
    assert arrived(server) == [f"name-{number}" for number in range(20)]
    assert told == list(range(20))
    times = [it.at for it in server.arrivals if it.kind == PUT]
    assert 19 / (times[-1] - times[0]) >= 0.97
    assert (server.refused, aws.asked, kinds(server)[LOOK_UP]) == (0, 1, 1)


async def test_twenty_batches_at_once_share_a_look_up(server: Server) -> None:
    options, aws = Options().changed({"staleness": 0}), SimulatedAws(server)
    targets: Any = Targets(aws, options.patience)  # type: ignore[arg-type]
    batches = [Batch([as_record(record(number), 0)], options) for number in range(21)]
    await batches.pop().run(targets)  # which finds out who we are, and opens connections
    await asyncio.sleep(1)
    server.arrivals.clear()
    begun = asyncio.get_running_loop().time()
    results = await asyncio.gather(*(batch.run(targets) for batch in batches))
    assert {result.exit_code for result in results} == {0}
    assert kinds(server) == {LOOK_UP: 1, READ: 20, PUT: 20}
    assert (server.refused, aws.asked) == (0, 1)
    assert asyncio.get_running_loop().time() - begun < 20.5


async def test_what_many_ask_of_one_identity_is_read_once_and_goes_in_order_of_asking(
    desk: Opened, server: Server
) -> None:
    asked = [record(number % 2, f"name-{number}") for number in range(12)]
    async with desk() as made:
        outcomes = await asyncio.gather(*map(made.ask, asked))
    assert {it.status for it in outcomes} == {Status.APPLIED}
    assert arrived(server) == [it["policy_name"] for it in asked]
    assert kinds(server) == {PUT: 12, READ: 2, LOOK_UP: 1}


async def test_what_is_there_is_not_written_again_and_who_wants_no_comparison_has_none(
    desk: Opened, server: Server
) -> None:
    async with desk() as made:
        assert [(await made.ask(record(1))).status for _ in range(2)] == [Status.APPLIED, Status.UNCHANGED]
    async with desk(compare=False) as made:
        assert [(await made.ask(record(1))).status for _ in range(2)] == [Status.APPLIED, Status.APPLIED]
    assert kinds(server)[PUT] == 3


async def test_two_puts_of_one_policy_keep_their_order(desk: Opened, server: Server) -> None:
    """The first one gets no answer at once; the second one is what is there in the end."""
    network = {"faults": {"sending": [server_error(), server_error(), None, None]}}
    async with desk(network=network) as made:
        outcomes = await asyncio.gather(
            made.ask(record(1, sid="First")), made.ask(record(2, "other")), made.ask(record(1, sid="Second"))
        )
    assert [it.status for it in outcomes] == [Status.APPLIED] * 3
    assert server.policies["tenant-1.example", "sending"] == record(1, sid="Second")["policy"]
    assert [it.effect for it in outcomes] == ["create", "create", "update"]


async def test_a_put_back_of_what_was_there_before_is_no_repetition(desk: Opened, server: Server) -> None:
    async with desk() as made:
        await made.ask(record(1, sid="Old"))
        outcomes = await asyncio.gather(*(made.ask(record(1, sid=sid)) for sid in ("New", "Old")))
    assert [it.effect for it in outcomes] == ["update", "update"]
    assert server.policies["tenant-1.example", "sending"] == record(1, sid="Old")["policy"]


async def test_the_same_document_asked_for_twice_at_once_is_sent_once(desk: Opened, server: Server) -> None:
    async with desk(compare=False) as made:
        first = [asyncio.create_task(made.ask(record(1))) for _ in range(3)]
        await asyncio.sleep(0.14)  # under way by now
        assert kinds(server)[PUT] == 1
        outcomes = [*await asyncio.gather(*first, made.ask(record(1, tenant="t2")))]
    assert {it.status for it in outcomes} == {Status.APPLIED}
    assert {it.number for it in outcomes} == {0}
    assert [it.extra for it in outcomes] == [{}, {}, {}, {"tenant": "t2"}], "each has what its own record brought along"
    assert kinds(server)[PUT] == 1


async def test_a_bad_record_is_an_outcome_with_findings(desk: Opened, server: Server) -> None:
    async with desk() as made:
        bad = [await made.ask(it) for it in (record(1, "no good"), record(2, policy="{"), {"identity": "a.example"})]
        await made.ask(record(3))
    assert [it.status for it in bad] == [Status.REJECTED] * 3
    assert all(it.findings for it in bad)
    assert [it.number for it in bad] == [0, 1, 2]
    assert kinds(server)[PUT] == 1


# -- taken back ------------------------------------------------------------------------------------------------


async def test_a_put_that_is_cancelled_while_it_waits_is_never_sent(desk: Opened, server: Server) -> None:
    async with desk() as made:
        tasks = [asyncio.create_task(made.ask(record(number, f"name-{number}"))) for number in range(6)]
        await asyncio.sleep(1.5)
        for task in tasks[3:5]:
            task.cancel()
        await asyncio.wait(tasks)
        assert made.pending.count == 0
        assert made.unfinished() == []
    assert [task.cancelled() for task in tasks] == [False, False, False, True, True, False]
    assert arrived(server) == ["name-0", "name-1", "name-2", "name-5"]
    times = [it.at for it in server.arrivals if it.kind == PUT]
    assert times[-1] - times[0] < 3.1, "nobody waits for those that were taken back"


async def test_a_put_that_is_cancelled_under_way_is_finished(desk: Opened, server: Server) -> None:
    async with desk(compare=False) as made:
        task = asyncio.create_task(made.ask(record(1)))
        await asyncio.sleep(0.1)
        assert kinds(server)[PUT] == 0
        task.cancel()
        await asyncio.wait([task])
        assert made.pending.count == 1
    assert made.pending.count == 0
    assert kinds(server)[PUT] == 1


async def test_what_two_wait_for_is_sent_though_one_of_them_is_cancelled(desk: Opened, server: Server) -> None:
    async with desk(compare=False) as made:
        first = asyncio.create_task(made.ask(record(1)))
        tasks = [asyncio.create_task(made.ask(record(2))) for _ in range(2)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        assert (await tasks[1]).status is Status.APPLIED
        await first
    assert kinds(server)[PUT] == 2


async def test_the_next_of_a_policy_begins_when_the_one_before_is_taken_back(desk: Opened, server: Server) -> None:
    async with desk(compare=False) as made:
        first = asyncio.create_task(made.ask(record(0)))
        old, new = (asyncio.create_task(made.ask(record(1, sid=sid))) for sid in ("Old", "New"))
        await asyncio.sleep(0.5)
        old.cancel()
        assert (await new).status is Status.APPLIED
        await first
    assert kinds(server)[PUT] == 2


# -- how much, how long ----------------------------------------------------------------------------------------


async def test_a_full_queue_says_so(desk: Opened) -> None:
    async with desk(most=5) as made:
        tasks = [asyncio.create_task(made.ask(record(number))) for number in range(5)]
        await asyncio.sleep(0)
        assert (made.pending.count, made.pending.seconds) == (5, 5.0)
        with pytest.raises(QueueFull, match=r"5 changes wait already.*`max_pending`.*5 s"):
            await made.ask(record(9))
        again = asyncio.create_task(made.ask(record(4)))  # asked for already, so that nothing is added
        assert len(await asyncio.gather(*tasks, again)) == 6


async def test_where_reads_and_writes_take_turns_what_is_pending_takes_as_long(desk: Opened, server: Server) -> None:
    server.shared = True
    async with desk(shared_quota=True) as made:
        tasks = [asyncio.create_task(made.ask(record(number % 3, f"name-{number}"))) for number in range(6)]
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0)
        said = made.pending
        await asyncio.gather(*tasks)
    assert (said.count, said.seconds) == (6, 9.0)
    assert asyncio.get_running_loop().time() - began == pytest.approx(said.seconds, abs=1.5)


async def test_who_is_stopped_before_the_queue_is_done_tells_what_is_left(desk: Opened, server: Server) -> None:
    async with desk() as made:
        tasks = [asyncio.create_task(made.ask(record(number, f"name-{number}"))) for number in range(10)]
        await asyncio.sleep(3.5)
        made.stop("closed", 3)
        outcomes = await asyncio.gather(*tasks)
        done = len(arrived(server))
        assert [it.status for it in outcomes] == [Status.APPLIED] * done + [Status.NOT_ATTEMPTED] * (10 - done)
        assert {it.error_code for it in outcomes[done:]} == {"Closed"}
        assert [it.policy_name for it in made.unfinished()] == [f"name-{number}" for number in range(done, 10)]


async def test_a_target_that_is_silent_ends_what_waits_and_the_next_one_tries_again(
    desk: Opened, server: Server
) -> None:
    server.down = (0.0, 1e9)
    async with desk(compare=False, max_outage=5.0) as made:
        outcomes = await asyncio.gather(*(made.ask(record(number, f"name-{number}")) for number in range(30)))
        assert {it.status for it in outcomes} <= {Status.NOT_ATTEMPTED, Status.UNKNOWN}
        assert {it.error_code for it in outcomes} == {"ServiceUnavailable"}
        assert len(made.unfinished()) == 30
        server.down = (0.0, 0.0)
        again = await asyncio.gather(*(made.ask(it) for it in made.unfinished()))
        assert {it.status for it in again} == {Status.APPLIED}
        assert made.unfinished() == []


async def test_an_hour_of_rest_is_no_outage(desk: Opened, server: Server) -> None:
    async with desk() as made:
        await made.ask(record(1))
        await asyncio.sleep(3600)
        now = asyncio.get_running_loop().time()
        server.down = (now, now + 20)
        assert (await made.ask(record(2))).status is Status.APPLIED


async def test_one_that_fails_alone_is_given_up_in_the_end(desk: Opened) -> None:
    """There are no others by which to tell an outage from a record that SES chokes on."""
    async with desk(compare=False, network={"faults": {"sending": [server_error()] * 20}}) as made:
        outcome = await made.ask(record(1))
    assert (outcome.status, outcome.attempts) == (Status.UNKNOWN, 8)


async def test_who_may_not_write_is_told_so(desk: Opened) -> None:
    async with desk(compare=False, network={"faults": {"sending": [denied("put")] * 9}}) as made:
        outcome = await made.ask(record(1))
        assert (outcome.status, outcome.error_code) == (Status.NOT_ATTEMPTED, "AccessDenied")
        assert (await made.ask(record(2, "other"))).status is Status.APPLIED


@pytest.mark.parametrize("names", [("again",), ("one", "two", "three")])
async def test_those_who_ask_while_a_lane_is_ending_have_another_one(
    desk: Opened, server: Server, names: tuple[str, ...]
) -> None:
    """That may end, in its turn, before the first one, whose last answer takes long."""
    ses = Slow(server, faults={name: [denied("put")] for name in ("denied", "again")})
    async with desk(compare=False, aws=Entering(server, ses_of_all=ses)) as made:
        first = [asyncio.create_task(made.ask(record(number, name))) for number, name in enumerate(("slow", "denied"))]
        await asyncio.sleep(5)  # the lane is ending
        then = [(await made.ask(record(9, name))).status for name in names]
        ses.answers.set()
        assert [(await it).status for it in first] == [Status.APPLIED, Status.NOT_ATTEMPTED]
        assert then == ([Status.NOT_ATTEMPTED] if names == ("again",) else [Status.APPLIED] * 3)
    assert len(made._feeds) == 0


async def test_a_stale_read_is_not_believed_while_others_go_on(desk: Opened, server: Server) -> None:
    """The second put of a policy reads the past, is read again later, and holds nobody up."""
    server.stale = 30.0
    async with desk(staleness=60.0) as made:
        await made.ask(record(1, sid="First"))
        second = asyncio.create_task(made.ask(record(1, sid="Second")))
        others = [await made.ask(record(number)) for number in range(2, 6)]
        assert not second.done()
        assert {it.status for it in others} == {Status.APPLIED}
        assert (await second).effect == "update"
    assert server.policies["tenant-1.example", "sending"] == record(1, sid="Second")["policy"]


async def test_two_hundred_callers_over_a_minute(desk: Opened, server: Server) -> None:
    """They come as they please; each is served within the length of the queue when it came."""
    waits: list[tuple[float, int]] = []

    async def ask(number: int) -> None:
        await asyncio.sleep(number * 0.3)
        loop, queue = asyncio.get_running_loop(), made.pending.count
        began = loop.time()
        await made.ask(record(number))
        waits.append((loop.time() - began, queue))

    async with desk(most=1000) as made:
        await asyncio.gather(*map(ask, range(200)))
    assert server.refused == 0
    assert max(wait - 1.02 * queue for wait, queue in waits) < 3.0
    assert Counter(it.kind for it in server.arrivals)[PUT] == 200
