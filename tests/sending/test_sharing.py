"""Several who share one machine's second through its file, on a clock that the test owns."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import pytest

from batchpol.model import Target
from batchpol.sending.gates import Gates
from batchpol.sending.sharing import Machine
from tests.bench.quota import Caller
from tests.sending.simulated import PUT, Server

pytestmark = pytest.mark.virtual_clock

TARGET = Target("111122223333", "us-east-1")


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "places"


def gates(folder: Path, clock: Callable[[], float] = now, period: float = 1.0, **more: bool) -> Gates:
    """Those of one process: it has nothing in common with another one but the folder."""
    return Gates.at(period, turns=partial(Machine(folder, clock).turns, "", TARGET), **more)


async def ask(server: Server, folder: Path, *records: int, apart: float = 0.3, **more) -> list[Caller]:
    """Processes with so many records each, that begin one after the other."""
    callers = [Caller(server, count, seed, gates=gates(folder), **more) for seed, count in enumerate(records, start=1)]
    async with anyio.create_task_group() as tasks:
        for number, caller in enumerate(callers):
            tasks.start_soon(caller.run, number * apart)
    return callers


def writers(server: Server) -> list[str]:
    return [arrival.name.partition("-")[0] for arrival in server.arrivals if arrival.kind == PUT and arrival.taken]


@pytest.mark.parametrize("count", [2, 4, 8])
async def test_processes_take_turns_and_use_the_whole_second(folder: Path, count: int) -> None:
    server = Server()
    await ask(server, folder, *[30] * count)
    assert server.refused == 0
    times = [arrival.at for arrival in server.arrivals]
    assert (len(times) - 1) / (times[-1] - times[0]) >= 0.97
    turns = writers(server)[count : 29 * count]
    assert all(len(set(turns[start : start + count])) == count for start in range(0, len(turns) - count, count))


async def test_what_the_network_delays_holds_all_of_them_up(folder: Path) -> None:
    server = Server()
    await ask(server, folder, 100, 100, jitter=0.1)
    assert server.refused <= 0.02 * 200
    assert statistics.median(server.gaps()) < 1.2


async def test_one_alone_is_as_fast_as_without_the_others(folder: Path) -> None:
    async def took(**more) -> float:
        one = Caller(Server(), 50, 1, reads=True, **more)
        await one.run()
        return one.over - one.begun

    assert await took(gates=gates(folder)) == pytest.approx(await took(), rel=0.005)
