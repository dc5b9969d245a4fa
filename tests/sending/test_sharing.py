"""Several who share one machine's second through its file, on a clock that the test owns."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import stat
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from math import inf, nan
from pathlib import Path
from struct import pack

import anyio
import pytest

from batchpol.model import Target
from batchpol.sending.gates import Gates
from batchpol.sending.sharing import OLD, SWEPT, Machine, clock
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
    return Gates.at(period, turns=Machine(folder, clock).turns("", TARGET), **more)


async def ask(server: Server, folder: Path, *records: int, apart: float = 0.3, **more) -> list[Caller]:
    """Processes with so many records each, that begin one after the other."""
    callers = [Caller(server, count, seed, gates=gates(folder), **more) for seed, count in enumerate(records, start=1)]
    async with anyio.create_task_group() as tasks:
        for number, caller in enumerate(callers):
            tasks.start_soon(caller.run, number * apart)
    return callers


def files(folder: Path) -> list[Path]:
    return sorted(it for it in folder.iterdir() if it.name != SWEPT)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


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

    assert await took(gates=gates(folder)) == pytest.approx(await took(gates=Gates.at()), rel=0.005)


async def test_operations_of_one_quota_are_so_for_all_who_share(folder: Path) -> None:
    """Who has found that out, or was told, claims the quotas of all operations, and the others go by that."""
    server = Server(shared=True)
    told = Caller(server, 20, 1, reads=True, gates=gates(folder, shared=True))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(told.run)
        await anyio.sleep(1)
        await Caller(server, 10, 2, reads=True, gates=gates(folder)).run()
    assert server.refused <= 1
    times = [arrival.at for arrival in server.arrivals]
    assert (len(times) - 1) / (times[-1] - times[0]) >= 0.97


async def test_operations_that_two_find_to_have_one_quota_cost_neither_the_second(folder: Path) -> None:
    server = Server(shared=True)
    callers = await ask(server, folder, 30, 30, reads=True)
    assert any(caller.gates.joined for caller in callers)
    assert server.refused <= 10
    taken = [arrival.at for arrival in server.arrivals if arrival.taken]
    assert (len(taken) - 1) / (taken[-1] - taken[0]) >= 0.97


async def test_a_slower_pace_leaves_the_others_the_rest(folder: Path) -> None:
    server = Server()
    slow, fast = (Caller(server, 10, seed, gates=gates(folder, period=period)) for seed, period in ((1, 4.0), (2, 1.0)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow.run)
        tasks.start_soon(fast.run)
    assert server.refused == 0
    assert slow.over - slow.begun == pytest.approx(9 * 4, rel=0.05)
    assert fast.over - fast.begun <= 14


async def attempt(of: Gates) -> float:
    """One write through the gates; gives when it left."""
    passage = await of.writes.approach()
    await passage.admit()
    passage.departed()
    left = now()
    await anyio.sleep(0.08)
    passage.ended()
    return left


async def test_who_is_killed_costs_the_others_a_turn(folder: Path) -> None:
    dead, alive = gates(folder), gates(folder)
    first = await attempt(alive)
    await dead.writes.approach(0.05)  # its turn is the next one, and it never claims it
    assert await attempt(alive) - first == pytest.approx(2.0, abs=0.03)
    assert await attempt(alive) - first == pytest.approx(3.0, abs=0.03)


async def test_who_was_stopped_with_a_turn_goes_next_and_holds_nobody_up_for_the_time(folder: Path) -> None:
    stopped, other = gates(folder), gates(folder)
    passage = await stopped.writes.approach(0.05)
    times = [await attempt(other) for _ in range(4)]
    await passage.admit()
    passage.departed()
    times.append(now())
    passage.ended()
    times.append(await attempt(other))
    assert [late - early for early, late in pairwise(times)] == pytest.approx([1.0] * 5, abs=0.03)


async def test_a_turn_that_is_not_used_is_the_next_one_s(folder: Path) -> None:
    one, two = gates(folder), gates(folder)
    first = await attempt(one)
    unused = await two.writes.approach(0.9)
    unused.ended()
    with anyio.move_on_after(0.5) as scope:
        await two.writes.approach(0.05)
    assert scope.cancelled_caught
    assert await attempt(one) - first == pytest.approx(1.0, abs=0.03)


def test_who_leaves_late_keeps_the_order_of_all_who_wait(folder: Path) -> None:
    at = 100.0
    one, two, three = (Machine(folder, lambda: at).turns("", TARGET)(0, 1.0) for _ in range(3))
    assert [it.wait() for it in (one, two, three)] == [0, 1, 2]
    at = 102.5
    assert one.wait(claim=True) <= 0
    assert [it.wait() for it in (two, three, one)] == [1, 2, 3]
    one.give_back()
    assert [it.wait() for it in (two, three)] == [1, 2]
    at = 103.5
    assert two.wait(claim=True) <= 0
    assert [it.wait() for it in (three, two, one)] == [1, 2, 3], "what was given back is another one's"


async def test_who_was_stopped_with_the_lock_is_not_waited_for(folder: Path) -> None:
    one, two = gates(folder), gates(folder)
    times = [await attempt(one)]
    (file,) = files(folder)
    with file.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        times += [await attempt(gate) for gate in (two, one, two, one)]
    times.append(await attempt(two))
    assert [late - early for early, late in pairwise(times)] == pytest.approx([1.0] * 5, abs=0.05)


async def test_a_machine_that_slept_goes_on_at_once(folder: Path) -> None:
    slept = 0.0
    one, two = (gates(folder, lambda: now() + slept) for _ in range(2))
    await attempt(one)
    await attempt(two)
    slept = 8 * 3600.0
    woken = now()
    async with anyio.create_task_group() as tasks:
        for gate in (one, two):
            tasks.start_soon(attempt, gate)
    assert now() - woken <= 2.2


WRONG = {
    "other bytes": b"\xff" * 168,
    "too short": b"abc",
    "too long": bytes(5000),
    "another clock": pack("<21d", *[1e6] * 21),
    "far ahead": pack("<21d", *[1e300] * 21),
    "before all": pack("<21d", *[-1e300] * 21),
    "no end": pack("<21d", *[inf] * 21),
    "no numbers": pack("<21d", *[nan] * 21),
    "a year late": pack("<21d", *[0.0, 3e7, 0.0, 0.0] * 5, 0.0),
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
async def test_what_cannot_be_true_in_the_file_costs_a_period(folder: Path, content: bytes) -> None:
    one = gates(folder)
    first = await attempt(one)
    (file,) = files(folder)
    file.write_bytes(content)
    assert 1.0 <= await attempt(one) - first <= 2.1
    assert await attempt(one) - first <= 3.1
    assert file.stat().st_size == 168


@pytest.mark.parametrize("what", ["folder", "file"])
async def test_what_somebody_removes_is_made_again(folder: Path, what: str) -> None:
    one, two = gates(folder), gates(folder)
    times = [await attempt(one)]
    if what == "folder":
        shutil.rmtree(folder)
    else:
        files(folder)[0].unlink()
    times += [await attempt(two), await attempt(one), await attempt(two)]
    assert [late - early for early, late in pairwise(times[1:])] == pytest.approx([1.0] * 2, abs=0.03)


async def test_places_are_apart_and_those_that_nobody_asks_are_removed(folder: Path) -> None:
    machine = Machine(folder, now)
    others = [("http://localhost:1", TARGET), ("", Target("444455556666", "us-east-1")), ("", Target("1", "eu-west-1"))]
    begun = now()
    for endpoint, target in [("", TARGET), *others]:
        await attempt(Gates.at(turns=machine.turns(endpoint, target)))
    assert now() - begun < 0.5
    assert len(files(folder)) == 4
    old = files(folder)[:3]
    for file in old:
        os.utime(file, (0, time.time() - 2 * OLD))
    Machine(folder, now)
    assert all(file.exists() for file in old), "it was looked at just now"
    os.utime(folder / SWEPT, (0, time.time() - 2 * OLD))
    Machine(folder, now)
    assert not any(file.exists() for file in old)
    assert len(files(folder)) == 1


async def test_the_same_place_is_one_however_it_is_written(folder: Path) -> None:
    machine = Machine(folder, now)
    assert machine.turns("http://a:1/", TARGET)(0, 1.0).path == machine.turns("http://a:1", TARGET)(1, 1.0).path


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file in its place": (lambda folder: folder.write_text(""), "is no folder"),
    "a link": (lambda folder: folder.symlink_to(folder.parent), "is no folder"),
    "open to others": (lambda folder: (folder.mkdir(), folder.chmod(0o755)), "can be opened by others"),
    "somebody else's": (lambda folder: (folder.mkdir(0o700), os.chown(folder, 12345, -1)), "belongs to another user"),
    "in no folder": (lambda folder: folder.parent.rmdir(), "No such file"),
}


@pytest.mark.parametrize("make", UNUSABLE)
async def test_a_folder_that_cannot_be_used_leaves_everybody_alone_and_is_told_once(tmp_path: Path, make: str) -> None:
    if make == "somebody else's" and os.geteuid():
        pytest.skip("only root can give a folder away")
    folder = tmp_path / "parent" / "places"
    folder.parent.mkdir()
    damage, why = UNUSABLE[make]
    damage(folder)
    machine = Machine(folder, now)
    assert why in (text := machine.trouble())
    assert str(folder) in text
    assert machine.trouble() == "", "once"
    one, two = (Gates.at(turns=machine.turns("", TARGET)) for _ in range(2))
    assert await attempt(two) - await attempt(one) < 0.2


@pytest.mark.parametrize("kind", ["link", "open to others", "folder"])
async def test_a_file_that_cannot_be_used_is_left_alone(folder: Path, tmp_path: Path, kind: str) -> None:
    machine = Machine(folder, now)
    turns = machine.turns("", TARGET)(0, 1.0)
    (target := tmp_path / "target").write_text("as it was")
    target.chmod(0o600)
    if kind == "link":
        turns.path.symlink_to(target)
    elif kind == "folder":
        turns.path.mkdir()
    else:
        turns.path.write_text("as it was")
        turns.path.chmod(0o640)
    assert turns.wait() == 0
    assert not machine.works
    assert turns.path.name in machine.trouble()
    assert target.read_text() == "as it was"


async def test_what_is_made_is_the_user_s_alone_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        await attempt(gates(folder))
    finally:
        os.umask(before)
    assert mode(folder) == 0o700
    assert [mode(file) for file in files(folder)] == [0o600]


def test_a_request_costs_less_than_a_fifth_of_a_millisecond(folder: Path) -> None:
    turns = Machine(folder).turns("", TARGET)(0, 1e-6)

    def cost(requests: int) -> float:
        begun = time.process_time()
        for _ in range(requests):
            turns.wait()
            turns.wait(claim=True)
            turns.left(0.0)
        return (time.process_time() - begun) / requests

    assert min(cost(200) for _ in range(5)) < 0.0002


def test_the_clock_is_one_that_nobody_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a clock that is set back nor a machine that sleeps makes anybody wait, or go too early."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    since_boot = time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    assert clock() == pytest.approx(since_boot, abs=1)
