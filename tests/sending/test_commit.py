"""Many lanes' entries in few writes, on a clock that the test owns."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from batchpol.sending.commit import GATHER, GroupCommit

pytestmark = pytest.mark.virtual_clock


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_thousand_entries_a_second_make_a_hundred_writes_in_their_order() -> None:
    batches: list[list[int]] = []
    waits: list[float] = []

    async def write(batch: list[int]) -> None:
        batches.append(batch)
        await anyio.sleep(0.002)

    commit = GroupCommit(write)

    async def add(number: int) -> None:
        await anyio.sleep(number / 1000)
        begun = now()
        await commit.add(number)
        waits.append(now() - begun)

    async with anyio.create_task_group() as tasks:
        for number in range(1000):
            tasks.start_soon(add, number)
    assert [number for batch in batches for number in batch] == list(range(1000))
    assert len(batches) <= 1 / GATHER
    assert max(waits) <= GATHER + 2 * 0.002 + 0.001


async def test_an_entry_after_a_pause_is_written_at_once() -> None:
    async def write(batch: list[int]) -> None:
        """Takes no time."""

    commit = GroupCommit(write)
    await commit.add(1)
    await anyio.sleep(GATHER)
    begun = now()
    await commit.add(2)
    assert now() - begun < GATHER / 10


async def test_what_a_cancelled_caller_gave_is_written_all_the_same() -> None:
    batches: list[list[int]] = []

    async def write(batch: list[int]) -> None:
        batches.append(batch)

    commit = GroupCommit(write)
    await commit.add(1)
    with anyio.move_on_after(GATHER / 2) as scope:
        await commit.add(2)
    assert scope.cancel_called
    assert batches == [[1], [2]]


async def test_a_failure_is_everyones_who_waits_and_who_comes_later() -> None:
    writes: list[list[int]] = []
    failures: list[OSError] = []

    async def write(batch: list[int]) -> None:
        writes.append(batch)
        await anyio.sleep(0.002)
        raise OSError("full")

    commit = GroupCommit(write)

    async def add(number: int) -> None:
        await anyio.sleep(number / 1000)
        try:
            await commit.add(number)
        except OSError as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(add, number)
    assert writes == [[0]]
    assert len(failures) == 5
    assert len(set(map(id, failures))) == 1


async def test_one_write_wakes_all_who_wait_for_it_even_where_the_first_of_them_gave_up() -> None:
    batches: list[list[int]] = []
    woken: list[float] = []

    async def write(batch: list[int]) -> None:
        batches.append(batch)
        await anyio.sleep(0.002)

    commit = GroupCommit(write)

    async def add(number: int, patience: float) -> None:
        with anyio.move_on_after(patience):
            await commit.add(number)
        woken.append(now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(add, 0, 1.0)
        await anyio.sleep(0.001)
        for number in range(1, 300):
            tasks.start_soon(add, number, 0.001 if number == 1 else 1.0)
    assert batches == [[0], list(range(1, 300))]
    assert max(woken) - min(woken[1:]) < 1e-6


async def test_where_there_is_no_disk_nothing_is_gathered() -> None:
    kept: list[tuple[int, ...]] = []

    async def write(batch: list[int]) -> None:
        raise AssertionError("there is no disk")

    commit = GroupCommit(write, kept.append)
    begun = now()
    for number in range(100):
        await commit.add(number, -number)
    assert kept == [(number, -number) for number in range(100)]
    assert now() == begun
