"""The probe finds out which SES it is talking to, and leaves nothing behind; on a virtual clock.

``python -m tests.bench.probe`` is the long form.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from batchpol.facts import FactsFile, Known, Told
from batchpol.model import Record, Target
from batchpol.model.errors import NoAnswer, UsageError
from batchpol.probe import Probe, Question, chosen, page, permissions
from batchpol.probe.document import doubtful
from batchpol.probe.odds import Odds
from batchpol.probe.place import PREFIX, principal_of
from batchpol.sandbox.service import Service
from batchpol.sandbox.wire import Clock
from batchpol.testing import DOUBTS, SandboxOptions, VirtualClockLoop
from batchpol.validation import RULES, Checker
from tests.bench.probe import PLACE, RIGHT, WRONG, Network, drawn, register, set_up


@pytest.mark.parametrize("seed", range(7, 17))
def test_of_ten_possible_sess_none_is_taken_for_another(seed: int) -> None:
    outcome = set_up(seed)
    assert [it for it in outcome.verdicts if it.verdict == WRONG] == []
    assert sum(it.verdict != RIGHT for it in outcome.verdicts) <= 0.05 * len(outcome.verdicts)
    assert outcome.left == 0


def service_of(options: SandboxOptions) -> Service:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    service = Service(options, Clock(loop.time, loop.wall_time))
    register(service.store)
    return service


@pytest.mark.virtual_clock
@pytest.mark.parametrize("seed", range(2))
async def test_after_any_ten_kills_the_next_probe_leaves_nothing_behind(seed: int) -> None:
    """Whatever reads show: on an SES whose lists lag by a minute, too."""
    draw, left = random.Random(seed), 0
    lax = {"strict_identities": False, "require_verified": False, "refused": frozenset[str]()}
    service = service_of(replace(drawn(seed), stale_by={}, stale_seconds=60.0, **lax))
    for _ in range(10):
        await killed(service, draw.uniform(5, 600))
        left += sum(map(len, service.store.policies.values()))
        await probe_of(service, chosen(["stored"])).run()
        assert service.store.policies == {}
    assert left > 10


async def killed(service: Service, after: float) -> None:
    """A probe that is killed: nothing of it runs any more, not what would clean up."""
    network = Network(service)
    dead = asyncio.Event()

    async def send(*request: Any) -> Any:
        if dead.is_set():
            raise NoAnswer("killed", code="ConnectionClosed")
        return await network.send(*request)

    probe = Probe(send, PLACE, chosen([]))
    running = asyncio.create_task(probe.run())
    await asyncio.sleep(after)
    dead.set()
    probe.stop("killed", 137)
    probe.abandon()
    running.cancel()
    await asyncio.wait([running])


def probe_of(service: Service, questions: Sequence[Question]) -> Probe:
    return Probe(Network(service).send, PLACE, questions)


@pytest.mark.virtual_clock
async def test_a_probe_that_is_stopped_removes_what_it_made_and_keeps_what_it_knows() -> None:
    service = service_of(SandboxOptions())
    probe = probe_of(service, chosen(["stored", "names"]))
    running = asyncio.create_task(probe.run())
    await asyncio.sleep(25)
    assert service.store.policies
    probe.stop("interrupted", 130)
    await running
    assert (service.store.policies, probe.left, list(probe.told)) == ({}, [], ["stored"])
    nameless, named = (probe.facts(date(2026, 1, 1), named=it) for it in (False, True))
    assert (nameless.account, nameless.identity) == ("", "")
    assert (named.account, named.identity) == (PLACE.account, PLACE.identity)


@pytest.mark.virtual_clock
async def test_it_needs_no_more_than_it_says_and_touches_nothing_else() -> None:
    service = service_of(SandboxOptions(refused=()))
    await probe_of(service, chosen([])).run()
    (allowed,) = permissions(PLACE)["Statement"]
    assert {f"ses:{it.operation}" for it in service.arrivals} == set(allowed["Action"])
    assert {PLACE.arn(it.identity) for it in service.arrivals} - {PLACE.arn(PLACE.arn())} == set(allowed["Resource"])
    names = {it.policy_name for it in service.arrivals if it.operation.startswith(("Put", "Create", "Update", "Del"))}
    assert {name for name in names if not name.startswith(PREFIX)} == {""}


@pytest.mark.virtual_clock
async def test_refusals_are_written_down_in_the_words_of_ses_but_not_who_was_refused() -> None:
    service = service_of(SandboxOptions(refused=DOUBTS))
    probe = probe_of(service, chosen(["document", "identity"]))
    await probe.run()
    said = "\n".join(it for told in probe.told.values() for it in told.says)
    assert "refused: condition-key (InvalidPolicy: Unknown or unapplicable condition field 'probe'.)" in said
    assert "Expected the resource to be 'arn:aws:ses:us-east-1:ACCOUNT:identity/IDENTITY' but was" in said
    assert PLACE.identity not in said.lower()
    assert PLACE.account not in said


@pytest.mark.virtual_clock
async def test_a_principal_that_cannot_be_put_or_found_leaves_open_what_becomes_of_it_and_nothing_else() -> None:
    gone = f"arn:aws:iam::{PLACE.account}:role/gone"
    service = service_of(SandboxOptions(deleted={gone}, accounts_as_roots=True))
    probe = Probe(Network(service).send, replace(PLACE, principal=gone, deleted=gone), chosen(["stored"]))
    await probe.run()
    told = probe.told["stored"]
    assert told.open == ("principals_as_ids", "deleted_as_ids")
    assert told.known["accounts_as_roots"] is told.known["strict_principals"] is True


@pytest.mark.parametrize(
    "caller, principal",
    [
        ("arn:aws:iam::123456789012:user/team/u", "arn:aws:iam::123456789012:user/team/u"),
        ("arn:aws-cn:sts::123456789012:assumed-role/r/me@x", "arn:aws-cn:iam::123456789012:role/r"),
        ("arn:aws:iam::123456789012:root", ""),
    ],
)
def test_the_principal_that_is_asked_for_is_the_caller(caller: str, principal: str) -> None:
    assert principal_of(caller) == principal


def test_the_page_shows_the_words_of_ses_as_they_are() -> None:
    told = Told(says=("refused: a (B: <ID> is *not*\nset_up)",))
    found = FactsFile(region="r", measured="2026-01-01", batchpol="1", known=Known(), questions={"names": told})
    assert r"- refused: a (B: \<ID\> is \*not\* set\_up)" in page(found).splitlines()


@pytest.mark.virtual_clock
async def test_where_ses_takes_no_policy_it_says_so_and_asks_nothing() -> None:
    service = service_of(SandboxOptions())
    probe = Probe(Network(service).send, replace(PLACE, identity="pending.invalid"), chosen([]))
    with pytest.raises(UsageError, match=r"takes no policy for pending.invalid: Identity pending.invalid is not"):
        await probe.run()
    assert (probe.told, service.store.policies) == ({}, {})


def test_every_doubt_that_a_document_can_raise_is_asked_for() -> None:
    asked = {doubt for doubt, _ in doubtful(PLACE)}
    assert {doubt for doubt in DOUBTS if not doubt.startswith(("identity-", "name-"))} == asked


def test_what_is_asked_about_a_doubt_has_the_finding_that_its_answer_is_for() -> None:
    target = Target(PLACE.account, PLACE.region)
    for doubt, document in [*doubtful(PLACE), ("", PLACE.document())]:
        checked = Checker(target=target).check(Record(PLACE.identity, "probe", document))
        codes = {it.code for it in checked.findings}
        assert (doubt in codes) is (doubt in RULES), (doubt, codes)


def test_an_answer_takes_more_than_one_observation_and_outlives_one_that_is_wrong() -> None:
    odds = Odds(["apart", "shared"])
    odds.saw(["shared"])
    assert odds.answer is None
    odds.saw(["shared"])
    assert odds.answer == "apart"
    odds.saw(["apart"])
    assert odds.answer is None
    odds.saw(["shared"])
    assert odds.answer == "apart"


def test_where_nothing_fits_there_is_no_answer() -> None:
    odds = Odds([1, 2, 3])
    for _ in range(5):
        odds.saw([1, 2, 3])
    odds.saw([1, 2])
    odds.saw([1, 2])
    assert odds.nothing_fits
    assert odds.answer is None


def test_a_question_brings_those_that_it_builds_on() -> None:
    assert [it.name for it in chosen(["tolerance"])] == ["burst", "refused", "tolerance"]
    with pytest.raises(UsageError, match="'speed'"):
        chosen(["speed"])
