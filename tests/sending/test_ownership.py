"""Callers who look identities up at the same moment share requests, and nobody depends on another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from batchpol.model.errors import AccessRefused, NoAnswer
from batchpol.sending.contact import Contact
from batchpol.sending.gates import Gates
from batchpol.sending.halt import Halted
from batchpol.sending.ownership import Ownership
from batchpol.sending.reads import Reads
from tests.sending.conftest import TARGET
from tests.sending.simulated import LOOK_UP, Server, SimulatedSes, denied, server_error

pytestmark = pytest.mark.virtual_clock


class Callers:
    """Callers of one target, each with a contact of its own through the gates of all."""

    def __init__(self, **network: object) -> None:
        self.server, self.gates, self.ownership = Server(unverified={"pending.example"}), Gates.at(), Ownership()
        self.ses = SimulatedSes(self.server, **network)
        self.contacts: list[Contact] = []

    async def ask(self, *names: str) -> bool:
        """Look these up as a lane does; whether the first one is verified."""
        contact = Contact(TARGET, self.ses, self.gates)
        self.contacts.append(contact)
        contact.asked_again()
        await contact.halt.unless(self.ownership.look_up(Reads(contact), names))
        verified = self.ownership.verified(names[0])
        self.ownership.forget(names)
        return verified

    def begin(self, names: Iterable[str]) -> list[asyncio.Task[bool]]:
        return [asyncio.create_task(self.ask(name)) for name in names]

    @property
    def asked(self) -> list[int]:
        """How many identities each request asked for."""
        return [int(arrival.name) for arrival in self.server.arrivals if arrival.kind == LOOK_UP]

    def check_over(self) -> None:
        assert self.ownership == Ownership(), "nothing is remembered, and nobody waits"


def tenants(count: int) -> list[str]:
    return [f"tenant-{number}.example" for number in range(count)]


async def test_callers_of_one_moment_share_a_request() -> None:
    callers = Callers()
    begun = asyncio.get_running_loop().time()
    assert await asyncio.gather(*callers.begin([*tenants(19), "pending.example"])) == [True] * 19 + [False]
    assert callers.asked == [20]
    assert asyncio.get_running_loop().time() - begun < 0.2
    callers.check_over()


async def test_those_who_come_while_one_is_under_way_share_the_next() -> None:
    callers = Callers()
    first = callers.begin(tenants(1))
    await asyncio.sleep(0.02)
    assert await asyncio.gather(*first, *callers.begin(tenants(20)[1:])) == [True] * 20
    assert callers.asked == [1, 19]
    callers.check_over()


async def test_a_request_takes_no_more_than_a_hundred_and_ones_own_go_first() -> None:
    callers = Callers()
    many = asyncio.create_task(callers.ask(*tenants(230)))
    few = callers.begin(f"other-{number}.example" for number in range(20))
    assert all(await asyncio.gather(many, *few))
    assert callers.asked == [100, 100, 50]
    callers.check_over()


async def test_a_caller_who_is_cancelled_takes_nobody_along() -> None:
    callers = Callers()
    leader, *others = callers.begin(tenants(5))
    await asyncio.sleep(0.02)  # its request, which asks for all, is under way
    leader.cancel()
    assert await asyncio.gather(*others) == [True] * 4
    assert leader.cancelled()
    assert callers.asked == [4], "the first one did not arrive"
    callers.check_over()


async def test_a_caller_who_is_stopped_takes_nobody_along() -> None:
    callers = Callers()
    leader, *others = callers.begin(tenants(5))
    await asyncio.sleep(0.06)  # its request has arrived, and the answer is on its way
    callers.contacts[0].halt.call()
    assert await asyncio.gather(*others) == [True] * 4
    with pytest.raises(Halted):
        await leader
    assert callers.asked == [5, 4]
    callers.check_over()


async def test_what_those_who_left_wanted_is_not_remembered() -> None:
    callers = Callers()
    first, *others = callers.begin(tenants(6))
    await asyncio.sleep(0.02)  # the request for all is under way
    others[0].cancel()
    assert await asyncio.gather(first, *others[1:]) == [True] * 5
    assert callers.asked == [6]
    callers.check_over()


async def test_one_who_leaves_halfway_leaves_nothing_behind() -> None:
    callers = Callers()
    leaves, stays = asyncio.create_task(callers.ask(*tenants(230))), callers.begin(["tenant-229.example"])
    await asyncio.sleep(0.5)  # a hundred of its names are known
    leaves.cancel()
    assert await stays[0]
    assert callers.asked == [100, 1]
    callers.check_over()


async def test_a_request_that_is_lost_delays_the_others_no_more_than_if_each_had_asked() -> None:
    """The second has its turn two periods later, as the gate gives it for any answer that is overdue."""
    callers = Callers(rtt=0.08)
    callers.ses.look_up_faults.append(NoAnswer("no answer within the time allowed", code="Timeout"))
    begun = asyncio.get_running_loop().time()
    verified = callers.ses.verified

    async def lost(identities: Iterable[str], attempt: object) -> dict[str, str]:
        try:
            return await verified(identities, attempt)  # type: ignore[arg-type]
        except NoAnswer:
            await asyncio.sleep(30)
            raise

    callers.ses.verified = lost  # type: ignore[method-assign]
    assert await asyncio.gather(*callers.begin(tenants(5))) == [True] * 5
    assert callers.asked == [5, 5]
    assert asyncio.get_running_loop().time() - begun < 3, "not even the first one waits for its own request any more"
    callers.check_over()


async def test_what_one_tries_again_holds_nobody_up() -> None:
    callers = Callers()
    callers.ses.look_up_faults.append(server_error())
    begun = asyncio.get_running_loop().time()
    assert await asyncio.gather(*callers.begin(tenants(5))) == [True] * 5
    assert callers.asked == [5, 5]
    assert asyncio.get_running_loop().time() - begun < 1.3
    callers.check_over()


async def test_what_one_may_not_ask_the_others_ask_themselves() -> None:
    callers = Callers()
    callers.ses.look_up_faults.append(denied("look up"))
    found = await asyncio.gather(*callers.begin(tenants(5)), return_exceptions=True)
    assert isinstance(found[0], AccessRefused)
    assert found[1:] == [True] * 4
    assert callers.asked == [5, 4]
    callers.check_over()


async def test_a_name_that_another_waits_for_is_not_forgotten() -> None:
    """The one who asked is done with it before the other one, which was told at the same moment, goes on."""
    callers = Callers()
    assert await asyncio.gather(*callers.begin(["tenant-0.example"] * 20)) == [True] * 20
    assert callers.asked == [1]
    callers.check_over()
