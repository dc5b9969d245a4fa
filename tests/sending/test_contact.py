"""What goes on over many requests to a target: silence that becomes an outage, credentials that are renewed."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import anyio
import pytest

from batchpol.model import Status, Target
from batchpol.model.errors import AccessRefused, NoAnswer, Throttled
from batchpol.model.settings import Conduct, Patience
from batchpol.sending.contact import Contact
from batchpol.sending.gates import Gates
from batchpol.sending.observer import ContactObserver
from tests.sending.conftest import COMPARE, PLAN, TARGET, change
from tests.sending.simulated import DELETE, PUT, READ, Server, SimulatedSes, expired, server_error

pytestmark = pytest.mark.virtual_clock


# -- silence ---------------------------------------------------------------------------------------------------


async def test_an_outage_uses_up_no_records_and_stops_the_lane_in_the_end(bench) -> None:
    silent = {f"name-{number}": [server_error()] * 999 for number in range(3, 100)}
    made = bench(network={"faults": silent}, patience=Patience(max_outage=60))
    outcomes = await made.run([change(number) for number in range(100)])
    assert isinstance(made.lane.stopped, NoAnswer)
    assert "took nothing for 6" in str(made.lane.stopped)
    assert sum(outcome.status is Status.APPLIED for outcome in outcomes.values()) == 3
    tried = [outcome for outcome in outcomes.values() if outcome.status is Status.UNKNOWN]
    assert 0 < len(tried) <= Patience().in_flight, "the other records were not touched"
    assert len(outcomes) == 3 + len(tried)


async def test_a_server_that_comes_back_after_a_minute_loses_nothing(bench) -> None:
    begun = anyio.current_time()
    made = bench(server=Server(down=(begun + 5, begun + 65)))
    outcomes = await made.run([change(number) for number in range(20)])
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}
    assert len(outcomes) == 20


@pytest.mark.parametrize("conduct", [Conduct(compare=False), COMPARE, PLAN], ids=["blind", "compare", "plan"])
async def test_the_first_connection_that_fails_is_told_with_what_is_done_and_for_how_long(bench, conduct) -> None:
    begun = anyio.current_time()
    made = bench(server=Server(down=(begun + 5, begun + 65), away=True), conduct=conduct)
    told: list[tuple[float, str, bool]] = []
    made.lane.contact.observer.noted = lambda _, text: told.append(
        (anyio.current_time() - begun, text, made.lane.contact.silent)
    )
    await made.run([change(number) for number in range(20)])
    (first, text, _), (again, over, silent) = told
    assert 5 <= first < 8 and "no connection" in text
    left = re.search(r"; trying again for (\d+) s yet$", text)
    assert left is not None and 115 < int(left[1]) <= 120
    assert again >= 65 and over == "SES answers again" and not silent


async def test_a_server_that_is_gone_for_a_minute_costs_no_record(bench) -> None:
    begun = anyio.current_time()
    made = bench(server=Server(down=(begun + 5, begun + 65)), conduct=COMPARE)
    outcomes = await made.run([change(number) for number in range(30)])
    assert Counter(outcome.status for outcome in outcomes.values()) == {Status.APPLIED: 30}
    assert made.lane.stopped is None


@pytest.mark.parametrize("conduct", [COMPARE, PLAN], ids=["compare", "plan"])
async def test_a_server_that_stays_away_stops_the_lane_and_burns_nothing(bench, conduct) -> None:
    begun = anyio.current_time()
    made = bench(server=Server(down=(begun + 5, float("inf"))), conduct=conduct)
    outcomes = await made.run([change(number) for number in range(500)])
    assert isinstance(made.lane.stopped, NoAnswer)
    assert anyio.current_time() - begun < 140
    bad = [outcome for outcome in outcomes.values() if outcome.status in (Status.FAILED, Status.UNKNOWN)]
    assert len(bad) <= Patience().in_flight
    assert all(outcome.retryable for outcome in bad)


async def test_writes_that_nobody_answers_stop_the_lane_although_reads_are_answered(bench) -> None:
    begun = anyio.current_time()
    made = bench(server=Server(down=(begun + 5, float("inf")), down_for=(PUT, DELETE)), conduct=COMPARE)
    outcomes = await made.run([change(number) for number in range(500)])
    assert isinstance(made.lane.stopped, NoAnswer)
    assert len(outcomes) <= 5 + Patience().in_flight


async def test_reads_that_nobody_answers_stop_the_lane_before_anything_is_lost(bench) -> None:
    begun = anyio.current_time()
    made = bench(server=Server(down=(begun + 5, float("inf")), down_for=(READ,)), conduct=COMPARE)
    outcomes = await made.run([change(number) for number in range(500)])
    assert isinstance(made.lane.stopped, NoAnswer)
    assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}


async def test_a_first_write_after_an_hour_of_unchanged_records_may_be_unlucky(bench) -> None:
    """Only reads were answered for long: that says nothing of the writes' patience."""
    changes = [change(number) for number in range(400)]
    server = Server(policies={(it.identity, it.policy_name): it.document for it in changes[:-1]})
    made = bench(server=server, conduct=COMPARE, network={"faults": {"name-399": [server_error()] * 3}})
    outcomes = await made.run(changes)
    assert made.lane.stopped is None
    assert outcomes["name-399"].status is Status.APPLIED


# -- credentials -----------------------------------------------------------------------------------------------


