"""The driver where a scheduler or a worker does not answer: it ends within its bounds, and at once where asked to.

What is played here is Dask's client alone; the real one is in ``test_dask``.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import anyio
import pytest

from batchpol.fleet.dask import ANSWERED_WITHIN, LOOKED_AT, Fleet
from batchpol.journal import FINISHED, End, Folder
from batchpol.model.errors import UsageError
from batchpol.model.shard import Shard

pytestmark = pytest.mark.virtual_clock
OVER = End(at="", reason=FINISHED, exit_code=0)


async def silent(*_: object) -> Any:
    await anyio.sleep_forever()


async def versions() -> dict[str, Any]:
    same = {"packages": {"batchpol": "1"}}
    return {"client": same, "workers": {"tcp://a": same}}


async def older() -> dict[str, Any]:
    return {**await versions(), "workers": {"tcp://a": {"packages": {"batchpol": "0"}}, "tcp://b": {"packages": {}}}}


async def over() -> End:
    return OVER


async def slow() -> End:
    await anyio.sleep(10.0)
    return OVER


async def broken() -> End:
    raise ModuleNotFoundError("No module named 'batchpol'")


class Client:
    """A client of a scheduler with these workers; what is not said goes well."""

    def __init__(
        self,
        *workers: str,
        connect: Callable[[], Awaitable[Any]] | None = None,
        says: Callable[[], Awaitable[Any]] = versions,
        does: Callable[[], Awaitable[Any]] = over,
    ) -> None:
        self.workers, self.submitted = workers, list[Shard]()
        self._connect, self._says, self._does = connect, says, does

    def __call__(self, scheduler: str, **_: object) -> Self:
        return self

    def __await__(self) -> Generator[Any, Any, Self]:
        if self._connect is not None:
            yield from self._connect().__await__()
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def nthreads(self) -> Mapping[str, int]:
        return dict.fromkeys(self.workers, 1)

    async def get_versions(self, packages: list[str]) -> Any:
        return await self._says()

    def submit(self, work: object, shard: Shard, **_: object) -> Any:
        self.submitted.append(shard)
        return SimpleNamespace(result=self._does, release=lambda: None)


def driver(
    folder: Path, client: Client, monkeypatch: pytest.MonkeyPatch, max_duration: float | None = None
) -> tuple[Fleet, list[str]]:
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=client, KilledWorker=KeyError))  # type: ignore[arg-type]
    told = list[str]()
    return Fleet("tcp://s:1", Folder(folder / "run1"), 2, lambda _: OVER, told.append, max_duration), told


async def stopped_after(fleet: Fleet, seconds: float) -> float:
    """Have it run and ask for its end; seconds that it took from then on."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fleet.run)
        await anyio.sleep(seconds)
        fleet.stop("interrupted", 130)
        began = anyio.current_time()
    return anyio.current_time() - began


async def test_a_scheduler_that_takes_connections_and_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, _ = driver(tmp_path, Client(connect=silent), monkeypatch)
    began = anyio.current_time()
    with pytest.raises(UsageError, match="the scheduler tcp://s:1 is out of reach: it does not answer"):
        await fleet.run()
    assert anyio.current_time() - began <= ANSWERED_WITHIN + LOOKED_AT + 0.1


@pytest.mark.parametrize(
    "client",
    [Client(connect=silent), Client("tcp://a", says=silent), Client()],
    ids=["while it connects", "while a worker is asked", "while there are no workers"],
)
async def test_it_ends_at_once_and_nothing_is_submitted(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, _ = driver(tmp_path, client, monkeypatch)
    assert await stopped_after(fleet, 5.0) < 1.0
    assert fleet.early == ("interrupted", 130) and client.submitted == []
    assert not Folder(tmp_path / "run1").is_stopped


async def test_a_worker_that_is_stuck_does_not_keep_the_others_from_their_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, told = driver(tmp_path, Client("tcp://a", says=silent), monkeypatch)
    await fleet.run()
    assert fleet.ended == {Shard(1, 2): OVER, Shard(2, 2): OVER}
    assert told == ["not all workers say which batchpol they have: one did not answer in 30 s"]


async def test_workers_with_another_batchpol_or_none_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("tcp://a", "tcp://b", says=older)
    fleet, _ = driver(tmp_path, client, monkeypatch)
    with pytest.raises(UsageError, match="the batchpol that is here, 1: tcp://a has 0, tcp://b has none"):
        await fleet.run()
    assert client.submitted == []


async def test_a_worker_that_cannot_run_a_shard_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, _ = driver(tmp_path, Client("tcp://a", does=broken), monkeypatch)
    await fleet.run()
    why = "tcp://a cannot run it: ModuleNotFoundError: No module named 'batchpol'"
    assert [(it.reason, it.exit_code) for it in fleet.ended.values()] == [(why, 3)] * 2


@pytest.mark.parametrize("before", [True, False])
async def test_what_somebody_else_asked_of_the_workers_is_not_taken_back(
    before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path / "run1")
    folder.make()
    folder.stop(before)
    fleet, _ = driver(tmp_path, Client("tcp://a", does=slow), monkeypatch)
    await stopped_after(fleet, 5.0)
    assert fleet.ended[Shard(1, 2)] == OVER
    assert folder.is_stopped is before


async def test_a_time_limit_is_that_of_all_shards_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def until_stopped() -> End:
        while not Folder(tmp_path / "run1").is_stopped:
            await anyio.sleep(1.0)
        return OVER

    client, began = Client("tcp://a", does=until_stopped), anyio.current_time()
    fleet, _ = driver(tmp_path, client, monkeypatch, max_duration=60)
    await fleet.run()
    assert fleet.early == ("`max_duration` of 60 s is over", 3)
    assert 60 <= anyio.current_time() - began <= 62
    assert client.submitted == [Shard(1, 2)], "the other one had no turn"
