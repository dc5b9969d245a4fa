"""One target read on a simulated network: how fast, in which order, and what trouble with it does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import anyio
import pytest

from batchpol.cli.screen.exporting import _costs
from batchpol.exporting import TargetReader, Watch
from batchpol.model import Target
from batchpol.model.errors import AccessRefused, PolicyRefused, SesError
from batchpol.model.settings import Patience
from batchpol.sending.contact import Contact
from batchpol.sending.gates import Gates
from tests.sending.simulated import LIST, PAGE, PUT, READ, Server, SimulatedSes

pytestmark = pytest.mark.virtual_clock

TARGET = Target("111122223333", "us-east-1")


def serving(identities: int, policies: int = 2, **how: object) -> Server:
    there = {(f"t{n:03}.example", f"p{p}"): f'{{"n":{n}}}' for n in range(identities) for p in range(policies)}
    return Server(policies=there, **how)


@dataclass
class Reading(Watch):
    """A target being read, and what is known of it."""

    server: Server
    reader: TargetReader = field(init=False)
    kept: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    costs: list[tuple[int, float]] = field(default_factory=list)
    took: float = 0.0

    @classmethod
    def of(cls, server: Server, *, gates: Gates | None = None, network: dict | None = None, **how) -> Reading:
        made = cls(server)
        ses = how.pop("ses", None) or SimulatedSes(server, **(network or {}))
        patience, renew = how.pop("patience", Patience()), how.pop("renew", None)
        contact = Contact(TARGET, ses, gates or Gates.at(), patience, made, renew, only_reads=True)
        made.reader = TargetReader(contact, made, known=how.pop("known", lambda _: False), keep=made.keep, **how)
        return made

    async def run(self) -> Reading:
        begun = anyio.current_time()
        await self.reader.run()
        self.took = anyio.current_time() - begun
        return self

    async def keep(self, identity: str, rows: list[bytes]) -> None:
        self.kept[identity] = len(rows)

    def listed(self, reader: TargetReader) -> None:
        self.costs.append((reader.left, reader.seconds))

    def unreadable(self, target: Target, identity: str, error: SesError) -> None:
        self.refused[identity] = error.code

    def noted(self, target: Target, text: str) -> None:
        self.notes.append(text)

    @property
    def calls(self) -> Counter[str]:
        return Counter(arrival.kind for arrival in self.server.arrivals if arrival.taken)


async def test_sixty_identities_take_a_minute_not_two() -> None:
    made = await Reading.of(serving(60)).run()
    assert made.took <= 61
    assert made.calls == {PAGE: 1, LIST: 60, READ: 60}
    assert made.server.refused == 0
    assert made.kept == {f"t{n:03}.example": 2 for n in range(60)}
    assert list(made.kept) == made.reader.identities
    assert made.reader.complete
    assert made.reader.left == 0


@pytest.mark.parametrize("rtt", [0.7, 1.5])
async def test_slow_answers_do_not_slow_it(rtt: float) -> None:
    made = await Reading.of(serving(40), network={"rtt": rtt}).run()
    assert made.took <= 41 + 4 * rtt
    assert made.server.refused <= 1
    assert len(made.kept) == 40


async def test_the_cost_is_known_once_they_are_listed() -> None:
    made = Reading.of(serving(25, page=10), known=lambda identity: identity < "t005")
    await made.run()
    assert made.costs == [(20, 20.0)]
    assert made.calls == {PAGE: 3, LIST: 20, READ: 20}
    assert made.reader.present == len(made.reader.identities) == 25
    shared = Reading.of(serving(4), gates=Gates.at(shared=True))
    await shared.run()
    assert shared.costs == [(4, 8.0)]


async def test_a_listing_whose_token_ended_is_begun_again_and_loses_or_doubles_none() -> None:
    ended = PolicyRefused("The NextToken has expired", code="InvalidParameterValue")
    made = Reading.of(serving(25, page=10))
    ses = made.reader.contact.ses
    whole, asked = ses.identities, []

    async def identities(token: str, attempt: object) -> tuple[list[str], str]:
        asked.append(token)
        found = await whole(token, attempt)
        if asked == ["", "10"]:
            raise ended
        return found

    ses.identities = identities
    await made.run()
    assert asked == ["", "10", "", "10", "20"]
    assert list(made.kept) == [f"t{n:03}.example" for n in range(25)]
    assert made.reader.complete


async def test_a_listing_whose_token_never_holds_is_given_up() -> None:
    made = Reading.of(serving(25, page=10))
    ses = made.reader.contact.ses
    whole = ses.identities

    async def identities(token: str, attempt: object) -> tuple[list[str], str]:
        found = await whole(token, attempt)
        if token:
            raise PolicyRefused("The NextToken has expired", code="InvalidParameterValue")
        return found

    ses.identities = identities
    await made.run()
    assert made.kept == {}
    assert made.calls == {PAGE: 8}
    assert isinstance(made.reader.stopped, PolicyRefused)


async def test_ten_thousand_identities_are_said_to_take_two_hours_and_three_quarters() -> None:
    told = []
    made = Reading.of(serving(10_000, policies=1))

    def listed(reader: TargetReader) -> None:
        told.append(_costs(reader, 1.0))
        reader.halt()

    made.listed = listed
    await made.run()
    assert told == ["10,000 identities; 10,000 to read, about 2 h 47 min at one a second"]
    assert made.calls == {PAGE: 10}


async def test_what_is_there_without_policies_costs_no_second_request() -> None:
    made = await Reading.of(serving(3), named=["t001.example", "none.example"]).run()
    assert made.calls == {LIST: 2, READ: 1}
    assert made.kept == {"t001.example": 2, "none.example": 0}


async def test_patterns_pick_identities_and_policies() -> None:
    made = await Reading.of(serving(30), match="t01?.*", match_name="p[1-9]").run()
    assert made.kept == {f"t{n:03}.example": 1 for n in range(10, 20)}
    assert made.reader.present == 30
    none = await Reading.of(serving(5), match_name="q*").run()
    assert none.calls == {PAGE: 1, LIST: 5}
    exact = await Reading.of(serving(5), match="T001.example").run()
    assert not exact.kept, "names have a case"


async def test_one_quota_for_all_operations_is_found_out() -> None:
    made = await Reading.of(serving(30, shared=True)).run()
    assert len(made.kept) == 30
    assert made.server.refused <= 5
    assert made.took <= 70
    assert "all operations share one quota here: they take turns from now on" in made.notes


async def test_what_fails_for_a_while_is_read_in_the_end() -> None:
    """Twenty seconds of 503 put two identities aside; they are read when the others are."""
    server = serving(20)
    begun = anyio.current_time()
    server.down, server.down_for = (begun + 3, begun + 23), (READ,)
    made = await Reading.of(server, patience=Patience(in_flight=1)).run()
    assert made.reader.complete
    assert not made.refused
    assert len(made.kept) == 20
    assert list(made.kept) != made.reader.identities


async def test_one_that_never_answers_is_left_out() -> None:
    class Poisoned(SimulatedSes):
        async def policies(self, identity, names, attempt):
            found = await super().policies(identity, names, attempt)
            if identity == "t001.example":
                raise PolicyRefused("no such thing", code="InvalidParameterValue", http_status=400)
            return found

    server = serving(4)
    made = await Reading.of(server, ses=Poisoned(server)).run()
    assert made.refused == {"t001.example": "InvalidParameterValue"}
    assert made.reader.unreadable == ["t001.example"]
    assert len(made.kept) == 3
    assert made.reader.complete
    assert made.calls[READ] == 4, "SES's no is final"


async def test_an_outage_stops_it_within_its_bound() -> None:
    server = serving(500)
    begun = anyio.current_time()
    server.down = (begun + 10, begun + 10_000)
    made = await Reading.of(server).run()
    assert 119 <= made.took - 10 <= 140
    assert made.reader.stopped is not None
    assert "SES gave nothing for" in str(made.reader.stopped)
    assert not made.reader.complete
    assert not made.refused, "what nobody answers for is nobody's fault"


async def test_halting_begins_with_no_other_and_finishes_those_begun() -> None:
    made = Reading.of(serving(50), network={"rtt": 0.3})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        await anyio.sleep(5.8)  # names of one are under way
        made.reader.halt()
        halted = anyio.current_time()
    assert anyio.current_time() - halted <= 1.5
    assert not made.reader.complete
    assert made.reader.stopped is None
    assert 4 <= len(made.kept) <= 7
    assert made.calls[READ] == len(made.kept)


async def test_halting_while_they_are_listed_reads_nothing() -> None:
    made = Reading.of(serving(50, page=10))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        await anyio.sleep(2.5)
        made.reader.halt()
    assert made.calls == {PAGE: 3}
    assert not made.reader.complete


async def test_expired_credentials_are_renewed_in_mid_run() -> None:
    class Expiring(SimulatedSes):
        async def policies(self, identity, names, attempt):
            found = await super().policies(identity, names, attempt)
            if identity > "t004":
                raise AccessRefused("expired", code="ExpiredToken", http_status=403)
            return found

    server = serving(10)

    async def renew(old):
        return SimulatedSes(server) if isinstance(old, Expiring) else None

    made = await Reading.of(server, ses=Expiring(server), renew=renew).run()
    assert len(made.kept) == 10
    assert made.reader.complete
    given_up = await Reading.of(serving(10), ses=Expiring(server)).run()
    assert given_up.reader.stopped is not None
    assert given_up.reader.stopped.code == "ExpiredToken"


async def test_it_never_writes() -> None:
    made = await Reading.of(serving(5)).run()
    assert not made.calls[PUT]
