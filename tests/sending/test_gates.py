"""Whether the operations of a target have one quota, found out from what is refused; on a clock that the test owns."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from batchpol.sending.gate import Gate
from batchpol.sending.gates import EVIDENCE, SURE, Gates
from batchpol.sending.pace import OFTEN, Step
from tests.bench.quota import CASES
from tests.sending.simulated import READ, Server

pytestmark = pytest.mark.virtual_clock


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    "name", ["alone-600", "hosts", "hosts-read", "half", "flood", "jitter", "lost", "twice", "shared"]
)
async def test_what_is_asked_of_many_seeds_holds_for_a_few(name: str) -> None:
    """``python -m tests.bench.quota`` runs 200."""
    case = CASES[name]
    for seed in range(2):
        found = await case.run(seed)
        assert all(found[figure] <= bound for figure, bound in case.at_most.items()), found
        assert all(found[figure] >= bound for figure, bound in case.at_least.items()), found


async def attempt(gate: Gate, *, refused: bool = False) -> None:
    passage = await gate.approach()
    await passage.admit()
    passage.departed()
    await anyio.sleep(0.08)
    passage.ended(refused=refused)


async def in_turns(gates: Gates, *refused: bool) -> None:
    """A read that is taken and a write, half a period apart, as often as there is an answer for the write."""
    for one in refused:
        gates.writes.pace.settle()  # a period that was widened is another matter
        await attempt(gates.reads)
        await anyio.sleep(0.5)
        await attempt(gates.writes, refused=one)


async def test_refusals_now_and_then_over_hours_join_nothing() -> None:
    gates = Gates.at()
    for _ in range(5):
        await in_turns(gates, True)
        await anyio.sleep(3600)
    assert not gates.joined


async def test_one_that_is_taken_right_after_one_of_another_kind_speaks_against_one_quota() -> None:
    gates = Gates.at()
    await in_turns(gates, True, True, False, *[True] * (SURE - 1))
    assert not gates.joined, "somebody else uses the quota of the writes"
    await in_turns(gates, True)
    assert gates.joined
    assert not gates.one_quota, "not before a trial"


async def test_a_join_that_does_not_help_is_taken_back() -> None:
    gates = Gates.at()
    await attempt(gates.writes)  # who is refused from the start asks less often
    await anyio.sleep(1)
    await in_turns(gates, *[True] * EVIDENCE)
    assert gates.joined
    await in_turns(gates, True, True)
    assert not gates.joined, "somebody else uses the quota of the writes"


async def test_a_join_is_taken_back_on_trial_and_a_trial_that_nothing_is_refused_in_ends_it() -> None:
    gates = Gates.at()
    await in_turns(gates, *[True] * EVIDENCE)
    await in_turns(gates, *[False] * 4)
    assert not gates.joined
    await in_turns(gates, False, True, True)
    assert not gates.joined, "the evidence is gone"


async def test_what_was_said_is_not_put_on_trial() -> None:
    gates = Gates.at(shared=True)
    await in_turns(gates, True, True, True)
    await in_turns(gates, *[False] * 20)
    assert gates.joined


@pytest.mark.parametrize(("between", "shares"), [(1, False), (2, True), (OFTEN + 1, False)])
async def test_who_is_refused_time_and_again_takes_turns_although_never_twice_in_a_row(between, shares) -> None:
    """Of two whose writes wait for reads that take turns, neither is refused twice in a row."""
    gate, taken = Gate(), int(between)
    for refused in (False, True, *[False] * taken, True):
        await attempt(gate, refused=refused)
    assert (gate.pace.step is Step.FIRST) == shares


async def test_a_passage_that_has_its_turn_goes_by_the_pace_of_the_gates_as_they_are_joined_then() -> None:
    gates, times = Gates.at(), list[float]()
    await attempt(gates.writes)
    await attempt(gates.reads)
    waiting = [await gates.writes.approach(0.5), await gates.reads.approach(0.5)]
    gates._join()

    async def go(passage) -> None:
        await passage.admit()
        passage.departed()
        times.append(now())
        passage.ended()

    async with anyio.create_task_group() as tasks:
        for passage in waiting:
            tasks.start_soon(go, passage)
    assert times[1] - times[0] >= 1.0


async def test_reads_that_take_turns_with_writes_are_parted_from_them_by_a_fraction_of_a_period(bench) -> None:
    """So that a trial of one quota costs one refusal, and not one of each."""
    from batchpol.model.settings import Conduct
    from tests.sending.conftest import change

    made = bench(server=Server(shared=True), conduct=Conduct())
    await made.run([change(number) for number in range(12)])
    later = [it for it in made.server.arrivals if not it.taken][EVIDENCE:]
    assert [it.kind for it in later] == [READ]
