"""What a pause costs: ``python -m tests.bench.pauses``.

Whoever sends once a second sleeps in between, and finds the processor's caches full of what others did meanwhile: the
same work takes more processor time then. How much more on this machine is measured with work that is always the same,
and with a bare request of aiobotocore; both are the control beside ``tests.bench.callers``.

``python -m tests.bench.pauses --pause SECONDS`` is one process that does both, so many seconds apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from tests.bench.pacing import policy
from tests.bench.server import ACCOUNT, served

PAUSES = {"back to back": 0.0, "once a second": 1.0}
"""Seconds before each of them, by what that is called."""

TIMES = 20

WORK = {"Version": "2012-10-17", "Statement": [{"Sid": f"S{number}", "Effect": "Allow"} for number in range(20)]}


async def work() -> None:
    """Some Python, always the same."""
    for _ in range(20):
        json.loads(json.dumps(WORK))


async def cost(pause: float, act: Callable[[], Awaitable[object]]) -> float:
    """Processor milliseconds of one of :data:`TIMES`, with a pause before each of them."""
    await act()
    begun = time.process_time()
    for _ in range(TIMES):
        await asyncio.sleep(pause)
        await act()
    return (time.process_time() - begun) / TIMES * 1000


async def measure(pause: float) -> dict[str, float]:
    from aiobotocore.session import get_session

    async with get_session().create_client("ses") as client:
        document = policy("control.example.com", ACCOUNT)

        async def put() -> None:
            await client.put_identity_policy(Identity="control.example.com", PolicyName="sending", Policy=document)

        return {
            "the same work in Python": await cost(pause, work),
            "a bare `put_identity_policy` of aiobotocore": await cost(pause, put),
        }


def run() -> dict[str, dict[str, float]]:
    """Processor milliseconds by how far apart, and of what; one after the other, each in a process of its own."""
    found = {}
    with (
        tempfile.TemporaryDirectory(prefix="batchpol-bench-") as folder,
        served(Path(folder) / "arrivals.jsonl", latency_ms=0, rate=0) as server,
    ):
        environment = server.environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
        for name, pause in PAUSES.items():
            command = [sys.executable, "-m", "tests.bench.pauses", "--pause", str(pause)]
            ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            found[name] = json.loads(ended.stdout)
    return found


def table(found: dict[str, dict[str, float]]) -> Iterator[str]:
    """The figures as Markdown."""
    yield f"| processor ms | {' | '.join(found)} |"
    yield "|" + "---|" * (1 + len(found))
    for what in next(iter(found.values())):
        yield f"| {what} | {' | '.join(f'{costs[what]:.2f}' for costs in found.values())} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pause", type=float, help="be the process that does both so many seconds apart")
    given = parser.parse_args()
    if given.pause is None:
        print("\n".join(table(run())))
    else:
        print(json.dumps(asyncio.run(measure(given.pause))))


if __name__ == "__main__":
    main()
