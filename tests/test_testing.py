"""The virtual clock and the fixture, which other people's tests rely on too."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiolimiter import AsyncLimiter

from batchpol.cli.help import MANUAL
from batchpol.testing import NothingScheduled, Sandbox, VirtualClockLoop


def virtual_loop() -> VirtualClockLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    return loop


@pytest.mark.virtual_clock
async def test_an_hour_takes_no_real_time() -> None:
    loop, began = virtual_loop(), time.perf_counter()
    start, wall = loop.time(), loop.wall_time()
    await asyncio.sleep(3600)
    assert loop.time() - start == pytest.approx(3600, abs=1e-6)
    assert loop.wall_time() - wall == pytest.approx(3600, abs=1e-3)
    assert time.perf_counter() - began < 0.5


@pytest.mark.virtual_clock
async def test_more_than_a_day_is_waited_for_in_full() -> None:
    # asyncio never waits longer than a day at a time.
    loop = virtual_loop()
    start = loop.time()
    await asyncio.sleep(10 * 86400)
    assert loop.time() - start == pytest.approx(864000, abs=1e-3)


@pytest.mark.virtual_clock
@pytest.mark.parametrize("concurrent", [False, True])
async def test_a_thousand_acquisitions_of_a_limiter_end_and_take_a_thousand_seconds(concurrent: bool) -> None:
    loop, limiter, began = virtual_loop(), AsyncLimiter(1, 1), time.perf_counter()
    times = []

    async def acquire() -> None:
        async with limiter:
            times.append(loop.time())

    if concurrent:
        await asyncio.gather(*(acquire() for _ in range(1000)))
    else:
        for _ in range(1000):
            await acquire()
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) == 1000
    # aiolimiter itself lets a waiter go a rounding error early; the clock must not add to that.
    assert min(gaps) > 1 - 1e-6
    assert times[-1] - times[0] == pytest.approx(999, abs=1e-3)
    assert time.perf_counter() - began < 1


@pytest.mark.virtual_clock
async def test_timers_run_in_their_order_whatever_the_order_they_were_set_in() -> None:
    order: list[float] = []

    async def note(delay: float) -> None:
        await asyncio.sleep(delay)
        order.append(delay)

    await asyncio.gather(*(note(delay) for delay in (3, 0.5, 2, 1, 0)))
    assert order == [0, 0.5, 1, 2, 3]


def test_waiting_for_what_never_comes_is_an_error_that_says_so() -> None:
    async def wait_for_nobody() -> None:
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner, pytest.raises(NothingScheduled, match="never end"):
        runner.run(wait_for_nobody())


async def test_an_unmarked_test_has_an_ordinary_clock() -> None:
    assert not isinstance(asyncio.get_running_loop(), VirtualClockLoop)
    began = time.monotonic()
    await asyncio.sleep(0.01)
    assert time.monotonic() - began > 0.009


def test_the_fixture_is_a_sandbox_without_a_limit(ses_sandbox: Sandbox) -> None:
    assert ses_sandbox.url == f"http://127.0.0.1:{ses_sandbox.port}"
    assert ses_sandbox.options.rate == 0


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_the_manuals_recipe_works_as_it_stands(tmp_path: Path, mode: str) -> None:
    """In both modes of pytest-asyncio, whatever the environment names."""
    blocks = re.findall(r"^```python\n(# (\w+\.py)\n.*?)^```$", (MANUAL / "sandbox.md").read_text(), re.DOTALL | re.M)
    assert [name for _, name in blocks] == ["conftest.py", "test_tenants.py"]
    for text, name in blocks:
        (tmp_path / name).write_text(text)
    settings = f"asyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{settings}")
    elsewhere = {"AWS_PROFILE": "nobody", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_SES": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, env={**os.environ, **elsewhere}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout


async def test_the_fixture_serves_asynchronous_tests_too(ses_sandbox: Sandbox) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ses_sandbox.port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    await writer.drain()
    assert (await reader.readline()).split()[1] == b"200"
    writer.close()
    await writer.wait_closed()


def test_works_without_pytest() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None\n"
        "import batchpol.testing as testing\n"
        "with testing.running_sandbox() as sandbox: print(sandbox.url)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.startswith("http://127.0.0.1:")
