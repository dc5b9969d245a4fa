"""Whether anything new is begun at a target: whoever waits to begin, or for what was begun in vain, is let go."""

from __future__ import annotations

import anyio
import pytest

from batchpol.model.errors import NoAnswer
from batchpol.sending.halt import Halt, Halted
from tests.sending.conftest import COMPARE, change
from tests.sending.simulated import PUT, READ, kinds, unseen_principal

pytestmark = pytest.mark.virtual_clock


async def test_all_who_wait_for_something_they_read_are_let_go_at_once() -> None:
    halt, let_go = Halt(), list[float]()

    async def read() -> None:
        with pytest.raises(Halted):
            await halt.unless(anyio.sleep(60))
        let_go.append(anyio.current_time())

    begun = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(read)
        await anyio.sleep(1)
        halt.call()
    assert let_go == pytest.approx([begun + 1] * 3, abs=0.01)
    with pytest.raises(Halted):
        await halt.unless(anyio.sleep(60))


async def test_what_is_read_in_time_is_given_and_its_error_raised() -> None:
    halt, error = Halt(), NoAnswer("internal", code="InternalFailure", http_status=500)

    async def fails() -> None:
        raise error

    with pytest.raises(NoAnswer) as caught:
        await halt.unless(fails())
    assert caught.value is error
    assert not halt.called


async def test_the_first_reason_stays_the_reason() -> None:
    halt, told = Halt(), list[str]()
    first, second = NoAnswer("first", code="1"), NoAnswer("second", code="2")
    halt.tell(lambda: told.append(str(halt.reason)))
    halt.call()
    halt.call(first)
    halt.call(second)
    assert halt.reason is first
    assert told == ["None", "first", "first"]


async def test_a_record_that_is_compared_once_more_does_not_hold_up_a_lane_that_is_stopped(bench) -> None:
    network = {"rtt": 0.2, "faults": {"name-0": [unseen_principal()]}}
    made = bench(network=network, conduct=COMPARE)
    pace = made.ses.policies

    async def slow(identity, names, attempt):
        found = await pace(identity, names, attempt)
        if kinds(made.server)[READ] > 2:
            await anyio.sleep(30)
        return found

    made.ses.policies = slow
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run, [change(0), change(1)])
        with anyio.fail_after(60):
            while kinds(made.server)[READ] < 3:
                await anyio.sleep(0.1)
        made.lane.stop()
        stopped = anyio.current_time()
    assert anyio.current_time() - stopped < 1
    assert kinds(made.server)[PUT] == 2
    assert [outcome.status for outcome in made.outcomes] == ["applied", "failed"], "what was refused stays refused"