async def test_refused_credentials_stop_the_lane_and_burn_nothing(bench) -> None:
    made = bench(network={"faults": {"name-2": [expired()]}})
    outcomes = await made.run([change(number) for number in range(50)])
    assert made.lane.stopped is not None
    assert made.lane.stopped.code == "ExpiredToken"
    assert len(made.server.arrivals) == 3
    assert outcomes["name-2"].status is Status.NOT_ATTEMPTED
    assert set(outcomes) == {"name-0", "name-1", "name-2"}


async def test_renewed_credentials_go_on_with_the_same_record(bench) -> None:
    made = bench(network={"faults": {"name-1": [expired()]}})
    fresh = SimulatedSes(made.server)

    async def renew(old: object) -> SimulatedSes:
        assert old is made.ses
        return fresh

    made.lane.contact.renew = renew
    outcomes = await made.run([change(number) for number in range(3)])
    assert [outcomes[f"name-{number}"].status for number in range(3)] == [Status.APPLIED] * 3
    assert made.lane.contact.ses is fresh


async def test_attempts_under_way_when_credentials_expire_all_go_on_with_the_renewed_ones(bench) -> None:
    """Several come back refused, one after the other; the second must not take the fresh credentials for expired."""
    made = bench(network={"rtt": 3.5, "faults": {f"name-{number}": [expired()] for number in range(4)}})
    fresh = SimulatedSes(made.server)
    asked: list[object] = []

    async def renew(old: object) -> SimulatedSes | None:
        asked.append(old)
        return fresh if old is made.ses else None

    made.lane.contact.renew = renew
    outcomes = await made.run([change(number) for number in range(6)])
    assert [outcomes[f"name-{number}"].status for number in range(6)] == [Status.APPLIED] * 6
    assert made.ses.most_under_way > 1
    assert asked == [made.ses]
    assert made.lane.contact.ses is fresh


async def test_a_read_whose_credentials_expired_goes_on_with_renewed_ones(bench) -> None:
    made = bench(conduct=Conduct())
    fresh = SimulatedSes(made.server)
    made.ses.read_faults.append(expired())

    async def renew(old: object) -> SimulatedSes:
        return fresh

    made.lane.contact.renew = renew
    outcomes = await made.run([change(number) for number in range(3)])
    assert [outcomes[f"name-{number}"].status for number in range(3)] == [Status.APPLIED] * 3
    assert made.lane.stopped is None


async def test_credentials_that_expire_at_a_read_are_renewed(bench) -> None:
    made = bench(conduct=COMPARE)
    fresh = SimulatedSes(made.server)
    made.ses.read_faults.append(expired())

    async def renew(used: object) -> SimulatedSes:
        assert used is made.ses
        return fresh

    made.lane.contact.renew = renew
    outcomes = await made.run([change(number) for number in range(4)])
    assert Counter(outcome.status for outcome in outcomes.values()) == {Status.APPLIED: 4}
    assert made.lane.stopped is None


def revoked() -> AccessRefused:
    text = "User: arn:x is not authorized to perform: ses:PutIdentityPolicy with an explicit deny in a policy"
    return AccessRefused(text, code="AccessDenied", http_status=403)


@pytest.mark.parametrize("again", [False, True])
async def test_a_role_whose_sessions_were_revoked_is_taken_up_anew_once(bench, again: bool) -> None:
    made = bench(network={"rtt": 3.0, "faults": {f"name-{number}": [revoked()] * 9 for number in (1, 2)}})
    made.ses.credentials = object()
    faults = {"name-9": [revoked()] * 9} if again else {}
    fresh = SimulatedSes(made.server, faults=faults, credentials=object())
    asked: list[object] = []

    async def renew(used: object) -> SimulatedSes:
        asked.append(used)
        return fresh

    made.lane.contact.renew = renew
    outcomes = await made.run([change(number) for number in range(12)])
    assert asked == [made.ses]
    assert [outcomes[f"name-{number}"].status for number in range(3)] == [Status.APPLIED] * 3
    if again:
        assert outcomes["name-9"].status is not Status.APPLIED
        assert "explicit deny" in outcomes["name-9"].message
    else:
        assert {outcome.status for outcome in outcomes.values()} == {Status.APPLIED}


async def test_who_is_in_no_role_is_denied_at_once(bench) -> None:
    made = bench(network={"faults": {"name-1": [revoked()]}})
    made.lane.contact.renew = lambda used: pytest.fail("asked")
    outcomes = await made.run([change(number) for number in range(3)])
    assert outcomes["name-1"].status is not Status.APPLIED


class Told(ContactObserver):
    def __init__(self) -> None:
        self.events: list[object] = []

    def throttled(self, target: Target) -> None:
        self.events.append("throttled")

    def paced(self, target: Target, period: float) -> None:
        self.events.append(period)

    def renewed(self, target: Target) -> None:
        self.events.append("renewed")


async def test_an_observer_is_told_of_refusals_of_the_pace_and_of_renewals() -> None:
    told, ses = Told(), SimulatedSes(Server())

    async def renew(used: object) -> Any:
        return SimulatedSes(Server())

    contact: Any = Contact(TARGET, ses, Gates.at(), Patience(), told, renew)
    gate = contact.gates.writes
    for error in (Throttled("Rate exceeded", code="Throttling", http_status=400),) * 2 + (None,) * 3:
        passage = await gate.approach()
        await passage.admit()
        passage.departed()
        contact.answered(gate, passage, error)
    knocking = pytest.approx(1.206)
    assert told.events == ["throttled", knocking, "throttled", 2.05, 1.0]
    assert await contact.renewed(expired(), ses)
    assert told.events[5:] == ["renewed"]
